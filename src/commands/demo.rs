//! `gatewright demo`.

use std::process::ExitCode;

use crate::boot::{self, DemoPage};
use crate::cli::{DatabaseArgs, DemoArgs, ServeArgs};

/// Runs a server on a temporary folder with the packs that have a page to try them.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = boot::temporary_folder()?;
    let serve = ServeArgs {
        listen: Some(args.listen),
        database: DatabaseArgs { data: Some(folder.path().to_owned()), ..DatabaseArgs::default() },
        pack: Vec::new(),
        watch: None,
    };
    let page = DemoPage { path: "/demo/chat", gateway: "/chat" };
    boot::serve(serve.sources(), Some(page)).await
}
