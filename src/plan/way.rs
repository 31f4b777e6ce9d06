//! The way on which what makes a link speak IP goes over from one to another.

use super::Plan;
use crate::model::{Change, HostAddress, IfName, IpConfig, Neighbour, Operation, Route, Setting};

/// What makes a link speak IP goes over from one to another, as far as it has not yet.
pub(super) struct Way<'a> {
    pub(super) config: &'a IpConfig,
    pub(super) from: (&'a IfName, &'a IpConfig),
    pub(super) to: (&'a IfName, &'a IpConfig),
    /// Whether that other is up. On one that is down the kernel takes no address into use, unless it need not ask around.
    pub(super) to_up: bool,
}

impl Way<'_> {
    /// The addresses, in the order in which the kernel lists them then: it puts a new one of IPv4 behind the others, and
    /// one of IPv6 before them.
    pub(super) fn arrive(&self, plan: &mut Plan) {
        let (to, has) = self.to;
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = self.config.addresses.iter().partition(|address| address.ip.is_ipv4());
        for address in ipv4.into_iter().chain(ipv6.into_iter().rev()).filter(|address| !is_among(address, has)) {
            plan.change(to, Setting::HostAddress(Box::new(self.arriving(address)), Change::new(false, true)));
        }
    }

    /// The neighbours: those that somebody set, and with them, while the host moves, those that are known, or the first
    /// packets would wait for an answer to who has their MACs.
    pub(super) fn acquaint(&self, plan: &mut Plan, moves: bool) {
        let ((_, known), (to, has)) = (self.from, self.to);
        let missing = |neighbour: &&Neighbour| !has.neighbours.contains(neighbour);
        let unknown = |neighbour: &&Neighbour| !has.neighbours.iter().any(|other| other.ip == neighbour.ip);
        let set = self.config.neighbours.iter().filter(|neighbour| neighbour.permanent).filter(missing);
        let met = known.neighbours.iter().filter(|neighbour| moves && !neighbour.permanent).filter(unknown);
        for neighbour in set.chain(met) {
            plan.change(to, Setting::Neighbour(*neighbour, Change::new(false, true)));
        }
    }

    /// An address as it is when it comes.
    fn arriving(&self, address: &HostAddress) -> HostAddress {
        if self.to_up { address.at_once() } else { address.clone() }
    }

    /// The routes: none is without a link at any moment. Those without a gateway are on both links while the others are
    /// led over, for the kernel takes no gateway that it cannot reach by the same link, on the way back neither.
    pub(super) fn lead(&self, plan: &mut Plan) {
        let ((from, old), (to, new)) = (self.from, self.to);
        let (by_gateway, direct): (Vec<_>, Vec<_>) = self.config.routes.iter().partition(|route| route.has_gateway());
        let boxed = |route: &&Route| Box::new((*route).clone());
        for route in direct.iter().filter(|route| !new.routes.contains(route)) {
            plan.change(to, Setting::Route(boxed(route), Change::new(false, true)));
        }
        for route in &by_gateway {
            match (old.routes.contains(route), new.routes.contains(route)) {
                (true, false) => {
                    plan.push(Operation::Reroute(boxed(route), Change::new(from.clone(), to.clone())));
                }
                (true, true) => plan.change(from, Setting::Route(boxed(route), Change::new(true, false))),
                (false, false) => plan.change(to, Setting::Route(boxed(route), Change::new(false, true))),
                (false, true) => {}
            }
        }
        for route in direct.iter().filter(|route| old.routes.contains(route)) {
            plan.change(from, Setting::Route(boxed(route), Change::new(true, false)));
        }
    }

    /// The addresses go where they are no longer needed: IPv4's from the last, for the kernel takes those with it that
    /// came after the first of a subnet. So that they could come back at once, IPv6's are told not to ask around first.
    pub(super) fn leave(&self, plan: &mut Plan) {
        let (from, has) = self.from;
        // The kernel forgets all of IPv4's with the last address, and would not tell the way back of it.
        for neighbour in has.neighbours.iter().filter(|neighbour| neighbour.permanent) {
            if self.config.neighbours.contains(neighbour) {
                plan.change(from, Setting::Neighbour(*neighbour, Change::new(true, false)));
            }
        }
        let moved = has.addresses.iter().filter(|address| is_among(address, self.config));
        let (ipv4, ipv6): (Vec<_>, Vec<_>) = moved.partition(|address| address.ip.is_ipv4());
        for address in ipv4.into_iter().rev().chain(ipv6) {
            let once = Box::new(address.at_once());
            plan.change(from, Setting::AddressFlags(once.clone(), Change::new(address.flags, once.flags)));
            plan.change(from, Setting::HostAddress(once, Change::new(true, false)));
        }
    }

    /// The addresses get the flags that they had.
    pub(super) fn settle(&self, plan: &mut Plan) {
        let (to, has) = self.to;
        for address in self.config.addresses.iter().filter(|address| address.ip.is_ipv6()) {
            let there = has.addresses.iter().find(|other| other.is_same(address));
            let before = there.map_or_else(|| self.arriving(address).flags, |there| there.flags);
            let once = Box::new(address.clone());
            plan.change(to, Setting::AddressFlags(once, Change::new(before, address.flags)));
        }
    }
}

pub(super) fn is_among(address: &HostAddress, config: &IpConfig) -> bool {
    config.addresses.iter().any(|other| other.is_same(address))
}
