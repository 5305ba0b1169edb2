//! The `gatewright` binary: what each subcommand does is in the module of its name.

mod boot;
mod cli;
mod commands;
mod gateway;
mod http;
mod packs;

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
        Command::Config(args) => commands::config::run(&args),
        Command::Migrate(args) => commands::database::migrate(args).await,
        Command::Backup(args) => commands::database::backup(args).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
