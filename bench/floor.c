/*
 * The floor that the hook is measured against: what the kernel needs to make a fresh tap a port of a bridge, and
 * nothing else. No C library, no look-ups, no configuration, no check of the result.
 *
 *     floor TAP-INDEX BRIDGE-INDEX
 */
#include "attach.h"

void start(long *stack)
{
	char **arguments = (char **)(stack + 1);

	if (*stack != 3)
		leave(64);
	attach(open_socket(), number(arguments[1]), number(arguments[2]));
	leave(0);
}
