//! The arguments of `gatewright types`.

use std::path::PathBuf;

use clap::Args;

use super::DatabaseArgs;

#[derive(Debug, Args)]
pub struct TypesArgs {
    /// Only this gateway; may stand several times. Tables and routes are always written
    #[arg(long, value_name = "PATH")]
    pub gateway: Vec<String>,
    /// The file to write; without it, standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Writes nothing: exits with 1 where the file is not current
    #[arg(long, requires = "out")]
    pub check: bool,
    /// A running server to ask instead of the database
    #[arg(long, value_name = "URL", conflicts_with_all = ["data", "database_url", "config"])]
    pub url: Option<String>,
    /// The token of an admin of that server
    #[arg(long, value_name = "TOKEN", requires = "url")]
    pub token: Option<String>,
    #[command(flatten)]
    pub database: DatabaseArgs,
}
