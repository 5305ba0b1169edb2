//! Copies of an SQLite database in the data folder's `backups/`, made while it is in use. One is made at a time,
//! under a name of its own until it is whole, so that whatever has the name of a copy is one.
//!
//! This module must not know who asks for them. PostgreSQL has a tool of its own for this.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::Config;
use crate::disk;
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store::{Store, Time, now, private};

/// Copies that are kept at once.
const BACKUPS_MAX: usize = 50;
/// Room that a copy leaves on the disk, in bytes.
const ROOM_LEFT: u64 = 64 << 20;
const BEGINS: &str = "gatewright-";
const ENDS: &str = ".db";
/// What the name of a copy ends with that is being made.
const UNFINISHED: &str = ".partial";

/// The copies of a database.
pub struct Backups {
    store: Store,
    folder: PathBuf,
    /// None on PostgreSQL.
    database: Option<PathBuf>,
    /// What PostgreSQL's tool is called with, without the password.
    command: Option<String>,
    /// The one that is being made, or the last that failed.
    current: Mutex<Option<Backup>>,
}

/// A copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The name of its file.
    pub name: String,
    /// How far it is.
    pub state: BackupState,
    /// Of its file, so far.
    pub bytes: u64,
    /// Of the database, while it is being made: it will have about as many.
    pub of_bytes: Option<u64>,
    /// When it was begun.
    pub created_at: Time,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupState {
    /// It is being made.
    Running,
    /// It is whole.
    Done,
    /// It could not be made; the log says why.
    Failed,
}

impl BackupState {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Backups {
    /// Of the configured database.
    pub fn new(store: Store, config: &Config) -> Self {
        let database = config.sqlite_file();
        let command = database.is_none().then(|| dump_command(&config.database_url));
        let folder = config.data_dir.join("backups");
        Self { store, folder, database, command, current: Mutex::default() }
    }

    /// What makes a copy of the database where that is PostgreSQL.
    pub fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    /// Begins a copy; it is whole when its state is [`BackupState::Done`].
    ///
    /// # Errors
    /// `BUSINESS_LOGIC_ERROR` on PostgreSQL, with the command that does it; `CONFLICT` while another is made, or where
    /// there are too many or too little room.
    pub async fn begin(self: &Arc<Self>) -> Result<Backup> {
        let Some(database) = self.database.clone() else {
            let command = self.command.as_deref().unwrap_or("pg_dump");
            let message =
                format!("The database is PostgreSQL, which has a tool of its own for this: {command}");
            let failure = Failure::new(ErrorCode::BusinessLogic, message);
            return Err(failure.with_details(serde_json::json!({ "command": command })).into());
        };
        let of_bytes = fs::metadata(&database).map_or(0, |file| file.len());
        private::make_folder(&self.folder)?;
        self.check_room(of_bytes)?;
        let backup = self.take_turn(of_bytes)?;
        let (backups, begun) = (self.clone(), backup.clone());
        tokio::spawn(async move {
            let made = backups.make(&begun.name).await;
            let mut current = backups.current.lock();
            *current = match made {
                Ok(()) => None,
                Err(error) => {
                    tracing::error!(%error, backup = begun.name, "the backup could not be made");
                    Some(Backup { state: BackupState::Failed, of_bytes: None, bytes: 0, ..begun })
                }
            };
        });
        Ok(backup)
    }

    /// The copies, newest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Backup>> {
        let current = self.current.lock().clone();
        let mut all: Vec<_> = self.done()?;
        // One that was running a moment ago may be among them.
        let current = current.filter(|current| all.iter().all(|done| done.name != current.name));
        all.extend(current.map(|mut current| {
            if current.state == BackupState::Running {
                let file = self.folder.join(format!("{}{UNFINISHED}", current.name));
                current.bytes = fs::metadata(file).map_or(0, |file| file.len());
            }
            current
        }));
        all.sort_by(|left, right| right.name.cmp(&left.name));
        Ok(all)
    }

    /// The file of a copy that is whole, open for reading, and its bytes.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub fn open(&self, name: &str) -> Result<(File, u64)> {
        let opened = self.path_of(name).and_then(|path| {
            let file = File::open(path).ok()?;
            let bytes = file.metadata().ok()?.len();
            Some((file, bytes))
        });
        Ok(opened.ok_or_else(|| Failure::not_found("backup", name))?)
    }

    /// Deletes a copy.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub fn delete(&self, name: &str) -> Result<()> {
        {
            // One that failed has no file.
            let mut current = self.current.lock();
            if current.as_ref().is_some_and(|one| one.name == name && one.state == BackupState::Failed) {
                *current = None;
                return Ok(());
            }
        }
        let is_gone = self.path_of(name).is_some_and(|path| fs::remove_file(path).is_ok());
        if is_gone { Ok(()) } else { Err(Failure::not_found("backup", name).into()) }
    }

    async fn make(&self, name: &str) -> Result<()> {
        let (unfinished, whole) = (self.folder.join(format!("{name}{UNFINISHED}")), self.folder.join(name));
        self.forget_unfinished();
        self.store.backup(&unfinished).await?;
        let finished = tokio::task::spawn_blocking(move || {
            File::open(&unfinished)?.sync_all()?;
            fs::rename(unfinished, whole)
        });
        let finished = finished.await.map_err(|error| Error::Internal(error.to_string()))?;
        finished.map_err(|error| Error::Internal(format!("cannot finish the backup {name}: {error}")))
    }

    /// Those that killed servers have left: there is one at a time, so none of them goes on.
    fn forget_unfinished(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let is_unfinished = |path: &PathBuf| path.extension().is_some_and(|end| end == &UNFINISHED[1..]);
        for path in entries.map(|entry| entry.path()).filter(is_unfinished) {
            let _ = fs::remove_file(path);
        }
    }

    fn take_turn(&self, of_bytes: u64) -> Result<Backup> {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|current| current.state == BackupState::Running) {
            return Err(Failure::new(ErrorCode::Conflict, "A backup is being made; wait for its end").into());
        }
        let created_at = now();
        let name = name_at(created_at);
        if self.folder.join(&name).exists() {
            return Err(Failure::new(ErrorCode::Conflict, "There is a backup of this second already").into());
        }
        let backup =
            Backup { name, state: BackupState::Running, bytes: 0, of_bytes: Some(of_bytes), created_at };
        *current = Some(backup.clone());
        Ok(backup)
    }

    fn check_room(&self, of_bytes: u64) -> Result<()> {
        if self.done()?.len() >= BACKUPS_MAX {
            let message = format!("There are {BACKUPS_MAX} backups; delete some first");
            return Err(Failure::new(ErrorCode::Conflict, message).into());
        }
        let free = disk::space_of(&self.folder).map_or(u64::MAX, |space| space.free_bytes);
        if free < of_bytes.saturating_add(ROOM_LEFT) {
            let message = format!(
                "The disk of the data folder has too little room: {} MiB free, {} MiB needed",
                free >> 20,
                (of_bytes + ROOM_LEFT) >> 20
            );
            return Err(Failure::new(ErrorCode::Conflict, message).into());
        }
        Ok(())
    }

    /// Those that are whole.
    fn done(&self) -> Result<Vec<Backup>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::Internal(format!("cannot read the backups: {error}"))),
        };
        let backup = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let created_at = time_of(&name)?;
            let file = entry.metadata().ok().filter(|file| file.is_file())?;
            Some(Backup { name, state: BackupState::Done, bytes: file.len(), of_bytes: None, created_at })
        };
        Ok(entries.filter_map(|entry| backup(entry.ok()?)).collect())
    }

    /// Where a copy is, if it can be the name of one: no other file is read or deleted.
    fn path_of(&self, name: &str) -> Option<PathBuf> {
        time_of(name)?;
        let path = self.folder.join(Path::new(name).file_name()?);
        path.is_file().then_some(path)
    }
}

const NAME_TIME: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]-[minute]-[second]Z");

fn name_at(time: Time) -> String {
    let time = time.to_offset(time::UtcOffset::UTC).format(NAME_TIME).unwrap_or_default();
    format!("{BEGINS}{time}{ENDS}")
}

/// When a copy of this name was begun; none: it is the name of none.
fn time_of(name: &str) -> Option<Time> {
    let text = name.strip_prefix(BEGINS)?.strip_suffix(ENDS)?;
    let time = time::PrimitiveDateTime::parse(text, NAME_TIME).ok()?.assume_utc();
    (name_at(time) == name).then_some(time)
}

/// The command for a PostgreSQL database; who runs it is asked for the password.
fn dump_command(url: &str) -> String {
    let shown = url::Url::parse(url).ok().map(|mut url| {
        let _ = url.set_password(None);
        url.set_query(None);
        url.to_string().replace('\'', "%27")
    });
    let shown = shown.unwrap_or_else(|| "postgres://USER@HOST/NAME".to_owned());
    format!("pg_dump --format=custom --file=gatewright.dump '{shown}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = "gatewright-2026-01-31T12-00-05Z.db";
        assert_eq!(time_of(name).map(name_at).as_deref(), Some(name));
        for wrong in
            ["", "gatewright.db", "secret", "../gatewright-2026-01-31T12-00-05Z.db", "gatewright-x.db"]
        {
            assert_eq!(time_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn commands_have_no_password() {
        let command = dump_command("postgres://ada:s3cret@db.example:5433/live?password=s3cret");
        assert_eq!(
            command,
            "pg_dump --format=custom --file=gatewright.dump 'postgres://ada@db.example:5433/live'"
        );
    }
}
