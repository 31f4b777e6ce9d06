//! The host: a snapshot of what it has, and one function per operation.
#![forbid(unsafe_code)]

use std::os::fd::OwnedFd;

use nix::errno::Errno;

use super::error::Error;
use super::file::file_write;
use super::flows::{cut, outdated};
use super::netlink::arrival::Arrivals;
use super::netlink::nftables::Nftables;
use super::netlink::socket::Socket;
use super::netlink::{address, bridge_port, link, neighbour, route};
use super::server::{Leaving, server_reload, server_start, server_stop};
use super::sys::{ethtool, sysctl, tun};
use crate::model::{
    Address, Change, Elements, IfName, Link, Mark, Master, NetworkName, NewBridge, Operation, Route, Setting, TapState,
};

/// What concerns guests' links that stay.
#[derive(Debug)]
pub(super) struct TapVerbs {
    /// Tells what there is to know of one.
    pub(super) look: fn(&mut Host, &Link) -> Result<Option<TapState>, Error>,
    /// Carries out an operation on one.
    pub(super) execute: fn(&mut Host, &IfName, &Setting) -> Result<(), Error>,
}

/// What makes a link speak IP, as the host's own place on a LAN asks.
#[derive(Debug)]
pub(super) struct IpVerbs {
    /// Changes one setting of the link of this index.
    pub(super) set: fn(&mut Host, u32, &Setting) -> Result<(), Error>,
    /// Leads a route from the link of the first index over the one of the second.
    pub(super) reroute: fn(&mut Host, &Route, u32, u32) -> Result<(), Error>,
}

/// The kernel of this network namespace, through one netlink socket for links and, where it is asked, one for the
/// firewall.
#[derive(Debug)]
pub struct Host {
    socket: Socket,
    nftables: Option<Nftables>,
    /// The mark that our firewall sets on what it lets through.
    mark: u32,
    /// The links that were looked up: an operation names a link, the kernel is told its index, and a link that was
    /// renamed meanwhile is never mistaken for another.
    known: Vec<(IfName, u32)>,
    /// For guests' links that stay: only a program that says so links these, and the hook does not.
    pub(super) taps: Option<&'static TapVerbs>,
    /// The same for what makes links speak IP.
    pub(super) ip: Option<&'static IpVerbs>,
    /// The queues of taps that were made, and go with this process until they are told to stay.
    pub(super) held: Vec<(IfName, OwnedFd)>,
    /// Servers that were told to end, and may still be there.
    leaving: Vec<Leaving>,
    /// Addresses of IPv6 that were added, and may not be in use yet.
    pub(super) arriving: Option<Arrivals>,
}

impl Host {
    /// Opens the socket. `mark` is what our firewall sets on packets that it lets through.
    pub fn open(mark: u32) -> Result<Self, Error> {
        Ok(Self {
            socket: Socket::open_route()?,
            nftables: None,
            mark,
            known: Vec::new(),
            taps: None,
            ip: None,
            held: Vec::new(),
            leaving: Vec::new(),
            arriving: None,
        })
    }

    /// The mark that our firewall sets.
    pub const fn mark(&self) -> u32 {
        self.mark
    }

    pub(super) const fn socket(&mut self) -> &mut Socket {
        &mut self.socket
    }

    pub(super) fn nftables(&mut self) -> Result<&mut Nftables, Error> {
        match &mut self.nftables {
            Some(nftables) => Ok(nftables),
            none => {
                let opened = Nftables::open().map_err(|error| match error.errno {
                    Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => {
                        error.of("opening the firewall, for which the kernel needs its module nf_tables,")
                    }
                    _ => error,
                });
                Ok(none.insert(opened?))
            }
        }
    }

    /// The link of this name, or alternative name, if there is one.
    pub fn link(&mut self, name: &IfName) -> Result<Option<Link>, Error> {
        let Some((mut link, master)) = link::link_by_name(&mut self.socket, name)? else { return Ok(None) };
        self.know(&link);
        if let Some(index) = master {
            link.master = Some(Master { index, name: self.name(index)? });
        }
        Ok(Some(link))
    }

    pub(super) fn know(&mut self, link: &Link) {
        self.known.retain(|(known, _)| *known != link.name);
        self.known.push((link.name.clone(), link.index));
    }

    fn name(&mut self, index: u32) -> Result<IfName, Error> {
        match self.known.iter().find(|(_, known)| *known == index) {
            Some((name, _)) => Ok(name.clone()),
            None => {
                let name = link::name_by_index(&mut self.socket, index)?;
                self.known.retain(|(known, _)| *known != name);
                self.known.push((name.clone(), index));
                Ok(name)
            }
        }
    }

    /// What else there is to know of a link that we made to stay, in a program that has to do with such.
    pub fn made(&mut self, link: &Link) -> Result<Option<TapState>, Error> {
        match (self.taps, link.mark()) {
            (Some(verbs), Some(Mark::Persistent(_))) => (verbs.look)(self, link),
            _ => Ok(None),
        }
    }

    /// The host's addresses on a link, without link-local ones.
    pub fn addresses(&mut self, link: &Link) -> Result<Vec<Address>, Error> {
        address::addresses_of(&mut self.socket, link.index)
    }

    /// Whether the link is a bridge's port that sends back what came in by it.
    pub fn hairpin(&mut self, link: &Link) -> Result<bool, Error> {
        Ok(bridge_port::hairpin_of(&mut self.socket, link.index)?.unwrap_or(false))
    }

    /// The ports of a bridge.
    pub fn ports(&mut self, bridge: &Link) -> Result<Vec<Link>, Error> {
        link::ports_of(&mut self.socket, bridge.index)
    }

    /// The links that carry the mark of this network, each with what it is a port of.
    pub fn links_of(&mut self, network: &NetworkName) -> Result<Vec<Link>, Error> {
        let mut found: Vec<(Link, Option<u32>)> = Vec::new();
        link::links(&mut self.socket, |link, master| {
            let is_ours = link.mark().is_some_and(|mark| mark.is_of(network));
            // A list that was begun anew shows some twice.
            if is_ours && !found.iter().any(|(known, _)| known.index == link.index) {
                found.push((link, master));
            }
        })?;
        found.iter().for_each(|(link, _)| self.know(link));
        found
            .into_iter()
            .map(|(mut link, master)| {
                link.master = master.map(|index| Ok(Master { index, name: self.name(index)? })).transpose()?;
                Ok(link)
            })
            .collect()
    }

    /// The name of the link that carries the host's default route.
    pub fn default_route_link(&mut self) -> Result<Option<IfName>, Error> {
        match route::default_route_link()? {
            Some(index) => link::name_by_index(&mut self.socket, index).map(Some),
            None => Ok(None),
        }
    }

    /// Carries out one operation.
    pub fn execute(&mut self, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::Link(name, Setting::Bridge(change)) => self.bridge(name, change),
            Operation::Link(name, setting @ (Setting::Tap(_) | Setting::Stays(_) | Setting::Node(_))) => {
                let verbs = self.taps.ok_or_else(|| Error::new(format!("making {name}"), Errno::ENOTSUP))?;
                (verbs.execute)(self, name, setting)
            }
            Operation::Link(name, setting) => self.set(name, setting),
            Operation::Reroute(route, change) => {
                let (before, after) = (self.index(&change.before)?, self.index(&change.after)?);
                (self.ip_verbs()?.reroute)(self, route, before, after)
            }
            Operation::Host(sysctl, change) => sysctl::write_host(*sysctl, change.after),
            Operation::Firewall(network, change) => self.firewall_change(network, change),
            Operation::Rebuild(elements) => {
                let mark = self.mark;
                self.nftables()?.rebuild(elements, mark)
            }
            Operation::Docker(table, change) => {
                let mark = self.mark;
                self.nftables()?.docker_change(*table, change.after, mark)
            }
            Operation::File(path, change) => file_write(path, change.after.as_deref()),
            Operation::Server(server, change) if change.after => {
                // One of its name and place may be about to end.
                self.settle()?;
                server_start(&mut self.socket, server)
            }
            Operation::Server(server, _) => {
                self.leaving.extend(server_stop(&mut self.socket, server)?);
                Ok(())
            }
            Operation::Reload(server) => server_reload(server),
        }
    }

    /// Waits for what takes its time: servers that were told to end.
    pub fn settle(&mut self) -> Result<(), Error> {
        self.leaving.drain(..).try_for_each(Leaving::wait)
    }

    /// Changes one setting of a link that was looked up.
    fn set(&mut self, name: &IfName, setting: &Setting) -> Result<(), Error> {
        let index = self.index(name)?;
        let socket = &mut self.socket;
        match setting {
            Setting::Bridge(_) | Setting::Tap(_) | Setting::Stays(_) | Setting::Node(_) => Ok(()),
            Setting::Alias(change) => link::link_set_alias(socket, index, change.after.as_deref()),
            Setting::Mtu(change) => link::link_set_mtu(socket, index, change.after),
            Setting::Mac(change) => link::link_set_mac(socket, index, &change.after),
            Setting::AddrGen(change) => link::link_set_addr_gen(socket, index, change.after),
            Setting::BridgeOptions(change) => link::bridge_set_options(socket, index, &change.after),
            Setting::Sysctl(sysctl, change) => sysctl::write(*sysctl, name.as_str(), change.after),
            Setting::Address(address, change) if change.after => address::address_add(socket, index, address),
            Setting::Address(address, _) => address::address_delete(socket, index, address),
            Setting::HostAddress(..)
            | Setting::AddressFlags(..)
            | Setting::Route(..)
            | Setting::Neighbour(..)
            | Setting::Running(_) => (self.ip_verbs()?.set)(self, index, setting),
            Setting::Master(change) => {
                let master = change.after.as_ref().map(|bridge| self.index(bridge)).transpose()?;
                link::link_set_master(&mut self.socket, index, master)
            }
            Setting::Open(change) if change.after => Ok(()),
            Setting::Open(_) => tun::close_to_others(name),
            Setting::Persistent(change) if change.after => Ok(()),
            Setting::Persistent(_) => tun::let_go(name),
            Setting::Hairpin(change) => bridge_port::link_set_hairpin(socket, index, change.after),
            Setting::ChecksumOffload(change) => ethtool::set_tx_checksum(name, change.after),
            Setting::Proxy(ip, change) if change.after => neighbour::proxy_add(socket, index, *ip),
            Setting::Proxy(ip, _) => neighbour::proxy_delete(socket, index, *ip),
            Setting::Up(change) => link::link_set_up(socket, index, change.after),
        }
    }

    fn ip_verbs(&self) -> Result<&'static IpVerbs, Error> {
        self.ip.ok_or_else(|| Error::new("changing what makes a link speak IP", Errno::ENOTSUP))
    }

    fn bridge(&mut self, name: &IfName, change: &Change<Option<NewBridge>>) -> Result<(), Error> {
        match (&change.before, &change.after) {
            (_, Some(new)) => {
                link::bridge_create(&mut self.socket, name, new)?;
                // Whatever this says, the bridge is made and would have to be deleted.
                self.link(name).map(drop).map_err(|error| Error { answer_lost: true, ..error })
            }
            (Some(ours), None) => match self.link(name)? {
                // The MAC that only we give: another's bridge, made meanwhile, is never deleted.
                Some(link) if link.mac == ours.mac => link::link_delete(&mut self.socket, link.index),
                _ => Ok(()),
            },
            (None, None) => Ok(()),
        }
    }

    /// Changes what the firewall holds of a network; connections that are not let through any more end at once.
    fn firewall_change(&mut self, network: &NetworkName, change: &Change<Elements>) -> Result<(), Error> {
        let (mark, deadline) = (self.mark, super::sys::clock::now() + super::server::PATIENCE);
        let more = || super::sys::clock::now() < deadline;
        self.nftables()?.change(network, &change.before, &change.after, mark, &more)?;
        let outdated = outdated(change);
        // The firewall is changed by now, whatever becomes of this.
        if outdated.is_empty() { Ok(()) } else { cut(&outdated).map_err(|error| Error { answer_lost: true, ..error }) }
    }

    pub(super) fn index(&self, name: &IfName) -> Result<u32, Error> {
        let known = self.known.iter().find(|(known, _)| known == name);
        known.map(|(_, index)| *index).ok_or_else(|| Error::new(format!("finding the link {name}"), Errno::ENODEV))
    }
}
