//! Files that a program believes which acts for a user it does not trust.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::rc::Rc;

use nix::mount::MsFlags;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, mkfifo, setfsgid, setfsuid};
use vnet::config::{Store, Trusted, Unread};

use crate::world::{World, mounted, whole_machines_root};

/// A user who has nothing.
pub const STRANGER: u32 = 65_533;

/// While it lives, the calling thread opens files as a user without privileges does.
pub struct AsStranger(());

impl AsStranger {
    pub fn become_one() -> Self {
        setfsgid(Gid::from_raw(STRANGER));
        setfsuid(Uid::from_raw(STRANGER));
        // It tells the former one, whatever it did.
        assert_eq!(setfsuid(Uid::from_raw(STRANGER)).as_raw(), STRANGER, "run the tests as root");
        Self(())
    }
}

impl Drop for AsStranger {
    fn drop(&mut self) {
        setfsuid(Uid::from_raw(0));
        setfsgid(Gid::from_raw(0));
    }
}

fn mode(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn write(path: &str, text: impl AsRef<[u8]>) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    mode(path, 0o644);
}

fn read(path: &str) -> Result<String, Unread> {
    Trusted::default().read(Path::new(path))
}

/// The path must not be believed: what is said of which part.
fn must_be_wrong(path: &str, part: &str, said: &str) {
    match read(path) {
        Err(Unread::Wrong(problem)) => {
            let problem = problem.to_string();
            assert!(problem.starts_with(&format!("{part}: {said}")), "{path}: {problem}");
        }
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn what_root_alone_can_write_is_believed() {
    let _world = World::new();
    write("/run/a/b/c", "text");
    for bits in [0o644, 0o600, 0o444, 0o755] {
        mode("/run/a/b/c", bits);
        assert_eq!(read("/run/a/b/c"), Ok("text".to_owned()), "{bits:o}");
    }
    assert_eq!(read("/run/a/b/d"), Err(Unread::Absent));
    assert_eq!(read("/run/a/d/c"), Err(Unread::Absent));
}

#[test]
fn a_part_that_others_may_write_is_not_believed_sticky_or_not() {
    let _world = World::new();
    write("/run/a/b/c", "text");
    for part in ["/run/a/b", "/run/a"] {
        for bits in [0o775, 0o757, 0o777, 0o1777, 0o2775] {
            mode(part, bits);
            must_be_wrong("/run/a/b/c", part, &format!("has mode {bits:04o}, so that others could put files there; "));
        }
        mode(part, 0o755);
    }
    for bits in [0o664, 0o646, 0o666] {
        mode("/run/a/b/c", bits);
        must_be_wrong("/run/a/b/c", "/run/a/b/c", &format!("has mode {bits:04o}, so that others may write it; "));
    }
}

#[test]
fn a_part_of_another_users_is_not_believed() {
    if !whole_machines_root() {
        // A user namespace of one user knows no other; there is nobody to distrust.
        assert_eq!(fs::read_to_string("/proc/self/uid_map").unwrap().lines().count(), 1);
        return;
    }
    let _world = World::new();
    write("/run/a/b/c", "text");
    for (part, who) in
        [("/run/a/b/c", ""), ("/run/a/b", ", who could put other files there"), ("/run/a", ", who could")]
    {
        chown(part, Some(STRANGER), None).unwrap();
        must_be_wrong("/run/a/b/c", part, &format!("belongs to user {STRANGER}{who}"));
        chown(part, Some(0), Some(STRANGER)).unwrap();
        assert_eq!(read("/run/a/b/c"), Ok("text".to_owned()), "a group that may not write does not matter");
    }
}

#[test]
fn no_part_may_be_a_symbolic_link_or_of_another_kind() {
    let _world = World::new();
    write("/run/a/b/c", "text");
    symlink("/run/a/b/c", "/run/a/link").unwrap();
    symlink("/run/a/b", "/run/a/way").unwrap();
    symlink("/nowhere", "/run/a/gone").unwrap();
    must_be_wrong("/run/a/link", "/run/a/link", "is a symbolic link; ");
    must_be_wrong("/run/a/gone", "/run/a/gone", "is a symbolic link; ");
    must_be_wrong("/run/a/way/c", "/run/a/way", "is no directory itself; ");
    must_be_wrong("/run/a/b/c/d", "/run/a/b/c", "is no directory itself; ");
    must_be_wrong("/run/a/b", "/run/a/b", "is no regular file; ");
    // It would wait for a writer.
    mkfifo("/run/a/fifo", Mode::from_bits_truncate(0o644)).unwrap();
    must_be_wrong("/run/a/fifo", "/run/a/fifo", "is no regular file; ");
}

#[test]
fn a_file_is_of_a_size_and_text() {
    let _world = World::new();
    write("/run/a", "x".repeat(65_536));
    assert_eq!(read("/run/a").map(|text| text.len()), Ok(65_536));
    write("/run/a", "x".repeat(65_537));
    must_be_wrong("/run/a", "/run/a", "has 65537 bytes or more; a file here has at most 65536");
    assert_eq!(Trusted::default().read_at_most(Path::new("/run/a"), 65_537).map(|text| text.len()), Ok(65_537));
    write("/run/a", b"caf\xe9");
    must_be_wrong("/run/a", "/run/a", "holds bytes that are not UTF-8; ");
}

#[test]
fn what_the_user_may_not_read_is_told_from_what_is_wrong() {
    let _world = World::new();
    write("/run/a/one", "text");
    write("/run/shut/one", "text");
    mode("/run/shut", 0o700);
    write("/run/a/closed", "text");
    mode("/run/a/closed", 0o600);
    write("/run/a/blind/one", "text");
    mode("/run/a/blind", 0o711);
    let _stranger = AsStranger::become_one();
    assert_eq!(read("/run/a/closed"), Err(Unread::Denied));
    assert_eq!(read("/run/shut/one"), Err(Unread::Denied));
    assert_eq!(read("/run/shut/none"), Err(Unread::Denied), "nobody learns what there is");
    assert_eq!(read("/run/a/blind/one"), Ok("text".to_owned()), "listing is not needed");
    assert_eq!(read("/run/a/none"), Err(Unread::Absent));
}

#[test]
fn a_directory_that_was_judged_is_the_one_that_counts() {
    let _world = World::new();
    write("/run/a/one", "first");
    write("/run/a/two", "second");
    let files = Trusted::default();
    assert_eq!(files.read(Path::new("/run/a/one")), Ok("first".to_owned()));
    fs::rename("/run/a", "/run/former").unwrap();
    write("/run/a/two", "another");
    assert_eq!(files.read(Path::new("/run/a/two")), Ok("second".to_owned()));
    assert_eq!(read("/run/a/two"), Ok("another".to_owned()));
}

#[test]
fn a_store_of_trusted_files_tells_what_the_user_may_not_read() {
    let world = World::new();
    world.network("lab", r#"{"mode": "isolated", "allow": {"users": [7]}}"#);
    world.network("secret", r#"{"mode": "isolated"}"#);
    world.guest("web0", r#"{"network": "lab"}"#);
    fs::write(world.config().join("vnet.json"), r#"{"quota": 3}"#).unwrap();
    for path in ["networks/secret.json", "vnet.json"] {
        mode(world.config().join(path).to_str().unwrap(), 0o600);
    }
    let store = || Store::trusted(world.config().to_owned(), Rc::default());
    assert_eq!(store().host().unwrap().quota, 3);
    let stranger = AsStranger::become_one();
    assert_eq!(store().network(&"lab".parse().unwrap()).unwrap().unwrap().allow.users.len(), 1);
    assert!(store().guest(&"web0".parse().unwrap()).unwrap().is_some());
    assert!(store().network(&"none".parse().unwrap()).unwrap().is_none());
    let problems = store().network(&"secret".parse().unwrap()).unwrap_err();
    assert!(problems.iter().all(|problem| problem.denied), "{problems:?}");
    // It may hold a quota that is less than the standard one.
    assert!(store().host().unwrap_err().iter().all(|problem| problem.denied));
    drop(stranger);
    mode(world.config().join("networks").to_str().unwrap(), 0o777);
    let problems = store().network(&"lab".parse().unwrap()).unwrap_err();
    assert!(problems.iter().all(|problem| !problem.denied), "{problems:?}");
}

#[test]
fn accounts_are_read_as_far_as_somebody_is_named() {
    let world = World::new();
    write("/run/etc/passwd", b"al\xefce:x:6:6::/:\nalice:x:7:7:Al\xefce:/:\n");
    write("/run/etc/group", "kvm:x:8:\n");
    mounted(Some("/run/etc"), "/etc", None, MsFlags::MS_BIND);
    let allow = |text: &str| {
        world.network("lab", format!("{{\"mode\": \"isolated\", \"allow\": {text}}}"));
        Store::trusted(world.config().to_owned(), Rc::default())
            .network(&"lab".parse().unwrap())
            .unwrap()
            .unwrap()
            .allow
    };
    let numbers = |text: &str| {
        let accounts = Trusted::default().accounts_of(&allow(text)).unwrap();
        (accounts.user_number("alice"), accounts.group_number("kvm"))
    };
    assert_eq!(numbers(r#"{"users": ["root"]}"#), (Some(7), None));
    assert_eq!(numbers(r#"{"groups": ["root"]}"#), (None, Some(8)));
    assert_eq!(numbers(r#"{"users": [7], "groups": [8]}"#), (None, None));
    mode("/etc/passwd", 0o666);
    assert!(matches!(Trusted::default().accounts_of(&allow(r#"{"users": ["root"]}"#)), Err(Unread::Wrong(_))));
    fs::remove_file("/etc/passwd").unwrap();
    assert_eq!(numbers(r#"{"users": ["root"], "groups": ["root"]}"#), (None, Some(8)));
}
