//! The command line.

mod jobs;
mod types;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use gatewright_core::config::{FlagValue, ListenAddress, Sources};
use uuid::Uuid;

use crate::examples::*;

pub use jobs::{FilterArgs, JobsArgs, JobsCommand, SelectedArgs};
pub use types::TypesArgs;

/// The file that is read when no other is named.
const CONFIG_FILE: &str = "gatewright.toml";

/// A self-hosted realtime gateway: Socket.IO events that run sandboxed scripts.
///
/// Admins define gateways (Socket.IO namespaces), events and Rhai scripts in a database; stock
/// socket.io-client applications connect. A saved script is live at once.
///
/// Try it: `gatewright demo`.
#[derive(Debug, Parser)]
#[command(name = "gatewright", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the server
    ///
    /// Settings come from the defaults, then gatewright.toml, then GATEWRIGHT_… variables, then
    /// flags; `gatewright config` shows the outcome. SIGTERM or SIGINT stops it: accepted events
    /// finish, sockets are closed over the drain time; a second signal ends it at once.
    #[command(after_long_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Runs a server on a temporary folder, with packs and pages to try them
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Checks packs and scripts for all that installing would refuse; exits with 1 when there is any
    #[command(after_long_help = CHECK_EXAMPLES)]
    Check(PathArgs),
    /// Runs the script tests of packs; exits with 1 when one fails, or when there are none
    #[command(after_long_help = TEST_EXAMPLES)]
    Test(TestArgs),
    /// Lists, installs, removes, exports and compares packs
    #[command(after_long_help = PACK_EXAMPLES)]
    Pack(PackArgs),
    /// Makes and lists users, and sets their passwords
    #[command(after_long_help = USER_EXAMPLES)]
    User(UserArgs),
    /// Prints a token for a user, without a password
    #[command(after_long_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
    /// Makes, lists and deletes app keys, with which programs call the HTTP API
    #[command(after_long_help = APP_KEY_EXAMPLES)]
    AppKey(AppKeyArgs),
    /// Lists durable events and jobs for later, runs them again, and discards them
    #[command(after_long_help = JOBS_EXAMPLES)]
    Jobs(JobsArgs),
    /// Writes TypeScript types of gateways, events, tables and routes
    #[command(after_long_help = TYPES_EXAMPLES)]
    Types(TypesArgs),
    /// Prints the effective configuration, and where each value came from
    #[command(after_long_help = CONFIG_EXAMPLES)]
    Config(ServeArgs),
    /// Brings the database up to date and lists its migrations
    #[command(after_long_help = MIGRATE_EXAMPLES)]
    Migrate(DatabaseArgs),
    /// Writes a consistent copy of the SQLite database, also while the server runs
    #[command(after_long_help = BACKUP_EXAMPLES)]
    Backup(BackupArgs),
    /// Prints a script that completes this command line in a shell
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Packs, or folders with packs in them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// A configuration file instead of gatewright.toml, for the caps of the sandbox
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Where the data is.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseArgs {
    /// The folder of the database and the signing secret
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// sqlite://FILE or postgres://USER@HOST/NAME instead of SQLite in the data folder
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// A configuration file instead of gatewright.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Where to listen, such as localhost:4000; port 0 is any free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<ListenAddress>,
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// A pack to install at the start: a name, or the path of a folder; may stand several times
    #[arg(long, value_name = "NAME")]
    pub pack: Vec<String>,
    /// A folder of packs that is installed again whenever a file in it changes
    #[arg(long, value_name = "DIR")]
    pub watch: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to listen, such as localhost:4000; port 0 is any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4000")]
    pub listen: ListenAddress,
}

#[derive(Debug, Args)]
pub struct PathArgs {
    /// Folders of packs, folders with packs in them, or .rhai files
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// A configuration file instead of gatewright.toml, for the caps of the sandbox
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct PackArgs {
    #[command(subcommand)]
    pub command: PackCommand,
}

#[derive(Debug, Subcommand)]
pub enum PackCommand {
    /// Lists the packs that are known and those that are installed
    #[command(after_long_help = PACK_LIST_EXAMPLES)]
    List(DatabaseArgs),
    /// Installs a pack; a server on the same database has it live within a second
    #[command(after_long_help = PACK_INSTALL_EXAMPLES)]
    Install {
        #[command(flatten)]
        pack: PackSelector,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
        /// Overwrite what an admin has edited since, and lose values of columns and tables that go
        #[arg(long)]
        force: bool,
    },
    /// Deletes all that came from a pack
    #[command(after_long_help = PACK_UNINSTALL_EXAMPLES)]
    Uninstall {
        /// The pack's name
        name: String,
        /// Also what an admin has edited since, and tables with rows
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Shows what installing a pack would change, as a unified diff of scripts and settings
    #[command(after_long_help = PACK_DIFF_EXAMPLES)]
    Diff {
        #[command(flatten)]
        pack: PackSelector,
        /// Exit with 1 when something would change, not only when it cannot be told
        #[arg(long)]
        exit_code: bool,
    },
    /// Writes what came from a pack, or gateways, as a pack
    #[command(after_long_help = PACK_EXPORT_EXAMPLES)]
    Export {
        /// The pack's name
        name: String,
        /// The folder to write; it must not exist
        dir: PathBuf,
        /// Gateways to export instead of what came from the pack; may stand several times
        #[arg(long, value_name = "PATH")]
        gateway: Vec<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, Args)]
pub struct PackSelector {
    /// A name, or the path of a folder
    pub pack: String,
    /// A path to put the pack's gateways and routes under: `/` becomes the path itself. Without it a pack that is
    /// installed stays where it is; `--mount /` takes it back
    #[arg(long, value_name = "PATH")]
    pub mount: Option<String>,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct UserArgs {
    #[command(subcommand)]
    pub command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Makes a user; without --password one is made up and printed
    #[command(after_long_help = USER_CREATE_EXAMPLES)]
    Create {
        /// The e-mail address
        #[arg(long)]
        email: String,
        /// At least 8 characters; others on this machine may see it, prefer to leave it out
        #[arg(long)]
        password: Option<String>,
        /// The name for people
        #[arg(long, default_value = "")]
        name: String,
        /// user, admin, or any other name
        #[arg(long, default_value = "user")]
        role: String,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Sets a user's password and ends the user's sessions; without --password one is made up
    #[command(after_long_help = USER_PASSWD_EXAMPLES)]
    Passwd {
        /// The e-mail address
        #[arg(long)]
        email: String,
        /// At least 8 characters
        #[arg(long)]
        password: Option<String>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Lists users
    #[command(after_long_help = USER_LIST_EXAMPLES)]
    List(DatabaseArgs),
}

#[derive(Debug, Args)]
pub struct AppKeyArgs {
    #[command(subcommand)]
    pub command: AppKeyCommand,
}

#[derive(Debug, Subcommand)]
pub enum AppKeyCommand {
    /// Makes an app key and prints it, this once; programs send it as the header x-app-token
    #[command(after_long_help = APP_KEY_CREATE_EXAMPLES)]
    Create {
        /// The name for people
        #[arg(long)]
        name: String,
        /// socket:read, socket:broadcast, data:read, data:write or routes; may stand several times
        #[arg(long, required = true, value_name = "SCOPE")]
        scope: Vec<String>,
        /// How long it counts: 90s, 15m, 12h, 30d; without it, until it is deleted
        #[arg(long, value_name = "TIME", value_parser = parse_ttl)]
        expires: Option<Duration>,
        #[command(flatten)]
        database: DatabaseArgs,
    },
    /// Lists app keys, without the keys themselves
    #[command(after_long_help = APP_KEY_LIST_EXAMPLES)]
    List(DatabaseArgs),
    /// Deletes an app key: it no longer counts
    #[command(after_long_help = APP_KEY_DELETE_EXAMPLES)]
    Delete {
        /// The id that `create` and `list` print
        id: Uuid,
        #[command(flatten)]
        database: DatabaseArgs,
    },
}

#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The user's e-mail address
    #[arg(long, value_name = "EMAIL")]
    pub user: String,
    /// How long it counts: 90s, 15m, 12h, 30d
    #[arg(long, default_value = "15m", value_parser = parse_ttl)]
    pub ttl: Duration,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write; it must not exist
    pub file: PathBuf,
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl DatabaseArgs {
    /// These flags over the environment and the configuration file.
    pub fn sources(self) -> Sources {
        ServeArgs { database: self, ..ServeArgs::default() }.sources()
    }
}

impl ServeArgs {
    /// These flags over the environment and the configuration file.
    pub fn sources(self) -> Sources {
        let text = |path: PathBuf| FlagValue::Text(path.to_string_lossy().into_owned());
        let mut flags = Vec::new();
        let mut flag = |key, value: Option<FlagValue>| flags.extend(value.map(|value| (key, value)));
        flag("listen", self.listen.map(|listen| FlagValue::Text(listen.to_string())));
        flag("data_dir", self.database.data.map(text));
        flag("database_url", self.database.database_url.map(FlagValue::Text));
        flag("packs", (!self.pack.is_empty()).then_some(FlagValue::List(self.pack)));
        flag("watch", self.watch.map(text));
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources { file: self.database.config, optional_file: Some(CONFIG_FILE.into()), env, flags }
    }
}

/// `15m` and the like.
fn parse_ttl(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write 90s, 15m, 12h or 30d");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| (1..=3650 * 86_400).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "a time is 1 second to 3650 days".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times() {
        assert_eq!(parse_ttl("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_ttl("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for wrong in ["", "15", "m", "0s", "1w", "-1m", "99999999999999999999d", "99999d"] {
            assert!(parse_ttl(wrong).is_err(), "{wrong}");
        }
    }
}
