//! What a bridge keeps about one of its ports.

use nix::errno::Errno;

use super::link::{IFLA_LINKINFO, RTM_SETLINK, ask, header};
use super::link_read::find;
use super::socket::{Socket, malformed};
use super::wire::{Malformed, Message, Request};
use crate::kernel::error::Error;

// linux/if_link.h
const IFLA_PROTINFO: u16 = 12;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
/// Whether hairpin mode is on, as the kernel names it.
const IFLA_BRPORT_MODE: u16 = 4;
/// Whether a frame of the spanning tree protocol that comes in shuts the port.
const IFLA_BRPORT_GUARD: u16 = 5;
const AF_BRIDGE: u8 = 7;

/// Lets a frame leave by the port that it came in by, or not: a guest that reaches itself by one of its forwards
/// needs that.
pub fn link_set_hairpin(socket: &mut Socket, index: u32, on: bool) -> Result<(), Error> {
    set(socket, index, IFLA_BRPORT_MODE, on)
}

/// Shuts the port as soon as a frame of the spanning tree protocol comes in by it, or not. No rule of a firewall sees such a
/// frame where the bridge itself takes part in the protocol.
pub fn link_set_bpdu_guard(socket: &mut Socket, index: u32, on: bool) -> Result<(), Error> {
    set(socket, index, IFLA_BRPORT_GUARD, on)
}

fn set(socket: &mut Socket, index: u32, flag: u16, on: bool) -> Result<(), Error> {
    let mut of_bridge = header(index, 0, 0);
    let [family, ..] = &mut of_bridge;
    *family = AF_BRIDGE;
    let request = Request::new(RTM_SETLINK, 0, &of_bridge).nest(IFLA_PROTINFO, |port| port.attr_u8(flag, u8::from(on)));
    socket.change(request).map_err(|error| error.of(format!("RTM_SETLINK of port number {index}")))
}

/// Whether a frame may leave by the port that it came in by; `None` if the link is no bridge's port.
pub fn hairpin_of(socket: &mut Socket, index: u32) -> Result<Option<bool>, Error> {
    let read = |message: &Message<'_>| hairpin_read(message).map_err(malformed);
    match socket.get(ask(index), read) {
        // It went meanwhile.
        Err(error) if error.errno == Errno::ENODEV => Ok(None),
        found => found.map_err(|error| error.of(format!("looking up port number {index}"))),
    }
}

pub(super) fn hairpin_read(message: &Message<'_>) -> Result<Option<bool>, Malformed> {
    let (_, mut attributes) = message.split::<16>()?;
    for kind in [IFLA_LINKINFO, IFLA_INFO_SLAVE_DATA] {
        match find(attributes, kind)? {
            Some(attribute) => attributes = attribute.nested(),
            None => return Ok(None),
        }
    }
    find(attributes, IFLA_BRPORT_MODE)?.map(|mode| Ok(mode.u8()? != 0)).transpose()
}

#[cfg(test)]
#[path = "bridge_port_tests.rs"]
mod tests;
