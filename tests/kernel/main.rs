//! The binaries on a real kernel: each test makes a world of its own, namespaces that vanish with the test's thread.
//!
//! It needs root, or a user namespace in which the caller is root (`unshare -Urnm`), /dev/net/tun, iproute2, nftables,
//! iptables, dnsmasq, busybox, strace, sysctl, setpriv and systemd-networkd, and what scripts/lib/firewalls.sh gets: ufw,
//! firewalld, python and dbus-daemon. No test skips: what is missing is said in the failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod acl_matrix;
mod attach;
mod attach_choice;
mod attach_packets;
mod built_in;
mod changed;
mod client;
mod confinement;
mod conntrack;
mod contract;
mod crowd;
mod daemon;
mod detach;
mod dnsmasq;
mod docker;
mod doctor;
mod doctor_host;
mod environment;
mod examples;
mod faults;
mod firewalls;
mod forward;
mod handover;
mod healing;
mod helper_acl;
mod input;
mod input_bridge;
mod input_config;
mod input_host;
mod input_networks;
mod input_up;
mod ip_config;
mod lan;
mod lan_confirm;
mod lan_faults;
mod lan_kills;
mod lan_traffic;
mod links;
mod matrix;
mod neighbours;
mod netlink;
mod nftables;
mod obstacles;
mod obstacles_managed;
mod offload;
mod ownership;
mod picture;
mod ports;
mod privileges;
mod probe;
mod readme;
mod repair;
mod routed;
mod routes;
mod run;
mod served;
mod server;
mod sockets;
mod status;
mod syslog;
mod tap;
mod tap_faults;
mod taps;
mod trusted;
mod undo;
mod units;
mod up_down;
mod up_faults;
mod uplink;
mod verbs;
mod world;
