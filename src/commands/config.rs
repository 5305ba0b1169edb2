//! `gatewright config`.

use std::io::{Write, stdout};
use std::process::ExitCode;

use gatewright_core::config;

use crate::cli::ServeArgs;

/// Prints every setting as TOML could have it, with its origin.
pub fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let loaded = config::load(&args.clone().sources())?;
    let width =
        loaded.settings.iter().map(|setting| setting.key.len() + setting.value.len()).max().unwrap_or(0);
    for setting in &loaded.settings {
        let assignment = format!("{} = {}", setting.key, setting.value);
        writeln!(stdout(), "{assignment:<0$}  # {1}", width.min(60) + 3, setting.origin)?;
    }
    Ok(ExitCode::SUCCESS)
}
