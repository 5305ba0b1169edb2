//! Files of the data folder, which nobody but the server's own user may read: they hold rows,
//! password hashes and the secret that signs tokens.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::{Error, Result};

/// Only the owner may read and write.
const FILE_MODE: u32 = 0o600;
/// Only the owner may enter.
const FOLDER_MODE: u32 = 0o700;
/// What group and others may do.
const OTHERS: u32 = 0o077;

/// Makes the data folder, if it is not there.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path);
    made.map_err(|error| {
        Error::Internal(format!("cannot make the data folder {}: {error}", path.display()))
    })?;
    Ok(())
}

/// Tells of a data folder that others may enter. It stays as it is: it may be for more than this.
pub(crate) fn warn_of_others(path: &Path) {
    if fs::metadata(path).is_ok_and(|folder| folder.permissions().mode() & OTHERS != 0) {
        let path = path.display();
        tracing::warn!("others may enter the data folder {path}; `chmod 700 {path}` keeps them out");
    }
}

/// Makes an SQLite file before SQLite does, which would let others read it; the files beside it get
/// its mode. Files that are there and let others read are narrowed.
pub(super) fn make_database(file: &Path) -> Result<()> {
    let failed =
        |error: io::Error| Error::Internal(format!("cannot open the database {}: {error}", file.display()));
    match create(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    for end in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        narrow(Path::new(&name));
    }
    Ok(())
}

/// Makes an empty file.
///
/// # Errors
/// `AlreadyExists`, and whatever the system says.
pub(crate) fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Takes away what others may do with a file; one that is another user's stays as it is.
pub(crate) fn narrow(path: &Path) {
    let is_open = |file: fs::Metadata| file.is_file() && file.permissions().mode() & OTHERS != 0;
    if !fs::metadata(path).is_ok_and(is_open) {
        return;
    }
    let path_shown = path.display();
    match fs::set_permissions(path, Permissions::from_mode(FILE_MODE)) {
        Ok(()) => tracing::warn!("others could read {path_shown}; now they cannot"),
        Err(error) => tracing::warn!(%error, "others can read {path_shown}"),
    }
}
