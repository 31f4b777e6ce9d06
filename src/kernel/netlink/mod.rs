//! Netlink: bytes ([`wire`]), one socket ([`socket`]), and the verbs of links, addresses and routes.
#![forbid(unsafe_code)]

pub mod address;
pub mod link;
pub mod route;
pub mod socket;
pub mod wire;
