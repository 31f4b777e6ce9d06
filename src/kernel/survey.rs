//! What of the host, beyond its own links, a network rests on: how packets are routed and filtered, what is taken,
//! who listens.
#![forbid(unsafe_code)]

use std::net::IpAddr;
use std::path::PathBuf;

use nix::errno::Errno;

use super::error::Error;
use super::host::Host;
use super::netlink::{address, link, listener, neighbour, route};
use super::sys::{ethtool, sysctl};
use crate::model::{
    Barrier, Docker, DockerInstead, DockerTable, Firewall, ForeignRoute, FramesFiltered, Groundwork, HostSysctl,
    IfName, Kind, Link, Listener, Mac, Mark, Protocol, Routing, Ruleset, Service, Subnet, Sysctl, Taken,
};

/// The tables that iptables-legacy has made, of IPv4 or IPv6; only root sees them.
pub fn legacy_tables() -> Vec<String> {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let names = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"].map(read).concat();
    names.lines().map(str::to_owned).collect()
}

impl Host {
    /// What a bridge of this name, there or not, has or would start with. What else a network rests on is left empty.
    pub fn groundwork(&mut self, name: &IfName, bridge: Option<&Link>, machine_id: &[u8]) -> Result<Groundwork, Error> {
        let addresses = match bridge {
            Some(link) => self.addresses(link)?,
            None => Vec::new(),
        };
        let mut sysctls = Vec::new();
        for sysctl in Sysctl::OF_BRIDGE {
            let own = bridge.map_or(Ok(None), |link| sysctl::read(sysctl, link.name.as_str()))?;
            // A link that is yet to be made, or to get the MTU that carries IPv6, starts with these values.
            let value = own.map_or_else(|| sysctl::read(sysctl, "default"), |value| Ok(Some(value)))?;
            if value.is_none() && sysctl.place().0 == "ipv4" {
                return Err(Error::new("reading /proc/sys/net/ipv4, without which no bridge is safe,", Errno::ENOENT));
            }
            sysctls.extend(value.map(|value| (sysctl, value)));
        }
        let checksum_offload = match bridge {
            Some(link) => ethtool::tx_checksum(&link.name),
            // What the kernel gives a new bridge.
            None => Some(true),
        };
        Ok(Groundwork {
            derived_mac: Mac::derived(machine_id, name.as_str()),
            addresses,
            sysctls,
            checksum_offload,
            firewall: Firewall::default(),
            others: Vec::new(),
            routing: Routing::default(),
            taken: Vec::new(),
            elsewhere: None,
            proxies: Vec::new(),
            turned_on: Vec::new(),
            docker: Docker::default(),
            directory: PathBuf::new(),
            listeners: Vec::new(),
            service: Service::default(),
        })
    }

    /// The number that the kernel raises with each change of its ruleset.
    pub fn generation(&mut self) -> Result<u32, Error> {
        self.nftables()?.generation()
    }

    /// What our tables of the firewall hold.
    pub fn firewall(&mut self) -> Result<Firewall, Error> {
        let mark = self.mark();
        self.nftables()?.look(mark)
    }

    /// Other programs' chains that stop what they do not know: what our firewall marked, and what stays on this bridge.
    pub fn barriers(&mut self, bridge: &IfName) -> Result<Vec<Barrier>, Error> {
        let mark = self.mark();
        self.nftables()?.barriers(mark, bridge)
    }

    /// All chains of other programs, with their rules.
    pub fn ruleset(&mut self) -> Result<Ruleset, Error> {
        self.nftables()?.ruleset()
    }

    /// What there is of Docker's chains; whether others ask for our rule there is left open.
    pub fn docker(&mut self) -> Result<Docker, Error> {
        let mark = self.mark();
        let nftables = self.nftables()?;
        let mut docker = Docker::default();
        for table in DockerTable::BOTH {
            docker.chains.extend(nftables.docker(table, mark)?.map(|has| (table, has)));
        }
        if docker.chains.is_empty() {
            let own = nftables.docker_has_own_tables()?;
            let legacy = || legacy_tables().iter().any(|table| table == "filter");
            docker.instead =
                if own { Some(DockerInstead::Nftables) } else { legacy().then_some(DockerInstead::Legacy) };
        }
        Ok(docker)
    }

    /// All links, without the names of what they are ports of.
    pub fn links(&mut self) -> Result<Vec<Link>, Error> {
        let mut links = Vec::new();
        link::links(self.socket(), |link, _| links.push(link))?;
        links.iter().for_each(|link| self.know(link));
        Ok(links)
    }

    /// How the host forwards; `bridge` is the one of the network that asks.
    pub fn routing(&mut self, links: &[Link], bridge: &IfName) -> Result<Routing, Error> {
        let ipv4 = sysctl::read_host(HostSysctl::Forwarding4)?.unwrap_or(0) != 0;
        // A kernel without IPv6 has no such setting, and nothing to turn on.
        let ipv6 = sysctl::read_host(HostSysctl::Forwarding6)?.unwrap_or(1) != 0;
        let mut routing = Routing { ipv4, ipv6, ..Routing::default() };
        routing.accept_redirects = sysctl::read_host(HostSysctl::AcceptRedirects)?.unwrap_or(0);
        if !ipv6 {
            for index in route::default_links_by_advertisement(self.socket())? {
                let Some(link) = links.iter().find(|link| link.index == index) else { continue };
                let accept_ra = sysctl::read(Sysctl::AcceptRa, link.name.as_str())?;
                // Who set 0 wants no routers' words at all.
                routing
                    .advertised
                    .extend(accept_ra.filter(|value| *value == 1).map(|value| (link.name.clone(), value)));
            }
        }
        let names = |kind: &dyn Fn(&&Link) -> bool| links.iter().filter(kind).map(|link| link.name.clone()).collect();
        if !ipv4 {
            routing.closed = names(&|link| {
                link.is_bridge()
                    && !link.forwards
                    && link.name != *bridge
                    && matches!(link.mark(), Some(Mark::Owned(..)))
            });
        }
        routing.cards = names(&|link| link.kind == Kind::Device && link.ethernet && link.up);
        Ok(routing)
    }

    /// The host's addresses and routes that share addresses with one of the subnets, but those on the link of this
    /// index.
    pub fn taken(&mut self, links: &[Link], except: Option<u32>, subnets: &[Subnet]) -> Result<Vec<Taken>, Error> {
        let mut found = Vec::new();
        let shared = |subnet: &Subnet| subnets.iter().any(|asked| asked.overlaps(subnet));
        for (index, address) in address::addresses_of_all(self.socket())? {
            found.push((index, Subnet::from(address), Some(address.ip)));
        }
        found.retain(|(_, subnet, _)| shared(subnet));
        route::routes(self.socket(), |route| {
            found.extend(route.link.filter(|_| shared(&route.to)).map(|index| (index, route.to, None)));
        })?;
        let mut taken = Vec::new();
        for (index, subnet, address) in found.into_iter().filter(|(index, ..)| Some(*index) != except) {
            let Some(link) = links.iter().find(|link| link.index == index) else { continue };
            let ipv6 = subnet.first().is_ipv6();
            let proxy_ndp = ipv6 && sysctl::read(Sysctl::ProxyNdp, link.name.as_str())?.unwrap_or(0) != 0;
            taken.push(Taken { subnet, link: link.name.clone(), address, proxy_ndp });
        }
        Ok(taken)
    }

    /// For which addresses the host answers on which links, as far as we made it so: of these subnets, or of all.
    pub fn proxies(&mut self, links: &[Link], subnets: Option<&[Subnet]>) -> Result<Vec<(IfName, IpAddr)>, Error> {
        let mut found = neighbour::proxies(self.socket())?;
        found.retain(|(_, ip)| subnets.is_none_or(|subnets| subnets.iter().any(|subnet| subnet.contains(*ip))));
        let named = |(index, ip)| links.iter().find(|link| link.index == index).map(|link| (link.name.clone(), ip));
        Ok(found.into_iter().filter_map(named).collect())
    }

    /// Routes of all tables that share addresses with one of the subnets, over other links than the one of this index.
    pub fn routes_into(&mut self, links: &[Link], except: u32, subnets: &[Subnet]) -> Result<Vec<ForeignRoute>, Error> {
        let mut found = Vec::new();
        route::routes_of_all_tables(self.socket(), |route, table| {
            let shared = subnets.iter().any(|subnet| subnet.overlaps(&route.to));
            let link = links.iter().find(|link| Some(link.index) == route.link && link.index != except);
            found.extend(link.filter(|_| shared).map(|link| ForeignRoute {
                to: route.to,
                link: link.name.clone(),
                table,
                connected: route.connected,
            }));
        })?;
        found.dedup();
        Ok(found)
    }

    /// The links over which default routes of table main lead, with their rp_filter as it counts: the greater of the
    /// link's own and that of all.
    pub fn reverse_paths(&mut self, links: &[Link]) -> Result<Vec<(IfName, u32)>, Error> {
        let mut indexes = Vec::new();
        route::routes(self.socket(), |route| {
            let default = route.to.prefix() == 0 && route.to.first().is_ipv4();
            indexes.extend(route.link.filter(|link| default && !indexes.contains(link)));
        })?;
        let all = sysctl::read(Sysctl::RpFilter, "all")?.unwrap_or(0);
        let mut found = Vec::new();
        for link in links.iter().filter(|link| indexes.contains(&link.index)) {
            let own = sysctl::read(Sysctl::RpFilter, link.name.as_str())?.unwrap_or(0);
            found.push((link.name.clone(), own.max(all)));
        }
        Ok(found)
    }

    /// The sockets that wait for DHCPv4's requests.
    pub fn dhcp_sockets(&mut self) -> Result<Vec<listener::DhcpSocket>, Error> {
        listener::dhcp_sockets()
    }

    /// Who listens on the host.
    pub fn listeners(&mut self) -> Result<Vec<Listener>, Error> {
        let mut all = listener::listeners(Protocol::Tcp)?;
        all.extend(listener::listeners(Protocol::Udp)?);
        Ok(all)
    }
}

/// Which bridged frames the firewall's chains for routed packets see as well.
pub fn frames_filtered() -> Result<FramesFiltered, Error> {
    let on = |path| Ok(sysctl::read_path(path)?.unwrap_or(0) != 0);
    Ok(FramesFiltered { ipv4: on("bridge/bridge-nf-call-iptables")?, ipv6: on("bridge/bridge-nf-call-ip6tables")? })
}
