//! `plugin check`.

use clap::Args;
use serde_json::json;

use super::failed;
use crate::app::plugin_tool::plugin_check;
use crate::cli::failure::{Outcome, exit};
use crate::cli::output::{Output, Tone};
use crate::cli::table::Cell;
use crate::cli::text::clean;
use crate::domain::conformance::Conformance;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin check ./my-plugin.wasm
  windlass plugin check ./my-plugin.wasm -o json

Exit code 1 if a rule is broken.")]
pub struct CheckArgs {
    /// A component's file, or the name of a built-in plugin.
    component: String,
}

pub async fn check(out: &Output, args: &CheckArgs) -> Outcome<u8> {
    let conformance = plugin_check(&args.component).await.map_err(failed)?;
    if out.is_json() {
        out.json(&json!({
            "passed": conformance.passed(),
            "plugin": conformance.plugin,
            "findings": conformance.findings,
        }));
    } else {
        show(out, &conformance);
    }
    Ok(if conformance.passed() { exit::SUCCESS } else { exit::FAILED })
}

pub(super) fn show(out: &Output, conformance: &Conformance) {
    for finding in &conformance.findings {
        let (word, tone) = if finding.passed { ("pass", Tone::Good) } else { ("FAIL", Tone::Bad) };
        let word = Cell::toned(word, tone).render(out, usize::MAX, 4);
        out.line(&format!("{word}  {:<28} {}", finding.rule, finding.promise));
        if !finding.passed {
            for line in finding.detail.lines() {
                out.line(&format!("      {}", clean(line)));
            }
        }
    }
    let broken = conformance.findings.iter().filter(|finding| !finding.passed).count();
    match (&conformance.plugin, broken) {
        (Some(plugin), 0) => out.line(&format!(
            "{} {} keeps all {} rules.",
            clean(&plugin.manifest.name),
            clean(&plugin.manifest.version),
            conformance.findings.len()
        )),
        (_, broken) => out.line(&format!("{broken} of {} rules are broken.", conformance.findings.len())),
    }
}
