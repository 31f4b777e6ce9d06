//! The capability that changing the network needs.
#![allow(unsafe_code)]

/// linux/capability.h
const CAP_NET_ADMIN: u32 = 12;
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Whether this process may administer the network of its own user namespace.
pub fn has_net_admin() -> bool {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 reads one header and writes two of these records, which is what both are.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) };
    let [low, _] = data;
    result == 0 && low.effective & (1 << CAP_NET_ADMIN) != 0
}
