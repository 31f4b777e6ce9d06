//! The README's commands and the man page's, line by line as they stand there, on a machine of their own: /usr and /etc are overlays.
//!
//! `./scripts/build`, `./scripts/demo` and `./scripts/test` are not run from here: scripts/test runs the first two
//! itself, and is the third.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::mount::{MsFlags, mount};

use crate::links::{is_up, link, must_be};
use crate::world::World;

const TOP: &str = env!("CARGO_MANIFEST_DIR");

/// The README's fenced lines in order, and whether they are commands of a shell.
fn fenced() -> Vec<(bool, String)> {
    let text = fs::read_to_string(Path::new(TOP).join("README.md")).unwrap();
    let (mut lines, mut fence) = (Vec::new(), None);
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(kind), None) => fence = Some(kind == "sh"),
            (Some(_), Some(_)) => fence = None,
            (None, Some(shell)) => lines.push((shell, line.to_owned())),
            (None, None) => {}
        }
    }
    lines
}

/// The arguments of QEMU in the man page's example.
fn manual() -> String {
    let text = fs::read_to_string(Path::new(TOP).join("packaging/man/vnet-ifup.8")).unwrap();
    let (_, rest) = text.split_once(".nf\n").unwrap();
    let (example, _) = rest.split_once("\n.fi").unwrap();
    let words: Vec<_> = example.split_whitespace().filter(|word| *word != "\\e").collect();
    let (program, arguments) = words.split_first().unwrap();
    assert_eq!(*program, "qemu-system-x86_64");
    arguments.join(" ")
}

/// Hides what the commands write to /usr and /etc from the machine.
fn overlay(directory: &str) {
    let room = format!("/run/overlay{directory}");
    for part in ["upper", "work"] {
        fs::create_dir_all(format!("{room}/{part}")).unwrap();
    }
    let options = format!("lowerdir={directory},upperdir={room}/upper,workdir={room}/work");
    mount(Some("overlay"), directory, Some("overlay"), MsFlags::empty(), Some(&*options))
        .unwrap_or_else(|errno| panic!("cannot lay an overlay over {directory}: {errno}"));
}

/// A machine on which nothing of vnet is installed, and `sudo` is not asked for a password.
fn fresh() -> World {
    let world = World::new();
    overlay("/usr");
    overlay("/etc");
    let sudo = "/usr/bin/sudo";
    fs::write(sudo, "#!/bin/sh\nexec \"$@\"\n").unwrap();
    fs::set_permissions(sudo, fs::Permissions::from_mode(0o755)).unwrap();
    world.ip("link add br0 type bridge");
    world.ip("address add 192.0.2.1/24 dev br0");
    world.ip("link set br0 up");
    world.ip("route add default via 192.0.2.2");
    world
}

fn command(world: &World, program: &str) -> Command {
    let mut command = world.command(program);
    command.env_remove("VNET_CONFIG_DIR").env_remove("VNET_RUN_DIR").current_dir(TOP);
    command
}

fn shell(world: &World, line: &str) -> String {
    let mut sh = command(world, "/bin/sh");
    sh.args(["-c", line]);
    let run = world.run(sh);
    assert_eq!(run.code, Some(0), "{line}: {run:#?}");
    run.stdout
}

/// QEMU with the README's arguments: a machine that does not start, but has its tap, and a monitor on standard input.
fn qemu(world: &World, arguments: &str) -> Child {
    let mut qemu = command(world, "qemu-system-x86_64");
    qemu.args(["-S", "-accel", "tcg", "-m", "32", "-display", "none", "-serial", "none", "-monitor", "stdio"]);
    qemu.args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run QEMU: {error}"))
}

/// Ended with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn joins(world: &World, arguments: &str, tap: &str, bridge: &str) {
    let mut qemu = Running(qemu(world, arguments));
    world.must_come_true(|| match link(tap) {
        Some(found) if found["master"] == bridge && is_up(tap) => Ok(()),
        found => Err(format!("the tap is {found:?}")),
    });
    qemu.0.stdin.take().unwrap().write_all(b"quit\n").unwrap();
    assert!(qemu.0.wait().unwrap().success());
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let world = fresh();
    let mut good = None;
    for (is_shell, line) in fenced() {
        match line.split(' ').next().unwrap() {
            "./scripts/build" | "./scripts/demo" | "./scripts/test" if is_shell => {
                shell(&world, &format!("{line} --help"));
            }
            "vnet" if is_shell => good = Some(shell(&world, &line)),
            _ if is_shell => drop(shell(&world, &line)),
            "-netdev" => joins(&world, &line, "tap0", "br0"),
            _ => panic!("neither a command nor arguments of QEMU: {line}"),
        }
    }
    assert_eq!(good.as_deref(), Some("1 network and 0 guest files: all good\n"));
    joins(&world, &manual(), "lab-web0", "vn-lab");
    must_be("vn-lab", "/ifalias", "vnet:lab:owned:abab0f95");
    shell(&world, "sudo ip link del vn-lab");
}
