//! How much room a disk has.

use std::io;
use std::path::Path;

/// The room of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it.
    pub total_bytes: u64,
    /// What this process may still use.
    pub free_bytes: u64,
}

/// The room of the disk that a folder is on. It may wait for that disk.
///
/// # Errors
/// Those of the system.
pub fn space_of(folder: &Path) -> io::Result<DiskSpace> {
    let disk = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Ok(DiskSpace { total_bytes: bytes(disk.f_blocks), free_bytes: bytes(disk.f_bavail) })
}
