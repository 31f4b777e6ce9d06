/*
 * Changes of links by netlink, each one message that the kernel acknowledges before the next goes out.
 */
#include "libcfree.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/socket.h>

enum { AF_INET6_ = 10, AF_NETLINK_ = 16, SOCK_RAW_ = 3, SOCK_CLOEXEC_ = 02000000, IFF_UP_ = 1 };

struct request {
	struct nlmsghdr header;
	struct ifinfomsg link;
	unsigned char attributes[128];
};

/* The header of a change of one link; attributes follow. */
static void begin(struct request *request, unsigned index)
{
	request->header.nlmsg_len = NLMSG_LENGTH(sizeof request->link);
	request->header.nlmsg_type = RTM_SETLINK;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request->header.nlmsg_seq++;
	request->header.nlmsg_pid = 0;
	request->link = (struct ifinfomsg){ .ifi_index = (int)index };
}

static struct nlattr *attribute(struct request *request, unsigned short type, const void *value, unsigned length)
{
	struct nlattr *attribute = (struct nlattr *)((char *)request + request->header.nlmsg_len);

	attribute->nla_type = type;
	attribute->nla_len = (unsigned short)(NLA_HDRLEN + length);
	copy((char *)attribute + NLA_HDRLEN, value, length);
	request->header.nlmsg_len += NLA_ALIGN(NLA_HDRLEN + length);
	return attribute;
}

/* The link shall have no IPv6 address of its own. */
static inline void no_ipv6_address(struct request *request)
{
	unsigned char none = IN6_ADDR_GEN_MODE_NONE;
	struct nlattr *families, *inet6;

	families = attribute(request, IFLA_AF_SPEC | NLA_F_NESTED, 0, 0);
	inet6 = attribute(request, AF_INET6_ | NLA_F_NESTED, 0, 0);
	attribute(request, IFLA_INET6_ADDR_GEN_MODE, &none, 1);
	inet6->nla_len = (unsigned short)((char *)request + request->header.nlmsg_len - (char *)inet6);
	families->nla_len = (unsigned short)((char *)request + request->header.nlmsg_len - (char *)families);
}

static void change(long socket, const struct request *request)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;
	long length;

	if (call(__NR_sendto, socket, (long)request, request->header.nlmsg_len, 0, 0, 0) != request->header.nlmsg_len)
		leave(2);
	length = call(__NR_recvfrom, socket, (long)&answer, sizeof answer, 0, 0, 0);
	if (length < (long)NLMSG_LENGTH(sizeof answer.error) || answer.header.nlmsg_type != NLMSG_ERROR ||
	    answer.header.nlmsg_seq != request->header.nlmsg_seq)
		leave(3);
	if (answer.error.error)
		leave(1);
}

/* Opens the netlink socket. */
static long open_socket(void)
{
	long socket = call(__NR_socket, AF_NETLINK_, SOCK_RAW_ | SOCK_CLOEXEC_, NETLINK_ROUTE, 0, 0, 0);

	if (socket < 0)
		leave(2);
	return socket;
}
