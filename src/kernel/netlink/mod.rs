//! Netlink: bytes ([`wire`]), one socket ([`socket`]), and the verbs of links, addresses, routes,
//! neighbours, listeners, connections and nf_tables.
#![forbid(unsafe_code)]

pub mod address;
pub mod arrival;
pub mod bridge_port;
pub mod connection;
pub mod conntrack;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub mod gateway;
mod host_address;
mod host_neighbour;
mod host_route;
mod host_route_read;
pub mod ip_config;
pub mod lent;
pub mod link;
mod link_read;
pub mod link_upper;
pub mod listener;
pub mod neighbour;
pub mod nexthop;
pub mod nftables;
pub mod resolution;
pub mod route;
pub mod route_lookup;
pub mod rule;
pub mod running;
pub mod socket;
pub mod tap;
mod veth;
pub mod wire;
