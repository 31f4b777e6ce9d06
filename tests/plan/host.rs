//! Carries operations out on plain values. It does what the kernel would do with them and no more: no packets, no
//! errors but the mistakes of a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use vnet::model::{
    Change, Element, Elements, Groundwork, IfName, Link, Mark, NetworkName, Operation, Server, Snapshot, Tables,
};
use vnet::plan::Standing;

use crate::config::{DIRECTORY, server};
use crate::host_links::BRIDGE;
use crate::snapshot::SnapshotFile;

#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// What a look at the host would show.
    pub now: Snapshot,
    /// What a bridge starts with.
    pub bare: Option<Groundwork>,
    /// The numbers of the links, which no operation changes.
    pub numbers: BTreeMap<IfName, u32>,
    /// All files in the network's directory.
    pub files: BTreeMap<PathBuf, String>,
    /// What the server was told of guests, and may have been told before.
    knows: BTreeSet<(PathBuf, String)>,
    /// Links that learned a default route by router advertisement, with their accept_ra.
    pub advertised: Vec<(IfName, u32)>,
    /// Bridges of ours that must not forward, and whether they do.
    pub closed: Vec<(IfName, u32)>,
    /// Who the server is, if it runs: what it was started as is seen by its configuration alone.
    identity: Server,
}

impl Host {
    pub fn new(snapshot: &Snapshot) -> Self {
        let links = snapshot.tap.iter().chain(&snapshot.bridge);
        let masters = snapshot.tap.iter().filter_map(|tap| tap.master.as_ref());
        let numbers = links
            .map(|link| (link.name.clone(), link.index))
            .chain(masters.map(|master| (master.name.clone(), master.index)))
            .collect();
        let mut host = Self {
            now: snapshot.clone(),
            bare: snapshot.groundwork.clone(),
            numbers,
            files: BTreeMap::new(),
            knows: BTreeSet::new(),
            advertised: Vec::new(),
            closed: Vec::new(),
            identity: server(),
        };
        if let Some(ground) = &snapshot.groundwork {
            host.files.clone_from(&ground.service.files);
            host.advertised.clone_from(&ground.routing.advertised);
            host.closed = ground.routing.closed.iter().map(|link| (link.clone(), 0)).collect();
        }
        host.look();
        host.read_all();
        host
    }

    /// Somebody else changed something.
    pub fn meanwhile(&mut self, file: SnapshotFile) {
        let was = self.now.bridge.is_some();
        let forwards = |host: &Self| host.now.groundwork.as_ref().is_some_and(|ground| ground.routing.ipv4);
        let forwarded = forwards(self);
        if let Some(ground) = &mut self.now.groundwork {
            ground.service.files.clone_from(&self.files);
        }
        file.change(&mut self.now);
        if let Some(ground) = &mut self.now.groundwork {
            self.files.clone_from(&ground.service.files);
            if !ground.routing.closed.is_empty() {
                self.closed = ground.routing.closed.iter().map(|link| (link.clone(), 0)).collect();
            }
        }
        if was && self.now.bridge.is_none() {
            self.numbers.retain(|_, index| *index != BRIDGE);
            self.bridge_is_new();
        }
        if forwards(self) != forwarded {
            self.forwarding_spreads(u32::from(!forwarded));
        }
        if !self.server_runs() {
            self.knows.clear();
        }
        self.forwarding_follows();
        self.look();
    }

    /// Who the network's server is, by its configuration now.
    pub fn know(&mut self, server: Server) {
        self.identity = server;
        self.look();
    }

    /// Carries out all of them; what is wrong with one is told with its text.
    pub fn run(&mut self, operations: &[Operation]) -> Result<(), String> {
        operations
            .iter()
            .try_for_each(|operation| self.execute(operation).map_err(|wrong| format!("\"{operation}\": {wrong}")))
    }

    fn execute(&mut self, operation: &Operation) -> Result<(), String> {
        match operation {
            Operation::Link(link, setting) => self.link(link, setting)?,
            Operation::Reroute(route, _) => return Err(format!("nobody asked for the route {route}")),
            Operation::Host(sysctl, change) => self.host(*sysctl, change)?,
            Operation::Firewall(network, change) => self.firewall(network, change)?,
            Operation::Rebuild(elements) => {
                let ground = self.ground()?;
                ground.firewall.elements.clone_from(elements);
                ground.firewall.tables = if elements.is_empty() { Tables::Absent } else { Tables::Whole };
                ground.others.clear();
            }
            Operation::Docker(table, change) => {
                let chains = &mut self.ground()?.docker.chains;
                let (_, has) = chains.iter_mut().find(|(other, _)| other == table).ok_or("there is no such chain")?;
                replace(has, change)?;
            }
            Operation::File(path, change) => self.file(path, change)?,
            Operation::Server(server, change) => self.server(server, change)?,
            Operation::Reload(_) => self.read_all(),
        }
        self.look();
        Ok(())
    }

    pub fn ground(&mut self) -> Result<&mut Groundwork, String> {
        self.now.groundwork.as_mut().ok_or_else(|| "the groundwork was not looked at".to_owned())
    }

    /// Elements of other networks stay as they are, and tables are there as long as there is an element.
    fn firewall(&mut self, network: &NetworkName, change: &Change<Elements>) -> Result<(), String> {
        let firewall = &mut self.ground()?.firewall;
        if firewall.tables == Tables::Damaged {
            return Err("the tables are damaged".to_owned());
        }
        replace(&mut firewall.of(network), change)?;
        firewall.elements.retain(|(owner, _)| owner != network);
        let listens = |element: &Element| match element {
            Element::Forward(forward) => Some(forward.listen()),
            _ => None,
        };
        let taken: Vec<_> = firewall.elements.iter().filter_map(|(_, element)| listens(element)).collect();
        if let Some(listen) = change.after.iter().filter_map(listens).find(|listen| taken.contains(listen)) {
            return Err(format!("another network has the forward {listen}"));
        }
        firewall.elements.extend(change.after.iter().map(|element| (network.clone(), element.clone())));
        firewall.elements.sort();
        firewall.tables = if firewall.elements.is_empty() { Tables::Absent } else { Tables::Whole };
        Ok(())
    }

    fn file(&mut self, path: &Path, change: &Change<Option<String>>) -> Result<(), String> {
        replace(&mut self.files.get(path).cloned(), change)?;
        match &change.after {
            Some(text) => {
                self.files.insert(path.to_owned(), text.clone());
                // It sees what comes, and forgets nothing.
                if is_hosts(path) && self.server_runs() {
                    self.knows.insert((path.to_owned(), text.clone()));
                }
            }
            None => _ = self.files.remove(path),
        }
        Ok(())
    }

    fn server(&mut self, server: &Server, change: &Change<bool>) -> Result<(), String> {
        replace(&mut self.server_runs(), change)?;
        if change.after && !self.files.contains_key(&server.conf()) {
            return Err("it has no configuration".to_owned());
        }
        self.ground()?.service.running = change.after.then(|| server.clone());
        self.read_all();
        Ok(())
    }

    fn server_runs(&self) -> bool {
        self.now.groundwork.as_ref().is_some_and(|ground| ground.service.running.is_some())
    }

    /// The server, if it runs, reads all its files.
    fn read_all(&mut self) {
        self.knows = if self.server_runs() { self.hosts() } else { BTreeSet::new() };
    }

    fn hosts(&self) -> BTreeSet<(PathBuf, String)> {
        let hosts = self.files.iter().filter(|(path, _)| is_hosts(path));
        hosts.map(|(path, text)| (path.clone(), text.clone())).collect()
    }

    /// What the server knows that no file says, or no file said when it last looked.
    pub fn is_outdated(&self) -> bool {
        self.server_runs() && self.knows != self.hosts()
    }

    /// Shows what a look at the host would find.
    fn look(&mut self) {
        const BY_ITSELF: [&str; 3] = ["dnsmasq.pid", "leases", "proxy_ndp"];
        let Some(ground) = &mut self.now.groundwork else { return };
        let place = |name: &str| Path::new(DIRECTORY).join(name);
        let service = &mut ground.service;
        service.files.clone_from(&self.files);
        service.files.retain(|path, _| !BY_ITSELF.iter().any(|name| *path == place(name)));
        service.has_leases = self.files.contains_key(&place("leases"));
        service.running = service.running.take().map(|_| self.identity.clone());
        let turned_on = self.files.get(&place("proxy_ndp")).map_or("", String::as_str);
        ground.turned_on = turned_on.lines().map(|line| line.parse().unwrap()).collect();
        let routing = &mut ground.routing;
        let silent = self.advertised.iter().filter(|(_, accept_ra)| !routing.ipv6 && *accept_ra == 1);
        routing.advertised = silent.cloned().collect();
        let closed = self.closed.iter().filter(|(_, forwards)| !routing.ipv4 && *forwards == 0);
        routing.closed = closed.map(|(link, _)| link.clone()).collect();
    }

    /// What there is of the network, whatever its file says.
    pub fn standing(&self) -> Standing {
        let ground = self.now.groundwork.as_ref().expect("a groundwork");
        let lab = "lab".parse().unwrap();
        let ours = |link: &&Link| link.mark().is_some_and(|mark| mark.is_of(&lab));
        let mut service = ground.service.clone();
        service.files.clone_from(&self.files);
        let mut rebuild = None;
        if ground.firewall.tables == Tables::Damaged {
            let own = ground.firewall.elements.iter().filter(|(owner, _)| *owner == lab);
            rebuild = Some(own.chain(&ground.others).cloned().collect());
        }
        Standing {
            rebuild,
            bridges: self.now.bridge.iter().filter(ours).cloned().collect(),
            ports: self.now.tap.iter().filter(ours).map(|tap| (tap.clone(), self.home())).collect(),
            taps: Vec::new(),
            elements: ground.firewall.of(&lab),
            docker: ground.docker.chains.clone(),
            proxies: ground.proxies.clone(),
            proxy_ndp: ground.turned_on.iter().filter(|link| self.is_turned_on(link)).cloned().collect(),
            service,
            uplink: None,
        }
    }

    fn is_turned_on(&self, link: &IfName) -> bool {
        let taken = self.now.groundwork.iter().flat_map(|ground| &ground.taken);
        taken.filter(|taken| taken.link == *link).any(|taken| taken.proxy_ndp)
    }

    /// The bridge that the tap was in before, which is there in every case.
    pub fn home(&self) -> Option<IfName> {
        match self.now.tap.as_ref()?.mark()? {
            Mark::Port(_, Some(former)) => former.master,
            _ => None,
        }
    }

    /// Forgets what a run that was killed while it turned forwarding on leaves behind: what the kernel reset with it.
    pub fn without_what_forwarding_resets(mut self) -> Self {
        self.closed.clear();
        if let Some(ground) = &mut self.now.groundwork {
            ground.routing.accept_redirects = 0;
        }
        self
    }

    /// Forgets what the server was told and no file says any more: it is told that last.
    pub fn without_what_the_server_knows(mut self) -> Self {
        self.knows.clear();
        self
    }

    /// Forgets what a network leaves on purpose when it goes: the host forwards, and listens to routers in spite of it.
    pub fn without_what_routing_leaves(mut self) -> Self {
        self.forwarding_spreads(0);
        self.advertised.clear();
        self = self.without_what_forwarding_resets();
        if let Some(ground) = &mut self.now.groundwork {
            ground.routing = vnet::model::Routing::default();
        }
        self.know(server());
        self
    }
}

/// Whether the server reads this file of its own.
pub fn is_hosts(path: &Path) -> bool {
    path.parent().is_some_and(|directory| directory.ends_with("dhcp") || directory.ends_with("hosts"))
}

/// Changes a value that must be what the operation thinks it is.
pub fn replace<T: Clone + PartialEq + std::fmt::Debug>(value: &mut T, change: &Change<T>) -> Result<(), String> {
    if *value != change.before {
        return Err(format!("it is {value:?} now, not {:?}", change.before));
    }
    value.clone_from(&change.after);
    Ok(())
}
