//! QEMU's `script=`, and as the link `vnet-ifdown` its `downscript=`.
#![no_main]
#![forbid(unsafe_code)]

vnet::entry!(vnet::app::hook::run);
