//! Opens a file of the administrator's once, and judges it on the open file, never on its path.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::owner::Owner;
use super::problem::Problem;

/// The most bytes that a file may have.
pub(super) const MOST: u64 = 64 * 1024;

/// What is wrong with a symbolic link.
pub(super) const SYMBOLIC_LINK: &str = "is a symbolic link; put the file itself here";

/// The file's text; `None` if there is no such file.
pub(super) fn read(path: &Path, owner: Owner) -> Result<Option<String>, Problem> {
    let problem = |what: String| Err(Problem::of_file(path, what));
    // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match openat(AT_FDCWD, path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP) => return problem(SYMBOLIC_LINK.to_owned()),
        Err(errno) => {
            return problem(format!(
                "cannot be opened: {}; it and its directories have to be readable",
                io::Error::from(errno)
            ));
        }
    };
    match text(file, owner, MOST) {
        Ok(text) => Ok(Some(text)),
        Err(what) => problem(what),
    }
}

/// The text of an open file of at most so many bytes, or what is wrong with it.
pub(super) fn text(file: File, owner: Owner, most: u64) -> Result<String, String> {
    String::from_utf8(bytes(file, owner, most)?)
        .map_err(|_| "holds bytes that are not UTF-8; a file here is UTF-8 text".to_owned())
}

/// The bytes of an open file of at most so many, or what is wrong with it.
pub(super) fn bytes(file: File, owner: Owner, most: u64) -> Result<Vec<u8>, String> {
    let size = judge(&file, owner, most)?;
    contents(file, size)
}

/// The bytes of a file that was of this size.
fn contents(mut file: File, size: usize) -> Result<Vec<u8>, String> {
    // One byte more, so that a single read tells whether that was all.
    let mut bytes = vec![0; size + 1];
    match file.read(&mut bytes) {
        Ok(length) if length <= size => bytes.truncate(length),
        Ok(_) => return Err("grew while it was read; try again".to_owned()),
        Err(error) => return Err(format!("cannot be read: {error}; try again, or put it on a disk that works")),
    }
    Ok(bytes)
}

/// The size of an open file, in bytes, or what is wrong with it.
fn judge(file: &File, owner: Owner, most: u64) -> Result<usize, String> {
    let status = file.metadata().map_err(|error| format!("cannot be examined: {error}; try again"))?;
    if !status.is_file() {
        return Err("is no regular file; write the configuration into a plain file".to_owned());
    }
    if !owner.may_own(status.uid()) {
        return Err(format!("belongs to user {}; {}", status.uid(), owner.right()));
    }
    if status.mode() & 0o022 != 0 {
        let mode = status.mode() & 0o7777;
        return Err(format!("has mode {mode:04o}, so that others may write it; chmod go-w takes that away"));
    }
    match usize::try_from(status.size()) {
        Ok(size) if status.size() <= most => Ok(size),
        _ => Err(too_large(status.size(), most)),
    }
}

fn too_large(size: u64, most: u64) -> String {
    format!("has {size} bytes or more; a file here has at most {most}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_while_it_is_read_is_not_cut() {
        let file =
            || File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap_or_else(|error| panic!("{error}"));
        let size = file().metadata().map_or(0, |status| usize::try_from(status.size()).unwrap_or(0));
        assert_eq!(contents(file(), size).map(|text| text.len()), Ok(size));
        assert_eq!(contents(file(), size - 1), Err("grew while it was read; try again".to_owned()));
        assert_eq!(contents(file(), size + 1).map(|text| text.len()), Ok(size), "one that shrank is what it is now");
    }
}
