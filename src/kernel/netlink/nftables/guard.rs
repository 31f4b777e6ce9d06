//! The guard of a port that a helper without the network's lock makes: a batch that adds its elements, and takes out those
//! of ports that are gone.

use std::collections::BTreeSet;

use nix::errno::Errno;

use super::Nftables;
use super::batch::{Batch, Table};
use super::element::{element_delete, element_new};
use super::look;
use super::ruleset::{table_delete, table_make};
use super::set::Set;
use crate::kernel::error::Error;
use crate::kernel::netlink::socket::Socket;
use crate::model::{Element, Elements, IfName, NetworkName, Tables};

/// What is to guard a port.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// The network that it is a port of.
    pub network: &'a NetworkName,
    /// The bridge.
    pub bridge: &'a IfName,
    /// Whether the network's firewall has to be there, for the bridge is one that we make.
    pub is_ours: bool,
    /// What there is to add. Who looked at the network meanwhile may have added it: the port is there before its guard.
    pub elements: &'a Elements,
    /// What our firewall marks.
    pub mark: u32,
}

/// What the guard asks of the links: anew for each look at the tables, and after it.
pub trait LinksThere {
    /// The numbers of all links that may be guarded and are there.
    ///
    /// # Errors
    /// Those of listing them.
    fn taps(&mut self) -> Result<Vec<u32>, Error>;

    /// The numbers of all links that a network owns, or that are lent on one: there are tables for them.
    ///
    /// # Errors
    /// Those of listing them.
    fn of_networks(&mut self) -> Result<Vec<u32>, Error>;
}

impl Nftables {
    /// Adds what guards a port, and takes out what guarded ports that are gone. Where the bridge is not ours, and there are
    /// no tables, and no other link that needs them, it makes them.
    ///
    /// # Errors
    /// `EUCLEAN` where the tables, or what is ours of the network in them, are gone or damaged: `vnet repair` mends
    /// that. `ERESTART` where others changed the ruleset all the time.
    pub fn guard(&mut self, guard: &Guard<'_>, links: &mut dyn LinksThere) -> Result<(), Error> {
        self.settle(&|| true, |socket, generation| {
            let there = guard.tables(socket)?;
            let (gone, had) = if there {
                guard.elements_found(socket, links)?
            } else {
                guard.must_be_first(links)?;
                Default::default()
            };
            let mut batch = Batch::begin(generation);
            if !there {
                Table::BOTH.into_iter().for_each(|table| table_make(&mut batch, table, guard.mark));
            }
            gone.iter().for_each(|element| element_delete(&mut batch, element));
            let new = guard.elements.iter().filter(|element| !had.contains(*element));
            new.for_each(|element| element_new(&mut batch, guard.network, element));
            batch.finish().send(socket).map(Some)
        })
    }

    /// Takes out what guarded a port, of which some may be gone already; with the last element of all the tables go.
    ///
    /// # Errors
    /// `ERESTART` where others changed the ruleset all the time.
    pub fn unguard(&mut self, elements: &Elements, mark: u32) -> Result<(), Error> {
        self.settle(&|| true, |socket, generation| {
            let found = look::firewall(socket, mark, generation)?;
            let (removed, kept): (Vec<_>, Vec<_>) =
                found.elements.iter().map(|(_, element)| element).partition(|element| elements.contains(element));
            let mut batch = Batch::begin(generation);
            if found.tables == Tables::Whole && kept.is_empty() {
                Table::BOTH.into_iter().for_each(|table| table_delete(&mut batch, table));
            } else {
                removed.into_iter().for_each(|element| element_delete(&mut batch, element));
            }
            if batch.is_empty() { Ok(Some(())) } else { batch.finish().send(socket).map(Some) }
        })
    }
}

impl Guard<'_> {
    /// Whether the tables are there; they may be absent only where the network needs none of `inet vnet`.
    ///
    /// Of `inet vnet` only the network's own bridge is looked up, which is gone when the table or its elements are. A look at
    /// all of its chains and rules would more than double what a guard takes: 825 us instead of 385 on Linux 6.18, 2 processors.
    /// `up`, `repair` and the hook's full look have it.
    fn tables(&self, socket: &mut Socket) -> Result<bool, Error> {
        let bridge = look::table_look(socket, Table::Bridge, self.mark)?;
        let there = bridge == Tables::Whole;
        let good = bridge != Tables::Damaged
            && if self.is_ours {
                there && look::bridge_owner(socket, self.bridge)?.as_ref() == Some(self.network)
            } else {
                look::table_is_there(socket, Table::Inet)? == there
            };
        if good { Ok(there) } else { Err(self.damaged()) }
    }

    /// The elements that guard links that are gone, or this port otherwise than they should, and those that guard it as they
    /// should.
    fn elements_found(
        &self,
        socket: &mut Socket,
        links: &mut dyn LinksThere,
    ) -> Result<(Vec<Element>, Elements), Error> {
        let guarded: BTreeSet<u32> = found_in(socket, Set::Guarded)?.iter().filter_map(Element::guarded).collect();
        let live = links.taps()?;
        let own = self.own();
        let matters = |link: u32| own.contains(&link) || !live.contains(&link);
        if !guarded.iter().any(|link| matters(*link)) {
            return Ok(Default::default());
        }
        let mut elements = Vec::new();
        for set in Set::OF_LINKS {
            elements.extend(found_in(socket, set)?);
        }
        elements.retain(|element| element.guarded().is_some_and(|link| guarded.contains(&link) && matters(link)));
        let (had, gone): (Vec<_>, Vec<_>) = elements.into_iter().partition(|element| self.elements.contains(element));
        Ok((gone, had.into_iter().collect()))
    }

    /// No other link needs the tables that are absent. Empty ones in their place would hide that others lost theirs.
    fn must_be_first(&self, links: &mut dyn LinksThere) -> Result<(), Error> {
        let own = self.own();
        if links.of_networks()?.iter().all(|link| own.contains(link)) { Ok(()) } else { Err(self.damaged()) }
    }

    /// The numbers of the links that are to be guarded.
    fn own(&self) -> BTreeSet<u32> {
        self.elements.iter().filter_map(Element::guarded).collect()
    }

    fn damaged(&self) -> Error {
        let request = format!("guarding a port of the network {}, whose firewall is gone or damaged,", self.network);
        Error::new(request, Errno::EUCLEAN)
    }
}

fn found_in(socket: &mut Socket, set: Set) -> Result<Vec<Element>, Error> {
    let mut found = Vec::new();
    look::set_look(socket, set, &mut found)?;
    Ok(found.into_iter().map(|(_, element)| element).collect())
}
