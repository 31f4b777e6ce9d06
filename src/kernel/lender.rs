//! A tap for a user: made, marked, guarded, attached, and handed over.
//!
//! All that has to be opened is open before the process gives up opening anything, and nothing is changed by that. The
//! tap goes with its queue: whatever fails, and wherever this ends, the kernel removes it. What guards it is taken out
//! again by who put it there, or by whoever next puts something there.
#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::error::Error;
use super::netlink::bridge_port::{link_set_guarded, link_set_hairpin};
use super::netlink::lent::{TapOwner, lent_join, lent_prepare, tap_owners};
use super::netlink::link::{link_by_index, link_by_name, links};
use super::netlink::nftables::{Guard, LinksThere, Nftables};
use super::netlink::socket::Socket;
use super::sys::tun;
use crate::model::{Elements, IfName, Link, Loan, Mac, Mark};

/// What is needed to lend a tap.
#[derive(Debug)]
pub struct Lender {
    queue: OwnedFd,
    socket: Socket,
    nftables: Option<Nftables>,
}

impl Lender {
    /// Opens /dev/net/tun and netlink, and nf_tables where the tap is to be guarded.
    ///
    /// # Errors
    /// Those of opening them.
    pub fn open(guards: bool) -> Result<Self, Error> {
        let nftables = if guards { Some(Nftables::open()?) } else { None };
        Ok(Self { queue: tun::open()?, socket: Socket::open_route()?, nftables })
    }

    /// The link of this name, or alternative name, if there is one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn link(&mut self, name: &IfName) -> Result<Option<Link>, Error> {
        Ok(link_by_name(&mut self.socket, name)?.map(|(link, _)| link))
    }

    /// Makes the tap, down, as this user's. See [`tun::create_for`].
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(&mut self, name: &str, user: u32, checksums: bool) -> Result<Link, Error> {
        let name = tun::create_for(&self.queue, name, user, checksums)?;
        let made = link_by_name(&mut self.socket, &name)?;
        made.map(|(link, _)| link).ok_or_else(|| Error::new(format!("looking up the new tap {name}"), Errno::ENODEV))
    }

    /// Marks the tap and gives it its MAC and its MTU, in bytes.
    ///
    /// # Errors
    /// The kernel's.
    pub fn prepare(&mut self, tap: &Link, loan: &Loan, mac: &Mac, mtu: u32) -> Result<(), Error> {
        lent_prepare(&mut self.socket, tap.index, loan, mac, mtu)
    }

    /// All taps that are there, and on whose account each is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tap_owners(&mut self) -> Result<Vec<TapOwner>, Error> {
        tap_owners(&mut self.socket)
    }

    /// Guards the tap, and takes out what guarded taps that are gone.
    ///
    /// # Errors
    /// See [`Nftables::guard`].
    pub fn guard(&mut self, guard: &Guard<'_>) -> Result<(), Error> {
        let Self { socket, nftables: Some(nftables), .. } = self else { return Ok(()) };
        nftables.guard(guard, &mut Links(socket))
    }

    /// Takes out what guards the tap.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unguard(&mut self, elements: &Elements, mark: u32) -> Result<(), Error> {
        self.nftables.as_mut().map_or(Ok(()), |nftables| nftables.unguard(elements, mark))
    }

    /// Makes the tap a port of the bridge with this number, and sets it up; frames may leave by it that came in by it where
    /// `hairpin`, and none comes in past the guard where it is `guarded`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn join(&mut self, tap: &Link, bridge: u32, hairpin: bool, guarded: bool) -> Result<(), Error> {
        lent_join(&mut self.socket, tap.index, bridge)?;
        match (guarded, hairpin) {
            (true, _) => link_set_guarded(&mut self.socket, tap.index, hairpin),
            (false, true) => link_set_hairpin(&mut self.socket, tap.index, true),
            (false, false) => Ok(()),
        }
    }

    /// The tap as it is now, and the number of the bridge that it is a port of.
    ///
    /// # Errors
    /// The kernel's.
    pub fn look(&mut self, tap: &Link) -> Result<(Link, Option<u32>), Error> {
        link_by_index(&mut self.socket, tap.index)
    }

    /// The tap's queue.
    pub fn queue(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// The links that there are.
struct Links<'a>(&'a mut Socket);

impl LinksThere for Links<'_> {
    fn taps(&mut self) -> Result<Vec<u32>, Error> {
        Ok(tap_owners(self.0)?.into_iter().map(|tap| tap.index).collect())
    }

    fn of_networks(&mut self) -> Result<Vec<u32>, Error> {
        let mut found = Vec::new();
        links(self.0, |link, _| {
            // What another helper is just making has no guard yet, and lost none.
            let has_lost = !link.is_being_lent();
            if let (true, Some(Mark::Owned(..) | Mark::Lent(Loan { network: Some(_), .. }))) = (has_lost, link.mark()) {
                found.push(link.index);
            }
        })?;
        Ok(found)
    }
}
