/*
 * The floor, and the hook's other duties: the system calls that finding the network, locking it, looking before and
 * after, and logging take, without a library and without a thought. What the hook needs beyond this is its own.
 *
 *     duties TAP-INDEX BRIDGE-INDEX GUEST-FILE NETWORK-FILE LOCK-FILE
 */
#include "attach.h"

enum { AT_FDCWD_ = -100, O_RDWR_ = 2, O_NONBLOCK_ = 04000, O_CLOEXEC_ = 02000000, LOCK_EX_ = 2, LOCK_NB_ = 4 };
enum { SOL_NETLINK_ = 270, AF_UNIX_ = 1, SOCK_DGRAM_ = 2, SKIP_STATISTICS = 8 };

static const struct {
	unsigned short family;
	char path[9];
} SYSLOG = { AF_UNIX_, "/dev/log" };

static const char LINE[] = "<30>duties[1]: lab-web0: on vn-lab of the network lab: attach lab-web0 to vn-lab; 200 us";

static char buffer[4096];

static void look_up(long socket, unsigned index)
{
	unsigned filter = SKIP_STATISTICS;
	struct request request;

	request.header.nlmsg_seq = 100;
	begin(&request, index);
	request.header.nlmsg_type = RTM_GETLINK;
	request.header.nlmsg_flags = NLM_F_REQUEST;
	attribute(&request, IFLA_EXT_MASK, &filter, sizeof filter);
	if (call(__NR_sendto, socket, (long)&request, request.header.nlmsg_len, 0, 0, 0) < 0 ||
	    call(__NR_recvfrom, socket, (long)buffer, sizeof buffer, 0, 0, 0) < (long)NLMSG_HDRLEN)
		leave(3);
}

static void read_file(const char *path)
{
	long file = call(__NR_openat, AT_FDCWD_, (long)path, O_NONBLOCK_ | O_CLOEXEC_, 0, 0, 0);

	if (file < 0 || call(__NR_fstat, file, (long)buffer, 0, 0, 0, 0) < 0 ||
	    call(__NR_read, file, (long)buffer, sizeof buffer, 0, 0, 0) <= 0)
		leave(4);
	call(__NR_close, file, 0, 0, 0, 0, 0);
}

static void lock(const char *path)
{
	long file = call(__NR_openat, AT_FDCWD_, (long)path, O_RDWR_ | O_CLOEXEC_, 0, 0, 0);

	if (file < 0 || call(__NR_flock, file, LOCK_EX_ | LOCK_NB_, 0, 0, 0, 0) < 0)
		leave(5);
}

static void log_line(void)
{
	long socket = call(__NR_socket, AF_UNIX_, SOCK_DGRAM_ | SOCK_CLOEXEC_, 0, 0, 0, 0);

	if (call(__NR_connect, socket, (long)&SYSLOG, sizeof SYSLOG.family + sizeof SYSLOG.path, 0, 0, 0) < 0 ||
	    call(__NR_sendto, socket, (long)LINE, sizeof LINE - 1, 0, 0, 0) < 0)
		leave(6);
}

void start(long *stack)
{
	char **arguments = (char **)(stack + 1);
	unsigned tap, bridge;
	int option, on = 1;
	long socket;

	if (*stack != 6)
		leave(64);
	tap = number(arguments[1]);
	bridge = number(arguments[2]);
	socket = open_socket();
	for (option = 10; option <= 12; option++)
		call(__NR_setsockopt, socket, SOL_NETLINK_, option, (long)&on, sizeof on, 0);
	read_file(arguments[3]);
	read_file(arguments[4]);
	lock(arguments[5]);
	look_up(socket, bridge);
	look_up(socket, tap);
	attach(socket, tap, bridge);
	look_up(socket, tap);
	log_line();
	leave(0);
}
