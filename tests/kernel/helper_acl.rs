//! Who may join what by the bridge helper, run by a user without privileges: the cases of `tests/acl/matrix`.

use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::MsFlags;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;
use vnet::config::{BRIDGE_CONF, BridgeRules, Trusted};

use crate::acl_matrix::{Case, cases};
use crate::run::Run;
use crate::trusted::{AsStranger, STRANGER};
use crate::world::{World, mounted, output, whole_machines_root};

/// QEMU's own, which Debian's qemu-system-common brings.
const QEMUS: &str = "/usr/lib/qemu/qemu-bridge-helper";

/// What is asked for in each column of the matrix, and the bridge that is meant.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("plain", "br0", "br0"),
    ("alternative", "alt0", "br0"),
    ("colon", "br0:1", ""),
    ("fifteen", "fifteen-bytes-x", "fifteen-bytes-x"),
    ("sixteen", "fifteen-bytes-xx", ""),
    ("percent", "br%d", ""),
    ("former", "was0", ""),
    ("renamed", "now0", "now0"),
];

const BRIDGES: [&str; 3] = ["br0", "fifteen-bytes-x", "now0"];

/// A world with the bridges of the matrix, and an /etc of its own.
fn world() -> World {
    assert!(whole_machines_root(), "files of other users are needed: run this test as the machine's root");
    let world = World::new();
    for directory in ["/run/etc/qemu", "/run/etc/vnet/networks", "/run/etc/vnet/guests"] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::write("/run/etc/machine-id", "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write("/run/etc/group", format!("root:x:0:\nstranger:x:{STRANGER}:\n")).unwrap();
    let passwd = format!("root:x:0:0::/:/bin/sh\nstranger:x:{STRANGER}:{STRANGER}::/:/bin/sh\n");
    fs::write("/run/etc/passwd", passwd).unwrap();
    mounted(Some("/run/etc"), "/etc", None, MsFlags::MS_BIND);
    for bridge in ["br0", "fifteen-bytes-x", "was0"] {
        make_bridge(&world, bridge);
    }
    world.ip("link set was0 down");
    world.ip("link set was0 name now0");
    world.ip("link set now0 up");
    name_otherwise(&world);
    world
}

/// A bridge as an administrator makes it, without addresses that come and go with its ports.
fn make_bridge(world: &World, name: &str) {
    world.ip(&format!("link add {name} address 02:00:00:00:00:01 type bridge"));
    fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
    world.ip(&format!("link set {name} up"));
}

fn name_otherwise(world: &World) {
    world.ip("link property add dev br0 altname alt0");
}

/// Our helper, installed as packages do it.
fn ours(world: &World) -> &'static str {
    install(world.program("vnet-bridge-helper").to_str().unwrap(), "/run/ours");
    output("setcap", "cap_net_admin=ep /run/ours");
    "/run/ours"
}

/// QEMU's helper, installed as it is meant to be.
fn qemus() -> &'static str {
    assert!(Path::new(QEMUS).exists(), "{QEMUS} is missing; apt-get install qemu-system-common");
    install(QEMUS, "/run/qemus");
    fs::set_permissions("/run/qemus", Permissions::from_mode(0o4755)).unwrap();
    "/run/qemus"
}

fn install(program: &str, place: &str) {
    // By another process: a copy that is open for writing here is so in what other threads fork, and cannot be run.
    output("cp", &format!("{program} {place}"));
    fs::set_permissions(place, Permissions::from_mode(0o755)).unwrap();
}

/// Starts a helper as QEMU does, by what a shell is told to do with it. The tap lives as long as the socket that is told.
fn start(world: &World, by: &str, helper: &str, br: &str) -> (Child, OwnedFd) {
    let (ours, its) =
        socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("cannot make sockets");
    let mut command: Command = world.command("sh");
    command.arg("-c").arg(format!("exec {by} {helper} --use-vnet --fd=3 \"--br=$0\" 3<&0 0</dev/null")).arg(br);
    command.stdin(Stdio::from(its));
    let child = command.spawn().expect("cannot run sh");
    (child, ours)
}

fn as_stranger() -> String {
    format!("setpriv --reuid={STRANGER} --regid={STRANGER} --clear-groups")
}

/// The ports of a bridge.
fn ports(bridge: &str) -> Vec<String> {
    names(&format!("/sys/class/net/{bridge}/brif"))
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asks a helper, and fails unless the guest joined just that bridge, or none and was told why. Nothing is left.
fn must_be(world: &World, helper: &str, br: &str, joined: Option<&str>) -> Run {
    let before = names("/sys/class/net");
    let (child, socket) = start(world, &as_stranger(), helper, br);
    let run = world.finish(child);
    assert_eq!(run.code == Some(0), joined.is_some(), "--br={br}: {run:#?}");
    for bridge in BRIDGES {
        let number = usize::from(joined == Some(bridge));
        assert_eq!(ports(bridge).len(), number, "ports of {bridge} after --br={br}: {:?}", ports(bridge));
    }
    if joined.is_none() {
        assert_eq!(run.stderr.lines().count(), 1, "--br={br}: {run:#?}");
    }
    drop(socket);
    world.must_come_true(|| match names("/sys/class/net") {
        now if now == before => Ok(()),
        now => Err(format!("--br={br} left {now:?} of {before:?}")),
    });
    run
}

/// What of a case is not as it should be.
fn judge(case: &Case, joins: impl Fn(&str) -> bool, columns: &[&str]) -> Vec<String> {
    let wrong = columns.iter().filter(|column| case.joins(column) != joins(column));
    wrong.map(|column| format!("{}: {column}", case.name)).collect()
}

/// The rules alone, without the helper.
#[test]
fn the_rules_say_of_each_bridge_what_the_matrix_says() {
    let _world = world();
    let wrong: Vec<_> = cases()
        .iter()
        .flat_map(|case| {
            case.lay_out();
            let _stranger = AsStranger::become_one();
            let rules = BridgeRules::read(Path::new(BRIDGE_CONF), &Trusted::default());
            let joins = |column: &str| {
                let (_, _, bridge) = COLUMNS.iter().find(|(name, _, _)| *name == column).unwrap();
                let bridge = bridge.parse();
                matches!((&rules, &bridge), (Ok(rules), Ok(bridge)) if rules.allow(bridge))
            };
            judge(case, joins, &COLUMNS.map(|(name, _, _)| name))
        })
        .collect();
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn the_helper_lets_join_what_the_matrix_says_and_nothing_else() {
    let world = world();
    let helper = ours(&world);
    for case in cases() {
        case.lay_out();
        let before = world.picture();
        for (column, br, bridge) in COLUMNS {
            println!("{}: {column}", case.name);
            must_be(&world, helper, br, case.joins(column).then_some(bridge));
        }
        world.must_look_like(&before);
    }
}

#[test]
fn qemus_helper_says_the_same_of_its_documented_use() {
    let world = world();
    let helper = qemus();
    let documented: Vec<_> = cases().into_iter().filter(|case| case.as_qemus).collect();
    assert!(documented.len() > 10);
    for case in documented {
        case.lay_out();
        for column in ["plain", "fifteen"] {
            println!("{}: {column}", case.name);
            let (_, br, bridge) = COLUMNS.iter().find(|(name, _, _)| *name == column).unwrap();
            let (child, socket) = start(&world, &as_stranger(), helper, br);
            let run = world.finish(child);
            assert_eq!(run.code == Some(0), case.joins(column), "{run:#?}");
            assert_eq!(ports(bridge).len(), usize::from(case.joins(column)));
            drop(socket);
            world.must_come_true(|| match ports(bridge) {
                none if none.is_empty() => Ok(()),
                left => Err(format!("{left:?} is left")),
            });
        }
    }
}

/// Runs our helper for br0 and, where it gets as far as making a tap, which is after it judged the bridge, does something
/// to br0 meanwhile. Tells whether it got that far.
fn meanwhile(world: &World, helper: &str, act: impl FnOnce()) -> (Run, bool, OwnedFd) {
    let _ = fs::remove_file("/run/trace");
    // Run by strace as the user, for who traces a program as that user takes its capabilities.
    let by = "strace -f -u stranger -o /run/trace -e trace=ioctl -e inject=ioctl:signal=STOP:when=1";
    let (mut child, socket) = start(world, by, helper, "br0");
    let end = Instant::now() + Duration::from_secs(10);
    let stopped = loop {
        let trace = fs::read_to_string("/run/trace").unwrap_or_default();
        let stopped = trace.lines().find(|line| line.contains("stopped by SIGSTOP"));
        if let Some(line) = stopped {
            break Some(line.split_whitespace().next().unwrap().parse::<i32>().unwrap());
        }
        if child.try_wait().unwrap().is_some() {
            break None;
        }
        assert!(Instant::now() < end, "neither stopped nor ended: {trace}");
        std::thread::sleep(Duration::from_millis(1));
    };
    if let Some(pid) = stopped {
        act();
        kill(Pid::from_raw(pid), Signal::SIGCONT).unwrap();
    }
    (world.finish(child), stopped.is_some(), socket)
}

#[test]
fn a_bridge_that_is_replaced_between_check_and_use_is_not_joined() {
    let world = world();
    let helper = ours(&world);
    for case in cases() {
        case.lay_out();
        let links = names("/sys/class/net");
        let (run, replaced, socket) = meanwhile(&world, helper, || {
            world.ip("link delete br0");
            make_bridge(&world, "br0");
            name_otherwise(&world);
        });
        assert_eq!(replaced, case.joins("plain"), "{}: {run:#?}", case.name);
        assert!(!case.joins("replaced"), "{}: whose bridge would that be?", case.name);
        assert!(run.code.is_some_and(|code| code != 0), "{}: {run:#?}", case.name);
        assert_eq!(ports("br0"), [""; 0], "{}", case.name);
        drop(socket);
        world.must_come_true(|| match names("/sys/class/net") {
            now if now == links => Ok(()),
            now => Err(format!("{now:?} instead of {links:?}")),
        });
    }
}

#[test]
fn a_name_that_goes_to_another_bridge_between_check_and_use_leads_nobody_there() {
    let world = world();
    let helper = ours(&world);
    cases().iter().find(|case| case.name == "allow").unwrap().lay_out();
    let (run, renamed, socket) = meanwhile(&world, helper, || {
        world.ip("link set br0 name away0");
        world.ip("link set now0 name br0");
    });
    assert!(renamed, "{run:#?}");
    // It was let in to what is now away0; whether it still is, is all one, but to no other.
    assert_eq!(ports("br0"), [""; 0], "{run:#?}");
    assert_eq!(ports("away0").len(), usize::from(run.code == Some(0)), "{run:#?}");
    drop(socket);
    world.must_come_true(|| match ports("away0") {
        none if none.is_empty() => Ok(()),
        left => Err(format!("{left:?} is left")),
    });
}

/// Whoever is not allowed learns nothing of what there is, but what an administrator would have to write.
#[test]
fn what_is_denied_and_what_is_not_there_are_told_with_the_same_words() {
    let world = world();
    let helper = ours(&world);
    cases().iter().find(|case| case.name == "deny").unwrap().lay_out();
    for (name, mode) in [("lab", 0o644), ("hidden", 0o600)] {
        let path = format!("/etc/vnet/networks/{name}.json");
        fs::write(&path, r#"{"mode": "isolated", "allow": {"users": ["root"]}}"#).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }
    let told = |br| must_be(&world, helper, br, None).stderr.replace(br, "NAME");
    let absent = told("nothing0");
    assert!(absent.contains(r#""allow": {"users": [65533]}"#) && absent.contains("allow NAME"), "{absent}");
    for br in ["br0", "now0", "lab", "hidden", "was0", "alt0"] {
        assert_eq!(told(br), absent, "{br}");
    }
}

#[test]
fn a_networks_file_says_who_may_and_is_of_roots_alone() {
    let world = world();
    let helper = ours(&world);
    cases().iter().find(|case| case.name == "all").unwrap().lay_out();
    let network = |allow: &str| {
        let text = format!(r#"{{"mode": "bridged", "bridge": "br0", "allow": {allow}}}"#);
        fs::write("/etc/vnet/networks/lab.json", text).unwrap();
    };
    for (allow, may) in [
        (r#"{"users": ["stranger"]}"#, true),
        (r#"{"users": [65533]}"#, true),
        (r#"{"groups": ["stranger"]}"#, true),
        (r#"{"groups": ["65533"]}"#, true),
        (r#"{"users": ["root"], "groups": [0]}"#, false),
        (r#"{"users": ["nobody-here"], "groups": ["nobody-here"]}"#, false),
        ("{}", false),
    ] {
        network(allow);
        println!("{allow}");
        must_be(&world, helper, "lab", may.then_some("br0"));
    }
    network(r#"{"users": ["stranger"]}"#);
    for (place, mode) in [("/etc/vnet/networks/lab.json", 0o664), ("/etc/vnet/networks", 0o1777), ("/etc/vnet", 0o775)]
    {
        let before = fs::metadata(place).unwrap().permissions();
        fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
        let run = must_be(&world, helper, "lab", None);
        assert!(run.stderr.contains(&format!("{place}: has mode {mode:04o}")), "{run:#?}");
        fs::set_permissions(place, before).unwrap();
    }
    must_be(&world, helper, "lab", Some("br0"));
    // Whose number a user has is root's to say as well.
    fs::set_permissions("/etc/passwd", Permissions::from_mode(0o666)).unwrap();
    must_be(&world, helper, "lab", None);
}
