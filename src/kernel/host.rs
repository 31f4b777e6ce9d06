//! The host: a snapshot of what it has, and one function per operation.
#![forbid(unsafe_code)]

use nix::errno::Errno;

use super::error::Error;
use super::netlink::socket::Socket;
use super::netlink::{address, link, route};
use super::sys::{sysctl, tun};
use crate::model::{Address, Change, Groundwork, IfName, Link, Mac, Master, NewBridge, Operation, Setting, Sysctl};

/// The kernel of this network namespace, through one netlink socket.
#[derive(Debug)]
pub struct Host {
    socket: Socket,
    /// The links that were looked up: an operation names a link, the kernel is told its index, and a link that was
    /// renamed meanwhile is never mistaken for another.
    known: Vec<(IfName, u32)>,
}

impl Host {
    /// Opens the socket.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open_route()?, known: Vec::new() })
    }

    /// The link of this name, or alternative name, if there is one.
    pub fn link(&mut self, name: &IfName) -> Result<Option<Link>, Error> {
        let Some((mut link, master)) = link::link_by_name(&mut self.socket, name)? else { return Ok(None) };
        self.known.retain(|(known, _)| *known != link.name);
        self.known.push((link.name.clone(), link.index));
        if let Some(index) = master {
            link.master = Some(Master { index, name: self.name(index)? });
        }
        Ok(Some(link))
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

    /// The host's addresses on a link, without link-local ones.
    pub fn addresses(&mut self, link: &Link) -> Result<Vec<Address>, Error> {
        address::addresses_of(&mut self.socket, link.index)
    }

    /// The name of the link that carries the host's default route.
    pub fn default_route_link(&mut self) -> Result<Option<IfName>, Error> {
        match route::default_route_link()? {
            Some(index) => link::name_by_index(&mut self.socket, index).map(Some),
            None => Ok(None),
        }
    }

    /// What a bridge of this name, there or not, has or would start with.
    pub fn groundwork(&mut self, name: &IfName, bridge: Option<&Link>, machine_id: &[u8]) -> Result<Groundwork, Error> {
        let addresses = match bridge {
            Some(link) => self.addresses(link)?,
            None => Vec::new(),
        };
        let mut sysctls = Vec::new();
        for sysctl in Sysctl::ALL {
            let own = bridge.map_or(Ok(None), |link| sysctl::read(sysctl, link.name.as_str()))?;
            // A link that is yet to be made, or to get the MTU that carries IPv6, starts with these values.
            let value = own.map_or_else(|| sysctl::read(sysctl, "default"), |value| Ok(Some(value)))?;
            if value.is_none() && sysctl.place().0 == "ipv4" {
                return Err(Error::new("reading /proc/sys/net/ipv4, without which no bridge is safe,", Errno::ENOENT));
            }
            sysctls.extend(value.map(|value| (sysctl, value)));
        }
        Ok(Groundwork { derived_mac: Mac::derived(machine_id, name.as_str()), addresses, sysctls })
    }

    /// Carries out one operation.
    pub fn execute(&mut self, operation: &Operation) -> Result<(), Error> {
        let name = &operation.link;
        if let Setting::Bridge(change) = &operation.setting {
            return self.bridge(name, change);
        }
        let index = self.index(name)?;
        let socket = &mut self.socket;
        match &operation.setting {
            Setting::Bridge(_) => Ok(()),
            Setting::Alias(change) => link::link_set_alias(socket, index, change.after.as_deref()),
            Setting::Mtu(change) => link::link_set_mtu(socket, index, change.after),
            Setting::Mac(change) => link::link_set_mac(socket, index, &change.after),
            Setting::AddrGen(change) => link::link_set_addr_gen(socket, index, change.after),
            Setting::BridgeOptions(change) => link::bridge_set_options(socket, index, &change.after),
            Setting::Sysctl(sysctl, change) => sysctl::write(*sysctl, name.as_str(), change.after),
            Setting::Address(address, change) if change.after => address::address_add(socket, index, address),
            Setting::Address(address, _) => address::address_delete(socket, index, address),
            Setting::Master(change) => {
                let master = change.after.as_ref().map(|bridge| self.index(bridge)).transpose()?;
                link::link_set_master(&mut self.socket, index, master)
            }
            Setting::Open(change) if change.after => Ok(()),
            Setting::Open(_) => tun::close_to_others(name),
            Setting::Up(change) => link::link_set_up(socket, index, change.after),
        }
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

    fn index(&self, name: &IfName) -> Result<u32, Error> {
        let known = self.known.iter().find(|(known, _)| known == name);
        known.map(|(_, index)| *index).ok_or_else(|| Error::new(format!("finding the link {name}"), Errno::ENODEV))
    }
}
