//! The `gatewright` binary: what each subcommand does is in the module of its name.

#![expect(unreachable_pub, reason = "a program has no outside: pub says what other modules use")]
#![deny(clippy::print_stdout, clippy::print_stderr, reason = "they panic when the reader has gone")]

mod boot;
mod cli;
mod commands;
mod examples;
mod gateway;
mod http;
mod pack_errors;
mod packs;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let done = runtime.block_on(run(cli));
    runtime.shutdown_background();
    done.unwrap_or_else(|error| fail(&error))
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => boot::serve(args.sources(), None).await,
        Command::Demo(args) => commands::demo::run(args).await,
        Command::Check(args) => commands::check::run(args).await,
        Command::Test(args) => commands::test::run(args).await,
        Command::Pack(args) => commands::pack::run(args).await,
        Command::User(args) => commands::user::run(args).await,
        Command::Token(args) => commands::user::token(args).await,
        Command::AppKey(args) => commands::app_key::run(args).await,
        Command::Jobs(args) => commands::jobs::run(args).await,
        Command::Types(args) => commands::types::run(args).await,
        Command::Config(args) => commands::config::run(&args),
        Command::Migrate(args) => commands::database::migrate(args).await,
        Command::Backup(args) => commands::database::backup(args).await,
        Command::Completions { shell } => commands::completions::run(shell),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    if reader_has_gone(error) {
        return ExitCode::SUCCESS;
    }
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
    ExitCode::FAILURE
}

/// `gatewright config | head -1` is no failure: the reader has what it wanted.
fn reader_has_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
