//! Our tables of nf_tables, `inet vnet` and `bridge vnet`: their chains never change, and networks are elements of
//! their sets.
//!
//! Each change is one batch that the kernel carries out as a whole or not at all, for the generation of the ruleset
//! that was looked at; where another program was faster, it is looked at again.

mod barrier;
mod batch;
mod chains;
mod change;
mod docker;
mod element;
mod element_read;
mod expression;
mod field;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzz;
mod guard;
mod look;
mod rule_read;
mod ruleset;
mod ruleset_bridge;
mod set;

use nix::errno::Errno;

use self::batch::{Batch, Table};
use self::change::Change;
use self::element::element_new;
pub use self::guard::{Guard, LinksThere};
use self::ruleset::{table_delete, table_make, table_new};
use crate::kernel::error::Error;
use crate::kernel::netlink::socket::Socket;
use crate::model::{
    Barrier, DockerRule, DockerTable, Element, Elements, Firewall, IfName, NetworkName, Ruleset, Tables,
};

/// How often the ruleset is looked at again because it changed meanwhile.
const TRIES: usize = 100;

/// A connection to nf_tables.
#[derive(Debug)]
pub struct Nftables {
    socket: Socket,
}

impl Nftables {
    /// Connects.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { socket: Socket::open_netfilter()? })
    }

    /// The number that the kernel raises with each change of the ruleset, by whomever. Asking is one short message.
    pub fn generation(&mut self) -> Result<u32, Error> {
        look::generation(&mut self.socket)
    }

    /// All that our tables hold, of one generation. They are whole only if they give this mark.
    pub fn look(&mut self, mark: u32) -> Result<Firewall, Error> {
        self.settle(&|| true, |socket, generation| {
            let found = look::firewall(socket, mark, generation)?;
            Ok((look::generation(socket)? == generation).then_some(found))
        })
    }

    /// Makes a network's elements what they should be, and the tables where they are absent; removes the tables with
    /// the last element of all. Elements of `before` that are gone already are no error, nor are those of `after`
    /// that are there.
    ///
    /// # Errors
    /// `EUCLEAN` where the tables are damaged: [`Self::rebuild`] them. `EEXIST` where another network has an element
    /// of the same key. `ERESTART` where others changed the ruleset all the time, or `more` said to stop.
    pub fn change(
        &mut self,
        network: &NetworkName,
        before: &Elements,
        after: &Elements,
        mark: u32,
        more: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let change = Change { network, before, after, mark };
        let mut sure = false;
        self.settle(more, |socket, generation| {
            let tables = look::tables(socket, mark)?;
            // With the last element of all the tables go.
            let looks = tables == Tables::Whole && (sure || after.is_empty() && !look::has_others(socket, network)?);
            let (found, strange) = if looks { look::elements(socket)? } else { (Vec::new(), false) };
            if tables == Tables::Damaged || strange {
                return Err(Error::new("changing the firewall's tables, which somebody changed,", Errno::EUCLEAN));
            }
            let batch = change.batch(generation, tables, looks.then_some(found.as_slice()));
            if batch.is_empty() {
                return Ok(Some(()));
            }
            match batch.finish().send(socket) {
                // Something is there or gone already.
                Err(error) if !sure && matches!(error.errno, Errno::EEXIST | Errno::ENOENT) => {
                    sure = true;
                    Ok(None)
                }
                result => result.map(Some).map_err(|error| change.explain(error, &found)),
            }
        })
    }

    /// Makes both tables anew, with these elements and no others; with none at all it removes those that somebody
    /// changed, unless another run made them whole meanwhile.
    pub fn rebuild(&mut self, elements: &[(NetworkName, Element)], mark: u32) -> Result<(), Error> {
        if elements.is_empty() {
            return self.remove_damaged(mark);
        }
        self.settle(&|| true, |socket, generation| {
            let mut batch = Batch::begin(generation);
            for table in Table::BOTH {
                // Removing needs a table to be there.
                table_new(&mut batch, table, mark);
                table_delete(&mut batch, table);
                table_make(&mut batch, table, mark);
            }
            for (network, element) in elements {
                element_new(&mut batch, network, element);
            }
            batch.finish().send(socket).map(Some)
        })
    }

    fn remove_damaged(&mut self, mark: u32) -> Result<(), Error> {
        self.settle(&|| true, |socket, generation| {
            let found = look::firewall(socket, mark, generation)?;
            if found.tables == Tables::Damaged { remove(socket, generation).map(Some) } else { Ok(Some(())) }
        })
    }

    /// Removes both tables, if they are there.
    pub fn remove(&mut self) -> Result<(), Error> {
        self.settle(&|| true, |socket, generation| remove(socket, generation).map(Some))
    }

    /// The chains of other programs that stop what is forwarded, unless they let through what has this mark, or what
    /// stays on this bridge.
    pub fn barriers(&mut self, mark: u32, bridge: &IfName) -> Result<Vec<Barrier>, Error> {
        barrier::barriers(&mut self.socket, mark, bridge)
    }

    /// What there is of our rule, which accepts this mark, in Docker's chain of a table; `None` where there is no such
    /// chain.
    pub fn docker(&mut self, table: DockerTable, mark: u32) -> Result<Option<DockerRule>, Error> {
        docker::rule(&mut self.socket, table, mark)
    }

    /// Whether Docker keeps its firewall in tables of its own, which have no chain for others.
    pub fn docker_has_own_tables(&mut self) -> Result<bool, Error> {
        docker::has_own_tables(&mut self.socket)
    }

    /// Puts our rule into Docker's chain of a table, or takes it out. A chain that went meanwhile is left gone.
    pub fn docker_change(&mut self, table: DockerTable, after: DockerRule, mark: u32) -> Result<(), Error> {
        self.settle(&|| true, |socket, generation| {
            let batch = docker::batch(socket, generation, (table, mark), after)?;
            if batch.is_empty() { Ok(Some(())) } else { batch.finish().send(socket).map(Some) }
        })
    }

    /// All chains of other programs, with their rules.
    pub fn ruleset(&mut self) -> Result<Ruleset, Error> {
        chains::ruleset(&mut self.socket)
    }

    /// Tries something until it has a result; an error is one only if nobody changed the ruleset meanwhile.
    fn settle<T>(
        &mut self,
        more: &dyn Fn() -> bool,
        mut attempt: impl FnMut(&mut Socket, u32) -> Result<Option<T>, Error>,
    ) -> Result<T, Error> {
        let mut generation = self.generation()?;
        for _ in 0..TRIES {
            let result = attempt(&mut self.socket, generation);
            let now = match result {
                Ok(Some(result)) => return Ok(result),
                _ => self.generation()?,
            };
            match result {
                Err(error) if now == generation => return Err(error),
                _ if !more() => break,
                _ => generation = now,
            }
        }
        Err(Error::new("changing nf_tables' ruleset, which others change all the time,", Errno::ERESTART))
    }
}

fn remove(socket: &mut Socket, generation: u32) -> Result<(), Error> {
    let mut batch = Batch::begin(generation);
    for table in Table::BOTH {
        // Removing needs a table to be there.
        table_new(&mut batch, table, 0);
        table_delete(&mut batch, table);
    }
    batch.finish().send(socket)
}

#[cfg(test)]
#[path = "nftables_tests.rs"]
mod tests;
