//! Settings under /proc/sys/net, which netlink cannot change.

use std::fmt;

/// A setting of one link under /proc/sys/net (Documentation/networking/ip-sysctl.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sysctl {
    /// `net.ipv6.conf.LINK.disable_ipv6`: the link has no IPv6 at all.
    DisableIpv6,
    /// `net.ipv6.conf.LINK.accept_ra`: whether a guest may give the host an address and a route.
    AcceptRa,
    /// `net.ipv4.conf.LINK.arp_ignore`: 1 answers for an address only on the link that has it.
    ArpIgnore,
    /// `net.ipv4.conf.LINK.rp_filter`: 1 drops what comes from an address that is not routed to the link.
    RpFilter,
    /// `net.ipv4.conf.LINK.forwarding`: whether what comes in here may be routed on.
    Forwarding,
    /// `net.ipv6.conf.LINK.accept_dad`: 0 uses an address at once, without asking first whether another has it.
    AcceptDad,
    /// `net.ipv4.conf.LINK.route_localnet`: whether 127.0.0.0/8 may go in and out here.
    RouteLocalnet,
    /// `net.ipv6.conf.LINK.proxy_ndp`: whether the host answers for addresses that are behind other links.
    ProxyNdp,
    /// Another one, of this directory and name, that a bridge has from the network card whose place it takes.
    Inherited(&'static str, &'static str),
}

impl Sysctl {
    /// Those by which a host is on a LAN as its administrator wants it to be. Forwarding comes first, for the kernel
    /// resets others with it.
    pub const OF_UPLINK: [Self; 35] = {
        const fn v4(name: &'static str) -> Sysctl {
            Sysctl::Inherited("ipv4", name)
        }
        const fn v6(name: &'static str) -> Sysctl {
            Sysctl::Inherited("ipv6", name)
        }
        [
            v4("forwarding"),
            v4("rp_filter"),
            v4("src_valid_mark"),
            v4("accept_local"),
            v4("accept_source_route"),
            v4("route_localnet"),
            v4("log_martians"),
            v4("accept_redirects"),
            v4("secure_redirects"),
            v4("send_redirects"),
            v4("shared_media"),
            v4("arp_accept"),
            v4("arp_announce"),
            v4("arp_filter"),
            v4("arp_ignore"),
            v4("arp_notify"),
            v4("drop_gratuitous_arp"),
            v4("drop_unicast_in_l2_multicast"),
            v4("proxy_arp"),
            v4("promote_secondaries"),
            v6("disable_ipv6"),
            v6("forwarding"),
            v6("accept_ra"),
            v6("accept_ra_defrtr"),
            v6("accept_ra_pinfo"),
            v6("accept_ra_rtr_pref"),
            v6("accept_redirects"),
            v6("accept_dad"),
            v6("dad_transmits"),
            v6("autoconf"),
            v6("hop_limit"),
            v6("ndisc_notify"),
            v6("proxy_ndp"),
            v6("use_tempaddr"),
            v6("drop_unsolicited_na"),
        ]
    };

    /// Those that matter for a bridge of ours.
    pub const OF_BRIDGE: [Self; 7] = [
        Self::DisableIpv6,
        Self::AcceptRa,
        Self::AcceptDad,
        Self::ArpIgnore,
        Self::RpFilter,
        Self::Forwarding,
        Self::RouteLocalnet,
    ];

    /// The protocol's directory under /proc/sys/net, and the file's name in the link's directory below it.
    pub const fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::DisableIpv6 => ("ipv6", "disable_ipv6"),
            Self::AcceptRa => ("ipv6", "accept_ra"),
            Self::ArpIgnore => ("ipv4", "arp_ignore"),
            Self::RpFilter => ("ipv4", "rp_filter"),
            Self::Forwarding => ("ipv4", "forwarding"),
            Self::AcceptDad => ("ipv6", "accept_dad"),
            Self::RouteLocalnet => ("ipv4", "route_localnet"),
            Self::ProxyNdp => ("ipv6", "proxy_ndp"),
            Self::Inherited(protocol, name) => (protocol, name),
        }
    }
}

/// A setting under /proc/sys/net that holds for the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSysctl {
    /// `net.ipv4.ip_forward`: sets the same of every link, and resets accept_redirects.
    Forwarding4,
    /// `net.ipv6.conf.all.forwarding`: without it no link forwards IPv6.
    Forwarding6,
    /// `net.ipv4.conf.all.accept_redirects`: whether a router may tell the host of a better one.
    AcceptRedirects,
}

impl HostSysctl {
    /// The file under /proc/sys/net.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Forwarding4 => "ipv4/ip_forward",
            Self::Forwarding6 => "ipv6/conf/all/forwarding",
            Self::AcceptRedirects => "ipv4/conf/all/accept_redirects",
        }
    }
}

/// `net.ipv4.ip_forward`, as `sysctl` writes it.
impl fmt::Display for HostSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.{}", self.place().replace('/', "."))
    }
}
