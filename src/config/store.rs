//! The configuration directory.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, io};

use super::owner::Owner;
use super::problem::Problem;
use super::trusted::{Trusted, Unread};
use super::{Guest, HostSettings, Network, file, json};
use crate::model::{IfName, NetworkName};

/// A configuration directory, and how what is in it is read.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    reader: Rc<dyn Reader>,
}

/// How a file is read: by whom it may be owned, or also by whom it may be read. A trait, so that a program links only the
/// readers that it makes.
trait Reader: Debug {
    fn text(&self, path: &Path) -> Result<Option<String>, Problem>;
}

impl Reader for Owner {
    fn text(&self, path: &Path) -> Result<Option<String>, Problem> {
        file::read(path, *self)
    }
}

impl Reader for Trusted {
    fn text(&self, path: &Path) -> Result<Option<String>, Problem> {
        match self.read(path) {
            Ok(text) => Ok(Some(text)),
            Err(Unread::Absent) => Ok(None),
            Err(unread) => Err(unread.problem(path)),
        }
    }
}

/// A file and its text, kept so that an error can name the line of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl Source {
    /// `FILE:LINE` of the value of a key.
    pub fn place(&self, key: &str) -> String {
        format!("{}:{}", self.path.display(), json::line_of(self, key))
    }

    /// A problem with a key.
    pub fn problem(&self, key: &str, what: impl Into<String>) -> Problem {
        let line = Some(json::line_of(self, key));
        Problem { line, key: key.to_owned(), ..Problem::of_file(&self.path, what) }
    }
}

impl Store {
    /// The configuration below `root`.
    pub fn new(root: PathBuf, owner: Owner) -> Self {
        Self { root, reader: Rc::new(owner) }
    }

    /// The configuration below `root` for a program that acts for a user: its files, and all that is above them, are
    /// root's alone. One that the user may not read is a problem which says so ([`Problem::denied`]).
    pub fn trusted(root: PathBuf, files: Rc<Trusted>) -> Self {
        Self { root, reader: files }
    }

    /// The file of a network.
    pub fn network_path(&self, name: &NetworkName) -> PathBuf {
        self.root.join("networks").join(format!("{name}.json"))
    }

    /// The file of a guest's interface.
    pub fn guest_path(&self, tap: &IfName) -> PathBuf {
        self.root.join("guests").join(format!("{tap}.json"))
    }

    /// The network of this name; `None` if it has no file.
    ///
    /// # Errors
    /// All that is wrong with its file.
    pub fn network(&self, name: &NetworkName) -> Result<Option<Network>, Vec<Problem>> {
        match self.source(self.network_path(name)).map_err(|problem| vec![problem])? {
            Some(source) => Network::read(name.clone(), source).map(Some),
            None => Ok(None),
        }
    }

    /// What is said of the guest behind this tap; `None` if it has no file.
    ///
    /// # Errors
    /// All that is wrong with its file.
    pub fn guest(&self, tap: &IfName) -> Result<Option<Guest>, Vec<Problem>> {
        match self.source(self.guest_path(tap)).map_err(|problem| vec![problem])? {
            Some(source) => Guest::read(tap.clone(), source).map(Some),
            None => Ok(None),
        }
    }

    /// What concerns the whole host, or what is standard where no file says otherwise.
    ///
    /// # Errors
    /// What is wrong with its file.
    pub fn host(&self) -> Result<HostSettings, Vec<Problem>> {
        match self.source(self.root.join("vnet.json")).map_err(|problem| vec![problem])? {
            Some(source) => HostSettings::read(&source),
            None => Ok(HostSettings::STANDARD),
        }
    }

    /// Whether there is a file of any network: then somebody has made up their mind about this host.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn has_networks(&self) -> Result<bool, Problem> {
        self.entries("networks").map(|names| !names.is_empty())
    }

    /// The names of all networks, sorted, and the problems of files that are named like none.
    pub fn network_names(&self) -> Result<(Vec<NetworkName>, Vec<Problem>), Problem> {
        self.names("networks")
    }

    /// The names of all taps that have a guest file, sorted, and the problems of files that are named like none.
    pub fn guest_names(&self) -> Result<(Vec<IfName>, Vec<Problem>), Problem> {
        self.names("guests")
    }

    fn source(&self, path: PathBuf) -> Result<Option<Source>, Problem> {
        let text = self.reader.text(&path)?;
        Ok(text.map(|text| Source { path, text }))
    }

    fn names<T: std::str::FromStr<Err = crate::model::Invalid> + Ord>(
        &self,
        directory: &str,
    ) -> Result<(Vec<T>, Vec<Problem>), Problem> {
        let (mut names, mut problems) = (Vec::new(), Vec::new());
        for name in self.entries(directory)? {
            match name.parse() {
                Ok(name) => names.push(name),
                Err(invalid) => {
                    let path = self.root.join(directory).join(format!("{name}.json"));
                    problems.push(Problem::of_file(&path, format!("its name is no good: {invalid}")));
                }
            }
        }
        names.sort();
        Ok((names, problems))
    }

    /// The names, without `.json`, of the files in a directory that end with it; none if there is no directory.
    fn entries(&self, directory: &str) -> Result<Vec<String>, Problem> {
        let path = self.root.join(directory);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // A symbolic link that leads nowhere is a mistake, not an absence.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.symlink_metadata().is_err() => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| unreadable(&path, &error))?.file_name();
            names.extend(name.to_string_lossy().strip_suffix(".json").map(str::to_owned));
        }
        Ok(names)
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::of_file(path, format!("cannot be listed: {error}; make it a directory that can be read, or remove it"))
}
