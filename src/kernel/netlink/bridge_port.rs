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
/// Which groups' frames that no bridge forwards this one forwards, a bit for the last byte of each.
const IFLA_BRPORT_GROUP_FWD_MASK: u16 = 31;
/// All but those that pause a link (01:80:c2:00:00:01): the kernel takes no such bit, and drops these frames.
const ALL_GROUPS: u16 = 0xfffd;
const AF_BRIDGE: u8 = 7;

/// Lets a frame leave by the port that it came in by, or not: a guest that reaches itself by one of its forwards
/// needs that.
pub fn link_set_hairpin(socket: &mut Socket, index: u32, on: bool) -> Result<(), Error> {
    set(socket, index, |port| port.attr_u8(IFLA_BRPORT_MODE, u8::from(on)))
}

/// Has a port be such that no frame comes by it past the rules of `bridge vnet`, and lets frames leave by the port that they
/// came in by, or not.
///
/// Frames to the groups 01:80:c2:00:00:00 to 0f a bridge does not forward: it learns where they come from, and the host takes
/// them as the port's own, whatever is in them (`br_handle_frame`, and group_fwd_mask in `ip-link(8)`). Told to forward them
/// it shows them to its rules first. Should a frame of the spanning tree protocol get through all the same, it shuts the port.
pub fn link_set_guarded(socket: &mut Socket, index: u32, hairpin: bool) -> Result<(), Error> {
    set(socket, index, |port| {
        let port = port.attr_u8(IFLA_BRPORT_MODE, u8::from(hairpin)).attr_u8(IFLA_BRPORT_GUARD, 1);
        port.attr(IFLA_BRPORT_GROUP_FWD_MASK, &ALL_GROUPS.to_ne_bytes())
    })
}

fn set(socket: &mut Socket, index: u32, fill: impl FnOnce(Request) -> Request) -> Result<(), Error> {
    let mut of_bridge = header(index, 0, 0);
    let [family, ..] = &mut of_bridge;
    *family = AF_BRIDGE;
    let request = Request::new(RTM_SETLINK, 0, &of_bridge).nest(IFLA_PROTINFO, fill);
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
