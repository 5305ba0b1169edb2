//! `gatewright user` and `gatewright token`.

use std::io::{Write, stdout};
use std::process::ExitCode;

use gatewright_core::Failure;
use gatewright_core::auth::{NewUser, User, UserChange};
use gatewright_core::store::list::{LIMIT_MAX, ListQuery};

use crate::boot::{App, made_up_password};
use crate::cli::{DatabaseArgs, TokenArgs, UserArgs, UserCommand};

/// Runs a subcommand of `user`.
pub async fn run(args: UserArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        UserCommand::Create { email, password, name, role, database } => {
            let app = App::of(database.sources()).await?;
            let (password, is_made_up) = or_made_up(password);
            let new = NewUser { email, password: password.clone(), name, role, is_enabled: true };
            let user = app.accounts.create_user(new).await?;
            writeln!(stdout(), "{} {} is made, with the role {}", user.id, user.email, user.role)?;
            print_password(&password, is_made_up)?;
        }
        UserCommand::Passwd { email, password, database } => {
            let app = App::existing(database.sources()).await?;
            let user = user(&app, &email).await?;
            let (password, is_made_up) = or_made_up(password);
            let change = UserChange { password: Some(password.clone()), ..UserChange::default() };
            app.accounts.update_user(user.own_account()?.id, change).await?;
            writeln!(stdout(), "{} has a new password; all sessions are ended", user.email)?;
            print_password(&password, is_made_up)?;
        }
        UserCommand::List(database) => list(database).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a token for a user.
pub async fn token(args: TokenArgs) -> anyhow::Result<ExitCode> {
    let app = App::existing(args.database.sources()).await?;
    let user = user(&app, &args.user).await?;
    let (token, _) = app.accounts.token_for(&user, args.ttl).await?;
    writeln!(stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

async fn list(database: DatabaseArgs) -> anyhow::Result<()> {
    let app = App::existing(database.sources()).await?;
    for page in 1.. {
        let query = ListQuery {
            limit: Some(LIMIT_MAX),
            page: Some(page),
            sort: Some("email".to_owned()),
            ..ListQuery::default()
        };
        let users = app.accounts.list_users(&query).await?.rows;
        for user in &users {
            let is_enabled = user.own_account()?.is_enabled;
            let state = if is_enabled { "" } else { " (disabled)" };
            writeln!(stdout(), "{} {:<12} {}{state}", user.id, user.role, user.email)?;
        }
        if (users.len() as u64) < LIMIT_MAX {
            break;
        }
    }
    Ok(())
}

async fn user(app: &App, email: &str) -> anyhow::Result<User> {
    let user = app.accounts.user_by_email(email).await?;
    Ok(user.ok_or_else(|| Failure::not_found("user", email))?)
}

fn or_made_up(password: Option<String>) -> (String, bool) {
    let is_made_up = password.is_none();
    (password.unwrap_or_else(made_up_password), is_made_up)
}

fn print_password(password: &str, is_made_up: bool) -> std::io::Result<()> {
    if is_made_up {
        writeln!(stdout(), "password: {password} (shown this once)")?;
    }
    Ok(())
}
