//! `gatewright demo`.

use std::process::ExitCode;

use anyhow::bail;

use crate::boot;
use crate::cli::{DatabaseArgs, DemoArgs, ServeArgs};
use crate::http::{demo_of, packs_with_demos};

/// Runs a server on a temporary folder with packs and the pages to try them.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    if let Some(pack) = args.packs.iter().find(|pack| demo_of(pack).is_none()) {
        bail!("there is no demo of {pack}; there are demos of {}", packs_with_demos());
    }
    let folder = boot::temporary_folder()?;
    let serve = ServeArgs {
        listen: Some(args.listen),
        database: DatabaseArgs { data: Some(folder.path().to_owned()), ..DatabaseArgs::default() },
        pack: args.packs.clone(),
        watch: None,
    };
    boot::serve(serve.sources(), &args.packs).await
}
