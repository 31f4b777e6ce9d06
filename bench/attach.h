/*
 * The calls that make a fresh tap a port of a bridge: those of vnet-ifup on an isolated network, in the same order, each
 * as one message that the kernel acknowledges before the next goes out: alias, no IPv6 address, master, up.
 */
#include "netlink.h"

static const char ALIAS[] = "vnet:lab:port";

/* Makes the tap a port of the bridge. */
static void attach(long socket, unsigned tap, unsigned bridge)
{
	struct request request;

	request.header.nlmsg_seq = 0;
	begin(&request, tap);
	attribute(&request, IFLA_IFALIAS, ALIAS, sizeof ALIAS - 1);
	change(socket, &request);

	begin(&request, tap);
	no_ipv6_address(&request);
	change(socket, &request);

	begin(&request, tap);
	attribute(&request, IFLA_MASTER, &bridge, sizeof bridge);
	change(socket, &request);

	begin(&request, tap);
	request.link.ifi_flags = IFF_UP_;
	request.link.ifi_change = IFF_UP_;
	change(socket, &request);
}
