//! One case: a directory of data.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use vnet::config::{Guest, Network, Owner, Store};
use vnet::model::{IfName, Mark, Snapshot};
use vnet::plan::{self, Plan, Refusal};

use crate::snapshot;

/// What stands in the file of an empty plan, which an empty file could be by mistake.
pub const NOTHING: &str = "nothing to do";

/// The sets of files that a case may have, besides `guest.json`.
const FORMS: [&[&str]; 3] = [
    &["network.json", "plan.txt", "snapshot.json", "undo.txt"],
    &["network.json", "refusal.txt", "snapshot.json"],
    &["detach.txt", "snapshot.json", "undo.txt"],
];

pub struct Case {
    pub name: String,
    /// What the tap joins; none where it leaves.
    joins: Option<(Network, Option<Guest>)>,
    pub snapshot: Snapshot,
    /// The text of each file that says what should come out.
    pub expected: BTreeMap<String, String>,
}

impl Case {
    /// All cases, read once.
    pub fn all() -> &'static [Self] {
        static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
            let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plan-{}", std::process::id()));
            let cases = directories().iter().map(|path| Case::read(path, &scratch)).collect();
            fs::remove_dir_all(&scratch).expect("removing the scratch directory");
            cases
        });
        &CASES
    }

    fn read(path: &Path, scratch: &Path) -> Self {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut files = texts(path);
        let guest = files.remove("guest.json");
        let form: Vec<&str> = files.keys().map(String::as_str).collect();
        assert!(
            FORMS.contains(&form.as_slice()),
            "the case {name} has the files {form:?}; a case has one of {FORMS:#?}"
        );
        let network = files.remove("network.json");
        assert!(guest.is_none() || network.is_some(), "the case {name} has a guest.json, but no network.json");
        let snapshot = files.remove("snapshot.json").unwrap();
        let snapshot = snapshot::read(&snapshot).unwrap_or_else(|error| panic!("{name}/snapshot.json: {error}"));
        let joins = network.map(|network| configured(&scratch.join(&name), &network, guest.as_deref()));
        Self { name, joins, snapshot, expected: files }
    }

    /// What the planner says.
    pub fn plan(&self) -> Result<Plan, Refusal> {
        self.plan_on(&self.snapshot)
    }

    /// What the planner says when the kernel has something else.
    pub fn plan_on(&self, snapshot: &Snapshot) -> Result<Plan, Refusal> {
        match &self.joins {
            Some((network, guest)) => plan::attach(&tap(), network, guest.as_ref(), snapshot),
            None => Ok(plan::detach(snapshot.tap.as_ref(), self.home().as_ref())),
        }
    }

    /// The bridge that a tap was in before, which is there in every case.
    fn home(&self) -> Option<IfName> {
        match self.snapshot.tap.as_ref()?.mark()? {
            Mark::Port(_, Some(former)) => former.master,
            _ => None,
        }
    }

    pub const fn is_detach(&self) -> bool {
        self.joins.is_none()
    }
}

fn tap() -> IfName {
    "lab-a".parse().unwrap()
}

fn directories() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan/cases");
    let mut paths: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "there are no cases");
    paths
}

fn texts(directory: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let path = entries.map(|entry| entry.unwrap().path());
    path.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// Reads the configuration as vnet itself does, from a copy: a checkout may have files that others can write, which
/// vnet refuses.
fn configured(root: &Path, network: &str, guest: Option<&str>) -> (Network, Option<Guest>) {
    let name = "lab".parse().unwrap();
    let store = |owner| Store::new(root.to_owned(), Owner::root_or(owner));
    let owner = copy(&store(0).network_path(&name), network);
    let store = store(owner);
    if let Some(guest) = guest {
        copy(&store.guest_path(&tap()), guest);
    }
    let fail = |problems| -> ! { panic!("{problems:#?}") };
    let network = store.network(&name).unwrap_or_else(|problems| fail(problems)).unwrap();
    (network, store.guest(&tap()).unwrap_or_else(|problems| fail(problems)))
}

/// Writes a file that none but its owner can, and tells who that is.
fn copy(path: &Path, text: &str) -> u32 {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::metadata(path).unwrap().uid()
}
