/*
 * Starts a program with a user's tap, as libvirt's session mode does (qemuCreateInBridgePortWithHelper): a pair of
 * sockets, the helper with one end, the tap from the other. The tap is the program's descriptor 3.
 *
 *     session HELPER NETWORK PROGRAM [ARGUMENT...]
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* The descriptor that comes with a byte; -1 where none does. */
static int receive(int socket)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} rights;
	char byte;
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &rights,
				  .msg_controllen = sizeof rights };
	struct cmsghdr *first;
	int descriptor;

	if (recvmsg(socket, &message, 0) != 1)
		return -1;
	first = CMSG_FIRSTHDR(&message);
	if (!first || first->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&descriptor, CMSG_DATA(first), sizeof descriptor);
	return descriptor;
}

int main(int count, char **arguments)
{
	char bridge[64], socket[32];
	int pair[2], status, tap;
	pid_t helper;

	if (count < 4)
		return 64;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return fail("socketpair");
	snprintf(bridge, sizeof bridge, "--br=%s", arguments[2]);
	snprintf(socket, sizeof socket, "--fd=%d", pair[1]);
	helper = fork();
	if (helper < 0)
		return fail("fork");
	if (helper == 0) {
		close(pair[0]);
		execl(arguments[1], arguments[1], "--use-vnet", bridge, socket, (char *)0);
		_exit(fail(arguments[1]));
	}
	close(pair[1]);
	tap = receive(pair[0]);
	if (waitpid(helper, &status, 0) != helper || status || tap < 0)
		return 1;
	if (tap != 3) {
		if (dup2(tap, 3) < 0)
			return fail("dup2");
		close(tap);
	}
	execvp(arguments[3], arguments + 3);
	return fail(arguments[3]);
}
