//! QEMU's `helper=`: hands a user a tap on a network that the administrator allows.
#![no_main]
#![forbid(unsafe_code)]

vnet::entry!(vnet::app::helper::run);
