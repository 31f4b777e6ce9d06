//! Opens a file of the administrator's once, and judges it on the open file, never on its path.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::problem::Problem;
use super::store::Owner;

/// The most bytes that a file may have.
const MOST: u64 = 64 * 1024;

/// The file's text; `None` if there is no such file.
pub(super) fn read(path: &Path, owner: Owner) -> Result<Option<String>, Problem> {
    // Without O_NONBLOCK a FIFO would hold us until somebody writes to it.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(Problem::of_file(path, "is a symbolic link; put the file itself here"));
        }
        Err(error) => return Err(Problem::of_file(path, format!("cannot be opened: {error}"))),
    };
    let size = judge(&file, owner).map_err(|what| Problem::of_file(path, what))?;
    let mut text = String::with_capacity(size + 1);
    match file.take(MOST + 1).read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Problem::of_file(path, "holds bytes that are not UTF-8; JSON is UTF-8 text"))
        }
        Err(error) => Err(Problem::of_file(path, format!("cannot be read: {error}"))),
        // It grew after it was judged.
        Ok(_) if text.len() as u64 > MOST => Err(Problem::of_file(path, too_large(text.len() as u64))),
        Ok(_) => Ok(Some(text)),
    }
}

/// The size of an open file, in bytes, or what is wrong with it.
fn judge(file: &File, owner: Owner) -> Result<usize, String> {
    let status = file.metadata().map_err(|error| format!("cannot be examined: {error}"))?;
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
        Ok(size) if status.size() <= MOST => Ok(size),
        _ => Err(too_large(status.size())),
    }
}

fn too_large(size: u64) -> String {
    format!("has {size} bytes or more; a file here has at most {MOST}")
}
