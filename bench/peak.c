/*
 * The most memory that a program has resident, in KiB, on standard output: peak [--user NUMBER]
 * PROGRAM [ARGUMENT...]
 *
 * The kernel's own figure (ru_maxrss) is of no use for a small program: it starts with the memory of whoever forked
 * it, and is added up from counters of which each processor may hold 32 pages back. So this stops the program at each
 * of its system calls and has the kernel look at its pages (smaps_rollup). Between two of them memory only grows:
 * giving some back takes a system call. Exits with the program's status.
 */
#include "libcfree.h"

#include <linux/fcntl.h>
#include <linux/ptrace.h>
#include <linux/signal.h>

enum { STOPPED = 0x7f };

static char *write_number(char *end, unsigned long value)
{
	do
		*--end = (char)('0' + value % 10);
	while (value /= 10);
	return end;
}

/* What follows "Rss:" in the summary of the process's pages. */
static unsigned long resident(long process)
{
	static const char LABEL[] = "\nRss:";
	char path[64] = "/proc/", text[512], digits[24], *at = digits + sizeof digits;
	unsigned matched = 0, length = 6;
	unsigned long value = 0;
	long file, size, place;

	*--at = 0;
	for (at = write_number(at, (unsigned long)process); *at; at++)
		path[length++] = *at;
	copy(path + length, "/smaps_rollup", 14);
	file = call(__NR_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0, 0);
	size = call(__NR_read, file, (long)text, sizeof text, 0, 0, 0);
	if (file < 0 || size <= 0)
		leave(3);
	call(__NR_close, file, 0, 0, 0, 0, 0);
	for (place = 0; place < size && matched < sizeof LABEL - 1; place++)
		matched = text[place] == LABEL[matched] ? matched + 1 : text[place] == LABEL[0];
	while (place < size && text[place] == ' ')
		place++;
	for (; place < size && text[place] >= '0' && text[place] <= '9'; place++)
		value = value * 10 + (unsigned long)(text[place] - '0');
	return value;
}

/* Runs the process from one stop to the next until it ends; the last status, and the most that it had. */
static int follow(long process, unsigned long *most)
{
	unsigned long now;
	int status, signal;

	for (;;) {
		if (call(__NR_wait4, process, (long)&status, 0, 0, 0, 0) != process)
			leave(2);
		if ((status & 0xff) != STOPPED)
			return status;
		now = resident(process);
		if (now > *most)
			*most = now;
		/* The stop at a system call shows as this signal; any other is the program's own. */
		signal = status >> 8 & 0xff;
		if (signal == SIGTRAP)
			signal = 0;
		if (call(__NR_ptrace, PTRACE_SYSCALL, process, 0, signal, 0, 0))
			leave(2);
	}
}

static int is_user_option(const char *text)
{
	static const char OPTION[] = "--user";
	unsigned place = 0;

	while (text[place] && text[place] == OPTION[place])
		place++;
	return text[place] == OPTION[place];
}

/* Behind the request to be traced: a program gets the privilege of its file only where that came from one who may trace all. */
static void become(long user)
{
	if (user >= 0 && (call(__NR_setgroups, 0, 0, 0, 0, 0, 0) || call(__NR_setresgid, user, user, user, 0, 0, 0) ||
			  call(__NR_setresuid, user, user, user, 0, 0, 0)))
		leave(126);
}

void start(long *stack)
{
	char **arguments = (char **)(stack + 1), **environment = arguments + *stack + 1;
	long user = -1;
	char text[24], *end = text + sizeof text, *at;
	unsigned long most = 0;
	long child;
	int status;

	if (*stack < 2)
		leave(64);
	if (*stack > 3 && is_user_option(arguments[1])) {
		user = number(arguments[2]);
		arguments += 2;
	}
	child = call(__NR_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (child < 0)
		leave(2);
	if (child == 0) {
		if (!call(__NR_ptrace, PTRACE_TRACEME, 0, 0, 0, 0, 0)) {
			become(user);
			call(__NR_execve, (long)arguments[1], (long)(arguments + 1), (long)environment, 0, 0, 0);
		}
		leave(127);
	}
	status = follow(child, &most);
	end[-1] = '\n';
	at = write_number(end - 1, most);
	if (call(__NR_write, 1, (long)at, end - at, 0, 0, 0) != end - at)
		leave(2);
	leave(status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff);
}
