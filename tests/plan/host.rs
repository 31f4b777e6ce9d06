//! Carries operations out on plain values. It does what the kernel would do with them and no more: no packets, no
//! errors but the mistakes of a plan.

use vnet::model::{
    AddrGen, Address, Change, Groundwork, IfName, Kind, Link, Master, NewBridge, Operation, Setting, Snapshot, Sysctl,
};

/// The least MTU with which the kernel gives a link IPv6.
const IPV6_MIN: u32 = 1280;

pub struct Host {
    pub now: Snapshot,
    /// What a bridge starts with.
    start: Option<Groundwork>,
    /// The numbers of the links, which no operation changes.
    numbers: Vec<(IfName, u32)>,
}

impl Host {
    pub fn new(snapshot: &Snapshot) -> Self {
        let links = snapshot.tap.iter().chain(&snapshot.bridge);
        let masters = snapshot.tap.iter().filter_map(|tap| tap.master.as_ref());
        let numbers = links
            .map(|link| (link.name.clone(), link.index))
            .chain(masters.map(|master| (master.name.clone(), master.index)))
            .collect();
        Self { now: snapshot.clone(), start: snapshot.groundwork.clone(), numbers }
    }

    /// Carries out all of them; what is wrong with one is told with its text.
    pub fn run(&mut self, operations: &[Operation]) -> Result<(), String> {
        operations
            .iter()
            .try_for_each(|operation| self.execute(operation).map_err(|wrong| format!("\"{operation}\": {wrong}")))
    }

    fn execute(&mut self, operation: &Operation) -> Result<(), String> {
        match &operation.setting {
            Setting::Bridge(change) => return self.bridge(&operation.link, change),
            Setting::Sysctl(sysctl, change) => return self.sysctl(*sysctl, change),
            Setting::Address(address, change) => return self.address(address, change),
            Setting::Mtu(change) if self.is_bridge(&operation.link) => self.ground_follows(change.after),
            Setting::Up(change) if !change.after && self.is_bridge(&operation.link) => self.flush_ipv6(),
            _ => {}
        }
        let master = match &operation.setting {
            Setting::Master(change) => change.after.as_ref().map(|name| self.master(name)).transpose()?,
            _ => None,
        };
        let link = self.link(&operation.link)?;
        match &operation.setting {
            Setting::Alias(change) => replace(&mut link.alias, change),
            Setting::Mtu(change) => {
                link.addr_gen = addr_gen_after(link, change.after);
                replace(&mut link.mtu, change)
            }
            Setting::Mac(change) => replace(&mut link.mac, change),
            Setting::AddrGen(change) => replace(link.addr_gen.as_mut().ok_or("the link has no IPv6 now")?, change),
            Setting::BridgeOptions(change) => match &mut link.kind {
                Kind::Bridge(options) => replace(options, change),
                kind => Err(format!("it is {kind:?}, and no bridge")),
            },
            Setting::Master(change) => {
                replace(&mut link.master.as_ref().map(|master| master.name.clone()), change)?;
                link.master = master;
                Ok(())
            }
            Setting::Open(change) => match &mut link.kind {
                // The kernel has no way to take an owner away again.
                Kind::Tun { .. } if change.after => Ok(()),
                Kind::Tun { open, .. } => replace(open, change),
                kind => Err(format!("it is {kind:?}, and no tap")),
            },
            Setting::Up(change) => replace(&mut link.up, change),
            Setting::Bridge(_) | Setting::Sysctl(..) | Setting::Address(..) => Ok(()),
        }
    }

    fn link(&mut self, name: &IfName) -> Result<&mut Link, String> {
        let links = self.now.tap.iter_mut().chain(&mut self.now.bridge);
        links.into_iter().find(|link| link.name == *name).ok_or_else(|| "there is no such link now".to_owned())
    }

    fn is_bridge(&self, name: &IfName) -> bool {
        self.now.bridge.as_ref().is_some_and(|bridge| bridge.name == *name)
    }

    fn groundwork(&mut self) -> Result<&mut Groundwork, String> {
        self.now.groundwork.as_mut().ok_or_else(|| "the groundwork was not looked at".to_owned())
    }

    fn master(&self, name: &IfName) -> Result<Master, String> {
        let known = self.numbers.iter().find(|(known, _)| known == name).ok_or("there is no such bridge now")?;
        Ok(Master { index: known.1, name: name.clone() })
    }

    fn bridge(&mut self, name: &IfName, change: &Change<Option<NewBridge>>) -> Result<(), String> {
        const NEW: u32 = 9;
        if self.now.bridge.is_some() != change.before.is_some() {
            return Err("the bridge is there already, or is not there any more".to_owned());
        }
        self.now.groundwork.clone_from(&self.start);
        self.numbers.retain(|(known, _)| known != name);
        self.now.bridge = change.after.map(|new| new_bridge(NEW, name, &new));
        self.forwarding_follows();
        self.numbers.extend(self.now.bridge.iter().map(|bridge| (name.clone(), bridge.index)));
        Ok(())
    }

    fn sysctl(&mut self, sysctl: Sysctl, change: &Change<u32>) -> Result<(), String> {
        if is_ipv6(sysctl) && !self.has_ipv6() {
            return Err("there is no such setting while the MTU is under 1280".to_owned());
        }
        let known = &mut self.groundwork()?.sysctls;
        let found = known.iter_mut().find(|(known, _)| *known == sysctl).ok_or("there is no such setting")?;
        replace(&mut found.1, change)?;
        if sysctl == Sysctl::DisableIpv6 && change.after != 0 {
            self.flush_ipv6();
        }
        self.forwarding_follows();
        Ok(())
    }

    fn address(&mut self, address: &Address, change: &Change<bool>) -> Result<(), String> {
        let disabled = self.groundwork()?.sysctls.contains(&(Sysctl::DisableIpv6, 1));
        if address.ip.is_ipv6() && change.after && (disabled || !self.has_ipv6()) {
            return Err("IPv6 is off on the bridge now".to_owned());
        }
        let addresses = &mut self.groundwork()?.addresses;
        // What the kernel removed by itself, when the link went down, is as good as removed.
        if change.after && addresses.contains(address) {
            return Err("it is there already".to_owned());
        }
        addresses.retain(|known| known != address);
        addresses.extend(change.after.then_some(address));
        // The order in which the kernel lists them means nothing.
        addresses.sort();
        Ok(())
    }

    /// The kernel shows this setting with the link as well.
    fn forwarding_follows(&mut self) {
        if let (Some(bridge), Some(ground)) = (&mut self.now.bridge, &self.now.groundwork) {
            bridge.forwards = ground.sysctls.contains(&(Sysctl::Forwarding, 1));
        }
    }

    /// The kernel takes IPv6 from a bridge that cannot carry it, with its settings, and gives it back with defaults.
    fn ground_follows(&mut self, mtu: u32) {
        if let (true, Some(now), Some(start)) = (mtu < IPV6_MIN, &mut self.now.groundwork, &self.start) {
            let start = start.sysctls.iter().filter(|(sysctl, _)| is_ipv6(*sysctl));
            now.sysctls.retain(|(sysctl, _)| !is_ipv6(*sysctl));
            now.sysctls.extend(start);
            now.sysctls.sort_by_key(|(sysctl, _)| Sysctl::ALL.iter().position(|known| known == sysctl));
            self.flush_ipv6();
        }
    }

    /// A link that goes down, or loses IPv6, loses its IPv6 addresses.
    fn flush_ipv6(&mut self) {
        if let Some(ground) = &mut self.now.groundwork {
            ground.addresses.retain(|address| address.ip.is_ipv4());
        }
    }

    fn has_ipv6(&self) -> bool {
        self.now.bridge.as_ref().is_some_and(|bridge| bridge.mtu >= IPV6_MIN)
    }
}

fn is_ipv6(sysctl: Sysctl) -> bool {
    sysctl.place().0 == "ipv6"
}

/// Changes a value that must be what the operation thinks it is.
fn replace<T: Clone + PartialEq + std::fmt::Debug>(value: &mut T, change: &Change<T>) -> Result<(), String> {
    if *value != change.before {
        return Err(format!("it is {value:?} now, not {:?}", change.before));
    }
    value.clone_from(&change.after);
    Ok(())
}

/// As with a bridge's settings, so with the way in which a link makes its address.
const fn addr_gen_after(link: &Link, mtu: u32) -> Option<AddrGen> {
    match link.addr_gen {
        _ if mtu < IPV6_MIN => None,
        None if link.mtu < IPV6_MIN => Some(AddrGen::Eui64),
        mode => mode,
    }
}

fn new_bridge(index: u32, name: &IfName, new: &NewBridge) -> Link {
    Link {
        index,
        name: name.clone(),
        kind: Kind::Bridge(new.options),
        ethernet: true,
        up: false,
        mtu: new.mtu,
        mtu_range: (68, 65_535),
        mac: new.mac,
        master: None,
        alias: None,
        addr_gen: Some(AddrGen::Eui64),
        forwards: false,
    }
}
