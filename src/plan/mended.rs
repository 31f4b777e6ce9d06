//! What operations mended, in words for people.

use crate::model::{Change, IfName, Operation, Setting};

/// What was not as it should be, from the operations that made it so: each thing once, in the order of the operations.
pub fn mended(operations: &[Operation]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for operation in operations {
        let text = match operation {
            Operation::Link(link, setting) => of_link(link, setting, operations),
            Operation::Docker(..) => Some("Docker's rule".to_owned()),
            Operation::Reroute(route, change) => Some(format!("the route {route} by {}", change.after)),
            Operation::Host(sysctl, _) => Some(sysctl.to_string()),
            Operation::Firewall(..) | Operation::Rebuild(_) => Some("the firewall's rules".to_owned()),
            // What a server that is started or stopped has is no matter of its own.
            Operation::File(..) => (!operations.iter().any(is_server)).then(|| "its files".to_owned()),
            Operation::Server(_, Change { after: true, .. }) => Some("dnsmasq started again".to_owned()),
            Operation::Server(..) => (!operations.iter().any(starts)).then(|| "dnsmasq stopped".to_owned()),
            Operation::Reload(_) => Some("what dnsmasq knows of its guests".to_owned()),
        };
        told.extend(text.filter(|text| !told.contains(text)));
    }
    told
}

const fn is_server(operation: &Operation) -> bool {
    matches!(operation, Operation::Server(..))
}

const fn starts(operation: &Operation) -> bool {
    matches!(operation, Operation::Server(_, Change { after: true, .. }))
}

/// What is told of a link's setting; nothing where another of the same link's says more.
fn of_link(link: &IfName, setting: &Setting, operations: &[Operation]) -> Option<String> {
    let settings = || {
        operations.iter().filter_map(|operation| match operation {
            Operation::Link(other, setting) if other == link => Some(setting),
            _ => None,
        })
    };
    // A tap that is lent is taken out before it goes.
    let goes = settings().find(|setting| matches!(setting, Setting::Persistent(Change { after: false, .. })));
    match goes.into_iter().chain(settings()).find_map(|setting| as_a_whole(link, setting)) {
        Some(text) => return Some(text),
        // It is taken off first, and set again when all is done.
        None if is_mark(setting) && !settings().all(is_mark) => return None,
        None => {}
    }
    Some(match setting {
        Setting::Alias(_) => format!("the mark of {link}"),
        Setting::Mtu(_) => format!("the MTU of {link}"),
        Setting::Mac(_) => format!("the MAC of {link}"),
        Setting::AddrGen(_) => format!("how {link} makes its IPv6 address"),
        Setting::Bridge(_) | Setting::BridgeOptions(_) => format!("the settings of the bridge {link}"),
        Setting::Sysctl(sysctl, _) => {
            let (protocol, name) = sysctl.place();
            format!("net.{protocol}.conf.{link}.{name}")
        }
        Setting::Address(..) | Setting::HostAddress(..) | Setting::AddressFlags(..) => {
            format!("the addresses of {link}")
        }
        Setting::Route(..) => format!("the routes by {link}"),
        Setting::Neighbour(..) => format!("the neighbours of {link}"),
        Setting::Tap(_) => format!("the tap {link}"),
        Setting::Stays(_) | Setting::Node(_) => format!("who may use {link}"),
        Setting::Master(_) => format!("where {link} is attached"),
        Setting::Open(_) | Setting::Persistent(_) => format!("who may use {link}"),
        Setting::Hairpin(_) => format!("whether {link} sends back what came in by it"),
        Setting::ChecksumOffload(_) => format!("the checksums of {link}"),
        Setting::Proxy(..) => format!("for whom the host answers on {link}"),
        Setting::Running(_) => return None,
        // It goes down only for what is changed then.
        Setting::Up(change) if !change.after => return None,
        Setting::Up(_) => format!("{link} set up"),
    })
}

const fn is_mark(setting: &Setting) -> bool {
    matches!(setting, Setting::Alias(_) | Setting::Up(Change { after: false, .. }))
}

/// What became of the link, which says all that is to be said of it.
fn as_a_whole(link: &IfName, setting: &Setting) -> Option<String> {
    match setting {
        Setting::Bridge(Change { before: None, after: Some(_) }) => Some(format!("the bridge {link} made again")),
        Setting::Bridge(Change { after: None, .. }) => Some(format!("the bridge {link} removed")),
        Setting::Master(Change { before: None, after: Some(_) }) => Some(format!("{link} attached again")),
        Setting::Master(Change { after: None, .. }) => Some(format!("{link} detached")),
        Setting::Persistent(Change { after: false, .. }) => Some(format!("the dead tap {link} removed")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Elements, Server, Sysctl};

    fn link(setting: Setting) -> Operation {
        Operation::Link("vn-lab".parse().unwrap(), setting)
    }

    fn mark(before: &str, after: &str) -> Operation {
        link(Setting::Alias(Change::new(Some(before.to_owned()), Some(after.to_owned()))))
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert_eq!(mended(&[]), [""; 0]);
    }

    #[test]
    fn a_thing_is_told_once_and_the_seal_not_at_all() {
        let flag = |sysctl| link(Setting::Sysctl(sysctl, Change::new(0, 1)));
        let operations = [
            Operation::Rebuild(Vec::new()),
            Operation::Firewall("lab".parse().unwrap(), Change::new(Elements::new(), Elements::new())),
            mark("vnet:lab:owned:00c0ffee", "vnet:lab:owned"),
            flag(Sysctl::ArpIgnore),
            flag(Sysctl::RpFilter),
            mark("vnet:lab:owned", "vnet:lab:owned:00c0ffee"),
        ];
        let told = ["the firewall's rules", "net.ipv4.conf.vn-lab.arp_ignore", "net.ipv4.conf.vn-lab.rp_filter"];
        assert_eq!(mended(&operations), told);
        assert_eq!(mended(&operations[2..3]), ["the mark of vn-lab"]);
    }

    #[test]
    fn what_became_of_a_link_says_all_of_it() {
        let attached = link(Setting::Master(Change::new(None, Some("br0".parse().unwrap()))));
        let operations =
            [link(Setting::Mtu(Change::new(1500, 9000))), attached, link(Setting::Up(Change::new(false, true)))];
        assert_eq!(mended(&operations), ["vn-lab attached again"]);
    }

    #[test]
    fn a_server_is_told_of_by_what_it_does_now() {
        let server = Server {
            network: "lab".parse().unwrap(),
            program: "dnsmasq".into(),
            directory: "/run/vnet/lab".into(),
            enclave: None,
        };
        let file = Operation::File(server.conf(), Change::new(None, Some(String::new())));
        let (stop, start) = (Change::new(true, false), Change::new(false, true));
        let operations = [Operation::Server(server.clone(), stop), file.clone(), Operation::Server(server, start)];
        assert_eq!(mended(&operations), ["dnsmasq started again"]);
        assert_eq!(mended(&operations[..1]), ["dnsmasq stopped"]);
        assert_eq!(mended(&[file]), ["its files"]);
    }
}
