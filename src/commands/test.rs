//! `gatewright test`.

use std::io::{Write, stdout};
use std::process::ExitCode;

use gatewright_core::pack::{TestResult, run_tests};
use similar::{ChangeTag, TextDiff};

use super::check;
use crate::cli::TestArgs;
use crate::packs;

/// Runs the script tests of all packs under the given paths.
pub async fn run(args: TestArgs) -> anyhow::Result<ExitCode> {
    let config = check::config(args.config)?;
    let (mut passed, mut failed) = (0, 0);
    for path in &args.paths {
        for (folder, pack) in packs::some_in_folder(path)? {
            // Its tables are made in a database that goes with the tests.
            let (_place, app) = check::empty_app(&config).await?;
            let pack = pack?;
            let report = run_tests(&app.catalog, &pack).await;
            let report = report.map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
            for result in &report.results {
                if result.difference.is_some() {
                    failed += 1
                } else {
                    passed += 1
                }
                print_result(&pack.name, result)?;
            }
        }
    }
    anyhow::ensure!(passed + failed > 0, "there are no tests: a pack has them in tests/*.toml");
    writeln!(stdout(), "{passed} passed, {failed} failed")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_result(pack: &str, result: &TestResult) -> std::io::Result<()> {
    match &result.difference {
        None => writeln!(stdout(), "ok   {pack}/{}", result.name),
        Some((expected, found)) => {
            writeln!(stdout(), "FAIL {pack}/{}\n{}", result.name, line_diff(expected, found))
        }
    }
}

/// What is only in the first text with `-`, only in the second with `+`.
pub fn line_diff(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    diff.iter_all_changes()
        .map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            format!("     {sign} {}", change.value().trim_end_matches('\n'))
        })
        .collect::<Vec<_>>()
        .join("\n")
}
