//! The bridge helper's system calls: which there are, and what becomes of it when they fail or it is killed at one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd;

use crate::caller::{Asked, Asking, Caller, keeps_open, pair};
use crate::faults::NEVER_FAILED;
use crate::helper_hostile::Site;
use crate::world::output;

/// What the kernel is asked instead of a call that is to fail: strace makes it a call that there is not, which the helper's
/// own filter takes for an attack.
const INSTEAD: &str = "syscall=getpid";
const TRACE: &str = "/run/trace";
const GUARDED: &str = "--br=lab";
const PLAIN: &str = "--br=br0";

/// Half of what QEMU's own helper makes on a plain bridge, with the C library that Debian 12 has.
const MOST_CALLS: usize = 161 / 2;

/// What it may ask the kernel for; of these only the first row changes anything outside of the process.
const MAY_MAKE: [&str; 41] = [
    "ioctl",
    "sendto",
    "sendmsg",
    "write",
    "open",
    "openat",
    "read",
    "fstat",
    "close",
    "close_range",
    "fcntl",
    "socket",
    "setsockopt",
    "getsockopt",
    "getpeername",
    "recvfrom",
    "recvmsg",
    "poll",
    "ppoll",
    "clock_gettime",
    "umask",
    "prctl",
    "prlimit64",
    "getrlimit",
    "setrlimit",
    "rt_sigaction",
    "rt_sigprocmask",
    "seccomp",
    "capget",
    "capset",
    "getresuid",
    "getresgid",
    "setresuid",
    "setresgid",
    "getgroups",
    "getuid",
    "getgid",
    "brk",
    "arch_prctl",
    "set_tid_address",
    "exit_group",
];

/// Runs the helper under strace, which lets it keep its privileges.
fn traced(site: &Site, caller: &Caller, options: &[&str], arguments: &str) -> Asked {
    let (here, there) = pair();
    let mut command = site.world.command("strace");
    command.args(["-f", "-y", "-u", "stranger", "-o", TRACE]).args(options).arg(&caller.helper);
    command.arg("--use-vnet").arg(format!("--fd={}", there.as_raw_fd())).args(arguments.split(' '));
    keeps_open(&mut command, there.as_raw_fd());
    let child = command.spawn().unwrap();
    drop(there);
    Asking { child, socket: here }.finish(&site.world)
}

/// The calls of the trace, in their order, with their arguments and results.
fn calls() -> Vec<(String, String)> {
    let trace = fs::read_to_string(TRACE).unwrap();
    let call = |line: &str| {
        let (name, rest) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        Some((name.to_owned(), rest.to_owned()))
    };
    trace.lines().filter_map(call).collect()
}

/// How often each was made.
fn counted() -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (name, _) in calls() {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// What was asked for, wherever it led: `openat(7</etc/vnet>, "networks"` is /etc/vnet/networks.
fn path_of((name, arguments): &(String, String)) -> Option<String> {
    let file = arguments.split('"').nth(1)?.to_owned();
    match name.as_str() {
        "open" => Some(file),
        "openat" if file.starts_with('/') => Some(file),
        "openat" => {
            let directory = arguments.split_once('<')?.1.split_once('>')?.0;
            Some(format!("{}/{file}", directory.trim_end_matches('/')))
        }
        _ => None,
    }
}

#[test]
fn no_path_is_opened_but_those_allowed_and_nothing_is_run() {
    let site = Site::new();
    let guest = r#"{"mac": "52:54:00:12:34:57", "network": "lab", "allow": {"groups": ["stranger"]}}"#;
    site.world.guest("web0", guest);
    let with_forwards = r#"{"mode": "nat", "addresses": ["10.2.0.1/24"], "forwards": [{"listen": "tcp/2222", "to": "10.2.0.9:22"}],
        "dhcp": {}, "allow": {"users": ["stranger"]}}"#;
    site.world.network("served", with_forwards);
    site.world.told("up served");
    site.world.guest("web1", r#"{"network": "served", "allow": {"users": ["stranger"]}}"#);
    let always = ["/", "/etc", "/etc/vnet", "/etc/vnet/vnet.json", "/dev/net/tun"];
    let of_network = ["/etc/vnet/networks", "/etc/machine-id"];
    let filters = ["/proc/sys/net/bridge/bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables"];
    let known = ["/run/vnet/served/hosts/web1", "/run/vnet/served/dhcp/web1"];
    for (arguments, also) in [
        (
            PLAIN,
            vec![
                "/sys/class/net/br0/addr_assign_type",
                "/etc/vnet/networks",
                "/etc/vnet/networks/br0.json",
                "/etc/qemu",
                "/etc/qemu/bridge.conf",
            ],
        ),
        (GUARDED, [&of_network[..], &["/etc/vnet/networks/lab.json", "/etc/passwd"]].concat()),
        ("--br=served", [&of_network[..], &filters, &["/etc/vnet/networks/served.json", "/etc/passwd"]].concat()),
        (
            "--br=br0 --guest=web0",
            [
                &of_network[..],
                &["/etc/vnet/guests", "/etc/vnet/guests/web0.json", "/etc/group", "/etc/vnet/networks/lab.json"],
            ]
            .concat(),
        ),
        (
            "--br=br0 --guest=web1",
            [
                &of_network[..],
                &filters,
                &known,
                &["/etc/vnet/guests", "/etc/vnet/guests/web1.json", "/etc/passwd", "/etc/vnet/networks/served.json"],
            ]
            .concat(),
        ),
        (
            "--br=none",
            vec![
                "/sys/class/net/none/addr_assign_type",
                "/etc/vnet/networks",
                "/etc/vnet/networks/none.json",
                "/etc/qemu",
                "/etc/qemu/bridge.conf",
            ],
        ),
        ("--br=br0 --guest=none", vec!["/etc/vnet/guests", "/etc/vnet/guests/none.json"]),
    ] {
        for caller in &site.callers {
            let asked = traced(&site, caller, &["-v"], arguments);
            assert_eq!(asked.queue.is_some(), !arguments.contains("none"), "{arguments}: {asked:#?}");
            let allowed: BTreeSet<_> = always.iter().chain(&also).map(|path| (*path).to_owned()).collect();
            let calls = calls();
            let opened: BTreeSet<_> = calls.iter().filter_map(path_of).collect();
            let strange: Vec<_> = opened.difference(&allowed).collect();
            assert_eq!(strange, [""; 0], "{arguments}");
            // Nor is any opened to be written, but for the tap.
            let written = calls.iter().filter(|call| path_of(call).is_some_and(|path| path != "/dev/net/tun"));
            let written: Vec<_> = written
                .filter(|(_, rest)| ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|how| rest.contains(how)))
                .collect();
            assert_eq!(written, Vec::<&(String, String)>::new(), "{arguments}");
            let (runs, made): (Vec<_>, Vec<_>) = calls.iter().partition(|(name, _)| name == "execve");
            assert_eq!(runs.len(), 1, "{runs:?}");
            let strange: BTreeSet<_> =
                made.iter().map(|(name, _)| name.as_str()).filter(|name| !MAY_MAKE.contains(name)).collect();
            assert!(strange.is_empty(), "{arguments}: {strange:?}");
            println!("{} {arguments}: {} system calls after start", caller.helper, made.len());
            if caller.helper.contains("file") && arguments == PLAIN {
                assert!(made.len() <= MOST_CALLS, "{} system calls: {:?}", made.len(), counted());
            }
        }
    }
}

/// After a fault: whether it failed and changed nothing, or did all that it should, and nothing is left of it then.
fn whole(site: &Site, asked: Asked) -> Result<(), String> {
    let (code, told) = (asked.run.code, format!("{:?}", asked.run));
    let lent = asked.queue.is_some();
    if code != Some(0) && lent {
        return Err(format!("it failed and handed the tap over: {told}"));
    }
    if code.is_some_and(|code| code != 0) && asked.run.stderr.lines().count() != 1 {
        return Err(format!("it says not one line: {told}"));
    }
    let after_seal =
        ["cannot look for", "cannot make", "cannot prepare", "cannot count", "cannot guard", "cannot attach"];
    if after_seal.iter().any(|step| asked.run.stderr.contains(step))
        && !asked.run.stderr.ends_with("; nothing is changed\n")
    {
        return Err(format!("it does not say that nothing is changed: {told}"));
    }
    drop(asked.queue);
    if lent {
        site.repair();
    }
    site.is_untouched().map_err(|why| format!("{why}\n{told}"))
}

fn can_fail(call: &str) -> bool {
    !NEVER_FAILED.contains(&call) && !["umask", "getuid", "getgid"].contains(&call)
}

fn errno(call: &str) -> &'static str {
    match call {
        "open" | "openat" | "socket" => "EMFILE",
        "sendto" => "ENOBUFS",
        "sendmsg" => "ETOOMANYREFS",
        "recvfrom" => "ENOMEM",
        _ => "EIO",
    }
}

#[test]
fn each_system_call_that_fails_is_said_and_leaves_nothing() {
    let site = Site::new();
    let (mut found, mut said) = (Vec::new(), BTreeSet::new());
    for (caller, place) in [(&site.callers[0], GUARDED), (&site.callers[0], PLAIN), (&site.callers[1], PLAIN)] {
        drop(traced(&site, caller, &[], place).lent());
        site.repair();
        for (call, count) in counted().into_iter().filter(|(call, _)| can_fail(call)) {
            for number in 1..=count {
                let inject = format!("inject={call}:error={}:{INSTEAD}:when={number}", errno(&call));
                let asked = traced(&site, caller, &["-e", &format!("trace={call}"), "-e", &inject], place);
                let trace = fs::read_to_string(TRACE).unwrap();
                assert!(trace.contains("INJECTED"), "{inject} never struck: {trace}");
                assert!(!trace.contains("SIGSYS"), "{inject}: {trace}");
                // The C library ends a program with privileges that cannot tell what its standard descriptors are.
                let by_libc = call == "poll" && number == 1;
                assert!(asked.run.code.is_some() || by_libc, "{inject}: {asked:#?}");
                said.insert(asked.run.stderr.trim().to_owned());
                if let Err(why) = whole(&site, asked) {
                    found.push(format!("{place} {call} number {number}: {why}"));
                }
            }
        }
    }
    said.iter().for_each(|line| println!("{line}"));
    assert!(found.is_empty(), "{}", found.join("\n"));
    // Each step was struck, and is called by its name.
    for step in [
        "cannot take over the socket: ",
        "cannot start: ",
        "cannot begin: ",
        "cannot give up what is not needed: ",
        "cannot look for vn-lab: ",
        "cannot look for br0: ",
        "cannot make the tap vu65533-N: ",
        "cannot prepare vu65533-0: ",
        "cannot count the user's taps: ",
        "cannot guard vu65533-0: ",
        "cannot attach vu65533-0 to vn-lab: ",
        "cannot attach vu65533-0 to br0: ",
        "cannot hand vu65533-0 over: ",
    ] {
        assert!(
            said.iter().any(|line| line.starts_with(&format!("vnet-bridge-helper: {step}"))),
            "nothing says {step}"
        );
    }
}

#[test]
fn false_successes_and_interruptions_leave_nothing() {
    let site = Site::new();
    let caller = &site.callers[0];
    drop(traced(&site, caller, &[], GUARDED).lent());
    let counts = counted();
    site.repair();
    let mut found = Vec::new();
    for (call, fault) in
        [("sendto", "retval=0"), ("recvfrom", "retval=0"), ("sendto", "error=EINTR"), ("recvfrom", "error=EINTR")]
    {
        for number in 1..=counts[call] {
            let inject = format!("inject={call}:{fault}:{INSTEAD}:when={number}");
            let asked = traced(&site, caller, &["-e", &format!("trace={call}"), "-e", &inject], GUARDED);
            if let Err(why) = whole(&site, asked) {
                found.push(format!("{call} number {number} with {fault}: {why}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What changes anything outside of the process, and its end.
const CHANGES: [&str; 4] = ["ioctl", "sendto", "sendmsg", "exit_group"];

#[test]
fn killed_at_any_change_its_tap_goes_and_the_next_run_clears_the_rest() {
    let site = Site::new();
    for (caller, place) in site.callers.iter().flat_map(|caller| [(caller, GUARDED), (caller, PLAIN)]) {
        drop(traced(&site, caller, &[], place).lent());
        let counts = counted();
        site.repair();
        for (call, number) in CHANGES.iter().flat_map(|call| (1..=counts[*call]).map(move |number| (*call, number))) {
            let inject = format!("inject={call}:signal=KILL:when={number}");
            let killed = traced(&site, caller, &["-e", &format!("trace={call}"), "-e", &inject], place);
            let trace = fs::read_to_string(TRACE).unwrap();
            assert!(trace.contains("killed by SIGKILL"), "{inject} never struck: {trace}");
            // Where it was sent already it lives.
            drop(killed.queue);
            site.must_have_no_taps();
            // The next run takes out what guarded it, and repair what guarded the next.
            let next = caller.lent(&site.world, place);
            assert_eq!(site.guarded(), usize::from(place == GUARDED), "after {inject}");
            drop(next);
            site.repair();
            site.must_be_untouched();
        }
    }
}

#[test]
fn without_a_tun_or_a_firewall_it_says_so() {
    let site = Site::new();
    let caller = &site.callers[0];
    let options = ["-P", "/dev/net/tun", "-e", "trace=openat", "-e", "inject=openat:error=ENOENT"];
    let asked = traced(&site, caller, &options, PLAIN);
    let line = "cannot begin: a device or table is not there (opening /dev/net/tun: ENOENT: No such file or directory); an \
                administrator mends it: modprobe -a tun nf_tables; vnet repair; nothing is changed";
    assert_eq!(asked.refused(1), line);
    site.must_be_untouched();
    output("nft", "flush ruleset");
    let before = site.world.picture();
    let asked = caller.ask(&site.world, GUARDED);
    let line = "cannot guard vu65533-0: the firewall's tables are not as vnet makes them (guarding a port of the network lab, \
                whose firewall is gone or damaged: EUCLEAN: Structure needs cleaning); an administrator mends it: vnet \
                repair; nothing is changed";
    assert_eq!(asked.refused(1), line);
    site.world.must_look_like(&before);
    site.repair();
    drop(caller.lent(&site.world, GUARDED));
    site.repair();
    site.must_be_untouched();
}

/// Its caller can stop it anywhere, and for as long as it likes.
#[test]
fn what_was_read_long_ago_is_not_believed() {
    let site = Site::new();
    // The first socket is opened when all is read.
    let options = ["-e", "trace=socket", "-e", "inject=socket:delay_enter=10500000:when=1"];
    for place in [PLAIN, GUARDED] {
        let asked = traced(&site, &site.callers[0], &options, place);
        let said = asked.refused(1);
        assert!(said.contains(": it was held up for long, and what is allowed may have changed ("), "{said}");
        site.repair();
        site.must_be_untouched();
    }
}

/// Or who is stopped between the making and the counting could have any number.
#[test]
fn who_has_all_taps_already_makes_none() {
    let site = Site::new();
    let caller = &site.callers[0];
    fs::write("/etc/vnet/vnet.json", r#"{"quota": 1}"#).unwrap();
    let held = caller.lent(&site.world, PLAIN);
    let asked = traced(&site, caller, &["-e", "trace=ioctl"], PLAIN);
    let said = asked.refused(1);
    assert!(said.contains("has used up its quota of taps, which is 1;"), "{said}");
    assert!(!fs::read_to_string(TRACE).unwrap().contains("TUNSETIFF"), "it made a tap");
    drop(held);
}
