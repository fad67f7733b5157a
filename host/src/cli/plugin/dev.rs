//! `plugin dev`: builds, checks and installs a project each time it changes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::build::{Built, compile};
use super::changes::Changes;
use super::failed;
use super::project::Project;
use crate::app::plugin_tool::plugin_check;
use crate::cli::Session;
use crate::cli::client::read;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::{Output, Tone};
use crate::cli::text::clean;
use crate::cli::view::Plugin;
use crate::domain::conformance::Finding;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass plugin dev ./my-plugin

Begins at once, then waits for changes; what fails is told and the next change is tried. Ctrl-C ends it. With -o json
each round is a line.")]
pub struct DevArgs {
    /// The project.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

/// How far one round came.
#[derive(Default)]
struct Round {
    took: Option<Duration>,
    sha256: String,
    /// Rules of the conformance suite, and those that are broken.
    rules: usize,
    broken: Vec<Finding>,
    /// What the server made of it.
    installed: Option<Plugin>,
    is_unchanged: bool,
    failure: Option<Failure>,
}

pub async fn dev(session: &Session, args: &DevArgs) -> Outcome<u8> {
    let out = &session.out;
    let mut changes = Changes::watch(&args.folder)?;
    let rounds = async {
        let mut running = String::new();
        while !out.is_closed() {
            let mut round = Round::default();
            round.failure = turn(session, args, &running, &mut round).await.err();
            show(out, &round);
            if let Some(plugin) = &round.installed {
                running.clone_from(&plugin.digest);
            }
            changes.next().await?;
        }
        Ok(exit::SUCCESS)
    };
    tokio::select! {
        ended = rounds => ended,
        // The only way to end it, so no failure.
        _ = tokio::signal::ctrl_c() => Ok(exit::SUCCESS),
    }
}

/// One round; what was reached is in `round` however it ends.
async fn turn(session: &Session, args: &DevArgs, running: &str, round: &mut Round) -> Outcome<()> {
    let started = Instant::now();
    let built = build(args.folder.clone()).await?;
    round.took = Some(started.elapsed());
    round.sha256.clone_from(&built.sha256);
    round.is_unchanged = built.sha256 == running;
    if round.is_unchanged {
        return Ok(());
    }
    let conformance = plugin_check(&built.file.to_string_lossy()).await.map_err(failed)?;
    round.rules = conformance.findings.len();
    round.broken = conformance.findings.into_iter().filter(|finding| !finding.passed).collect();
    if !round.broken.is_empty() {
        return Ok(());
    }
    let component =
        std::fs::read(&built.file).map_err(|error| super::build::unreadable(&built.file, &error))?;
    let value = session.client.post_component(&["plugins", "install"], component).await?;
    round.installed = Some(read(&value)?);
    Ok(())
}

/// On a thread that nobody waits for at the end: Ctrl-C ends this program at once, and on a terminal cargo as well.
async fn build(folder: PathBuf) -> Outcome<Built> {
    let (sender, built) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody is there any more if the program ends.
        let _ = sender.send(Project::open(&folder).and_then(|project| compile(&project)));
    });
    built.await.unwrap_or_else(|_| Err(Failure::local("Building broke off.", "")))
}

impl Round {
    /// Whether the server runs what was built.
    fn is_good(&self) -> bool {
        let runs = self.installed.as_ref().is_some_and(|plugin| plugin.state == "enabled");
        self.failure.is_none() && (self.is_unchanged || runs)
    }

    fn json(&self) -> Value {
        let built_ms = self.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        let plugin = self.installed.as_ref();
        json!({
            "ok": self.is_good(),
            "builtInMs": built_ms,
            "sha256": self.sha256,
            "unchanged": self.is_unchanged,
            "broken": self.broken,
            "plugin": plugin.map(|plugin| plugin.name.as_str()),
            "state": plugin.map(|plugin| plugin.state.as_str()),
            "reason": plugin.and_then(|plugin| plugin.reason.as_deref()),
            "error": self.failure.as_ref().map(|failure| failure.what.as_str()),
        })
    }

    fn line(&self) -> String {
        let Some(took) = self.took else { return "not built".to_owned() };
        let mut parts = vec![format!("built in {:.1} s", took.as_secs_f64())];
        if self.is_unchanged {
            parts.push("the same component as before".to_owned());
        } else if let Some(finding) = self.broken.first() {
            let how = clean(finding.detail.lines().next().unwrap_or_default());
            let (broken, rules) = (self.broken.len(), self.rules);
            parts.push(format!("conformance broken ({broken} of {rules} rules): {}: {how}", finding.rule));
        } else if self.rules > 0 {
            parts.push(format!("conformance ok ({} rules)", self.rules));
        }
        match &self.installed {
            Some(plugin) if plugin.state == "enabled" => {
                parts.push(format!("swapped sha256:{}", self.sha256))
            }
            Some(plugin) => {
                let reason = clean(plugin.reason.as_deref().unwrap_or_default());
                parts.push(format!("the server says {}: {reason}", clean(&plugin.state.replace('_', " "))));
                if plugin.state == "awaiting_approval" {
                    parts.push(format!("`windlass plugin approve {}` grants it", clean(&plugin.name)));
                }
            }
            None => {}
        }
        parts.join(", ")
    }
}

fn show(out: &Output, round: &Round) {
    if out.is_json() {
        out.json_line(&round.json());
        return;
    }
    let (tone, word) = if round.is_good() { (Tone::Good, "ok  ") } else { (Tone::Bad, "FAIL") };
    let failure = round.failure.as_ref().map(|failure| format!(": {}", failure.what)).unwrap_or_default();
    out.line(&format!("{}  {}{failure}", out.paint(tone, word), round.line()));
}
