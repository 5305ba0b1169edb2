//! `gatewright types`.

mod document;
mod schema;
mod source;
mod text;

use std::io::{Write, stdout};
use std::process::ExitCode;

use anyhow::Context;

use crate::cli::TypesArgs;

/// Writes the TypeScript types of what is defined, or says whether a file has them.
pub async fn run(args: TypesArgs) -> anyhow::Result<ExitCode> {
    let mut defined = match args.url {
        Some(url) => {
            let token = args.token;
            tokio::task::spawn_blocking(move || source::of_server(&url, token.as_deref())).await??
        }
        None => source::of_database(args.database).await?,
    };
    if !args.gateway.is_empty() {
        let paths = defined.gateways.iter().filter_map(|defined| defined.gateway["path"].as_str());
        let known: Vec<_> = paths.map(str::to_owned).collect();
        if let Some(missing) = args.gateway.iter().find(|path| !known.contains(path)) {
            anyhow::bail!("there is no gateway {missing}; there are: {}", known.join(", "));
        }
        defined.gateways.retain(|defined| args.gateway.iter().any(|path| defined.gateway["path"] == **path));
    }
    let written = document::written(defined);
    let Some(file) = args.out else {
        stdout().write_all(written.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let present = std::fs::read_to_string(&file).ok();
    if present.as_deref() == Some(written.as_str()) {
        return Ok(ExitCode::SUCCESS);
    }
    if args.check {
        anyhow::bail!("{} is not current; write it again, without --check", file.display());
    }
    std::fs::write(&file, written).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
