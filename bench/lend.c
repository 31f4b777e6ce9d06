/*
 * The floor that the bridge helper is measured against: what the kernel needs to make a tap, to make it a port of a
 * bridge, and to send its queue to whoever asked, and nothing else. No C library, no look-ups, no configuration, no
 * privilege given up, no check of the result.
 *
 *     lend SOCKET BRIDGE-INDEX TAP
 */
#include "netlink.h"

#include <linux/fcntl.h>
#include <linux/if_tun.h>
#include <linux/ioctl.h>

enum { AT_FDCWD_ = -100, SOL_SOCKET_ = 1, SCM_RIGHTS_ = 1, NAME_SIZE = 16 };

/* struct ifreq, as far as TUNSETIFF reads and writes it. */
struct tap {
	char name[NAME_SIZE];
	short flags;
	char rest[22];
};

/* Opens a queue, and with it makes the tap; the kernel writes the name that it chose. */
static long make(struct tap *tap)
{
	long queue = call(__NR_openat, AT_FDCWD_, (long)"/dev/net/tun", O_RDWR | O_CLOEXEC, 0, 0, 0);

	if (queue < 0)
		leave(4);
	tap->flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (call(__NR_ioctl, queue, TUNSETIFF, (long)tap, 0, 0, 0))
		leave(4);
	return queue;
}

static unsigned length(const char *text)
{
	unsigned length = 0;

	while (text[length])
		length++;
	return length;
}

static void join(long socket, const struct tap *tap, unsigned bridge)
{
	struct request request;

	request.header.nlmsg_seq = 0;
	begin(&request, 0);
	request.link.ifi_flags = IFF_UP_;
	request.link.ifi_change = IFF_UP_;
	attribute(&request, IFLA_IFNAME, tap->name, length(tap->name) + 1);
	attribute(&request, IFLA_MASTER, &bridge, sizeof bridge);
	change(socket, &request);
}

/* One byte, and the queue with it (unix(7)). The structures are those of the kernel, with its 64-bit sizes. */
static void pass(long socket, long queue)
{
	struct {
		unsigned long size;
		int level, type, descriptor, padding;
	} rights = { 20, SOL_SOCKET_, SCM_RIGHTS_, (int)queue, 0 };
	struct {
		char *base;
		unsigned long size;
	} part = { "", 1 };
	struct {
		void *name;
		unsigned long name_size;
		void *parts;
		unsigned long part_count;
		void *control;
		unsigned long control_size;
		unsigned long flags;
	} message = { 0, 0, &part, 1, &rights, sizeof rights, 0 };

	if (call(__NR_sendmsg, socket, (long)&message, 0, 0, 0, 0) != 1)
		leave(5);
}

void start(long *stack)
{
	char **arguments = (char **)(stack + 1);
	struct tap tap = { 0 };
	unsigned bridge, size;
	long queue, socket;

	if (*stack != 4)
		leave(64);
	bridge = number(arguments[2]);
	size = length(arguments[3]);
	if (size >= NAME_SIZE)
		leave(64);
	copy(tap.name, arguments[3], size);
	queue = make(&tap);
	socket = open_socket();
	join(socket, &tap, bridge);
	pass(number(arguments[1]), queue);
	leave(0);
}
