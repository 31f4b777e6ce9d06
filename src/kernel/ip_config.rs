//! What makes a link speak IP: looked at, and changed with all that the kernel told of it.
#![forbid(unsafe_code)]

use std::net::IpAddr;

use super::error::Error;
use super::host::{Host, IpVerbs};
use super::netlink::arrival::Arrivals;
use super::netlink::{ip_config, running};
use crate::model::{HostAddress, IpConfig, Link, Setting};

const VERBS: IpVerbs = IpVerbs {
    set: Host::ip_set,
    reroute: |host, route, before, after| ip_config::route_move(host.socket(), route, before, after),
};

impl Host {
    /// The same host, on which what makes links speak IP can be changed.
    #[must_use]
    pub fn with_ip_config(mut self) -> Self {
        self.ip = Some(&VERBS);
        self
    }

    /// What makes the link speak IP.
    pub fn ip_config(&mut self, link: &Link) -> Result<IpConfig, Error> {
        ip_config::ip_config_of(self.socket(), link.index, &link.name)
    }

    fn ip_set(&mut self, index: u32, setting: &Setting) -> Result<(), Error> {
        let socket = self.socket();
        match setting {
            Setting::HostAddress(address, change) => self.host_address(index, address, change.after),
            Setting::AddressFlags(address, change) => {
                ip_config::address_set_flags(socket, index, address, change.after)
            }
            Setting::Route(route, change) if change.after => ip_config::route_add(socket, index, route),
            Setting::Route(route, _) => ip_config::route_delete(socket, index, route),
            Setting::Neighbour(neighbour, change) if change.after => ip_config::neighbour_add(socket, index, neighbour),
            Setting::Neighbour(neighbour, _) => ip_config::neighbour_delete(socket, index, neighbour),
            Setting::Running(change) if change.after => running::wait(index),
            _ => Ok(()),
        }
    }

    /// Gives a link an address, or takes it: that only when those that came to other links are in use.
    fn host_address(&mut self, index: u32, address: &HostAddress, on: bool) -> Result<(), Error> {
        if !on {
            self.arriving.take().map_or(Ok(()), Arrivals::wait)?;
            return ip_config::address_delete(self.socket(), index, address);
        }
        let IpAddr::V6(ip) = address.ip else { return ip_config::address_add(self.socket(), index, address) };
        let mut arriving = self.arriving.take().map_or_else(Arrivals::open, Ok)?;
        ip_config::address_add(self.socket(), index, address)?;
        if address.is_at_once() {
            arriving.expect(ip, index);
        }
        self.arriving = Some(arriving);
        Ok(())
    }
}
