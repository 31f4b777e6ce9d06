/*
 * As lend.c, written as one usually would: with the C library, linked statically, and by ioctl. It opens, attaches and
 * passes the queue on, and nothing else.
 *
 *     lend-libc SOCKET BRIDGE TAP
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int pass(int socket, int queue)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} rights = { 0 };
	struct iovec piece = { "", 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &rights,
				  .msg_controllen = sizeof rights };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof queue);
	memcpy(CMSG_DATA(header), &queue, sizeof queue);
	return sendmsg(socket, &message, 0) == 1 ? 0 : 5;
}

int main(int count, char **arguments)
{
	struct ifreq tap = { 0 }, bridge = { 0 };
	int queue, control;

	if (count != 4)
		return 64;
	queue = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	strncpy(tap.ifr_name, arguments[3], IFNAMSIZ - 1);
	tap.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (queue < 0 || ioctl(queue, TUNSETIFF, &tap))
		return 4;
	control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strncpy(bridge.ifr_name, arguments[2], IFNAMSIZ - 1);
	if (control < 0 || ioctl(control, SIOCGIFINDEX, &tap))
		return 3;
	bridge.ifr_ifindex = tap.ifr_ifindex;
	if (ioctl(control, SIOCBRADDIF, &bridge))
		return 2;
	tap.ifr_flags = IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &tap))
		return 1;
	return pass(atoi(arguments[1]), queue);
}
