//! Opens root's files for a program that trusts nobody else: no part of a path may be a symbolic link, and each belongs to
//! root and can be written by root alone. Whoever could change a part could put another file there.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, fstat};

use super::owner::Owner;
use super::problem::Problem;
use super::{Allow, file};
use crate::model::Accounts;

/// Root's files. A directory is opened and judged once: this keeps it, and with it what was judged.
#[derive(Debug, Default)]
pub struct Trusted {
    directories: RefCell<Vec<(PathBuf, Rc<OwnedFd>)>>,
}

/// Why there is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is no such file.
    Absent,
    /// The caller may not read it, or not look into a directory above it.
    Denied,
    /// It cannot be believed, or cannot be read just now.
    Wrong(Problem),
}

impl Unread {
    /// The problem with a file that has to be there.
    pub fn problem(self, path: &Path) -> Problem {
        match self {
            Self::Absent => Problem::of_file(path, "is missing; write it"),
            Self::Denied => Problem::denied(path),
            Self::Wrong(problem) => problem,
        }
    }
}

impl Trusted {
    /// The text of a file of 64 KiB at most.
    ///
    /// # Errors
    /// A file that is not there, that the caller may not read, or that cannot be believed.
    pub fn read(&self, path: &Path) -> Result<String, Unread> {
        self.read_at_most(path, file::MOST)
    }

    /// The text of a file of at most so many bytes.
    ///
    /// # Errors
    /// As [`Trusted::read`].
    pub fn read_at_most(&self, path: &Path, most: u64) -> Result<String, Unread> {
        file::text(self.open(path)?, Owner::root_or(0), most).map_err(|what| wrong(path, what))
    }

    /// The users and the groups, each only where somebody is named whose number is to be found.
    ///
    /// # Errors
    /// As [`Trusted::read`]; a file that is not there names nobody.
    pub fn accounts_of(&self, allow: &Allow) -> Result<Accounts, Unread> {
        let lines = |path, needed| if needed { self.lines(Path::new(path)) } else { Ok(String::new()) };
        Ok(Accounts {
            passwd: lines(Accounts::PASSWD, allow.names_users())?,
            group: lines(Accounts::GROUP, allow.names_groups())?,
        })
    }

    /// The text of a file in which a comment may be of another character set.
    fn lines(&self, path: &Path) -> Result<String, Unread> {
        /// Some thousands of lines.
        const MOST: u64 = 512 * 1024;
        match self.open(path) {
            Ok(file) => match file::bytes(file, Owner::root_or(0), MOST) {
                Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(what) => Err(wrong(path, what)),
            },
            Err(Unread::Absent) => Ok(String::new()),
            Err(unread) => Err(unread),
        }
    }

    fn open(&self, path: &Path) -> Result<File, Unread> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().filter(|_| is_plain(path))) else {
            let what = "is no plain absolute path; begin it with /, and leave out empty parts, . and ..";
            return Err(wrong(path, what.to_owned()));
        };
        let directory = self.directory(parent)?;
        // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        match openat(&*directory, name, flags, Mode::empty()) {
            Ok(descriptor) => Ok(File::from(descriptor)),
            Err(Errno::ELOOP) => Err(wrong(path, file::SYMBOLIC_LINK.to_owned())),
            Err(errno) => Err(unread(path, errno)),
        }
    }

    /// The directory, and all above it judged.
    fn directory(&self, path: &Path) -> Result<Rc<OwnedFd>, Unread> {
        let known = self.directories.borrow().iter().find(|(known, _)| known == path).map(|(_, fd)| Rc::clone(fd));
        if let Some(known) = known {
            return Ok(known);
        }
        let opened = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => open_directory(&*self.directory(parent)?, name),
            _ => open_directory(AT_FDCWD, OsStr::new("/")),
        };
        let directory = Rc::new(opened.map_err(|errno| unread(path, errno))?);
        judge_directory(path, &directory)?;
        self.directories.borrow_mut().push((path.to_owned(), Rc::clone(&directory)));
        Ok(directory)
    }
}

fn open_directory(above: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    // O_PATH asks for no right to list it, which the caller need not have.
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(above, name, flags, Mode::empty())
}

/// A sticky bit, which keeps others from replacing what is there, does not keep them from adding what is not.
fn judge_directory(path: &Path, directory: &OwnedFd) -> Result<(), Unread> {
    let status = fstat(directory).map_err(|errno| unread(path, errno))?;
    if status.st_uid != 0 {
        let owner = status.st_uid;
        let what = format!("belongs to user {owner}, who could put other files there; chown root lets it count");
        return Err(wrong(path, what));
    }
    if status.st_mode & 0o022 != 0 {
        let mode = status.st_mode & 0o7777;
        let what = format!("has mode {mode:04o}, so that others could put files there; chmod go-w takes that away");
        return Err(wrong(path, what));
    }
    Ok(())
}

fn unread(path: &Path, errno: Errno) -> Unread {
    let what = match errno {
        Errno::ENOENT => return Unread::Absent,
        Errno::EACCES => return Unread::Denied,
        Errno::ENOTDIR => {
            "is no directory itself; a symbolic link to one does not count, put the directory here".to_owned()
        }
        errno => format!("cannot be opened: {}; it and its directories have to be readable", io::Error::from(errno)),
    };
    wrong(path, what)
}

fn wrong(path: &Path, what: String) -> Unread {
    Unread::Wrong(Problem::of_file(path, what))
}

/// Whether a path begins at the root and has no part that means another.
fn is_plain(path: &Path) -> bool {
    let mut parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    parts.next() == Some(b"") && parts.all(|part| !matches!(part, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_mean_another_are_refused() {
        for path in [
            "",
            "/",
            "etc/passwd",
            "./x",
            "/etc/../etc/passwd",
            "//etc/passwd",
            "/etc/./passwd",
            "/etc/passwd/",
            "/etc//passwd",
            "/..",
        ] {
            let refused = Trusted::default().read(Path::new(path));
            let Err(Unread::Wrong(problem)) = refused else { panic!("{path}: {refused:?}") };
            assert!(problem.what.starts_with("is no plain absolute path; "), "{problem}");
        }
        assert!(is_plain(Path::new("/etc/qemu/...")) && is_plain(Path::new("/a")));
    }
}
