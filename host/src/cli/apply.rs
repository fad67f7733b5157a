//! `apply -f`: makes the server what a file says. It shows first what would be done, and asks.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::details;
use super::text::clean;
use super::view::Webhook;
use crate::domain::change::Change;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass apply -f server.yaml --dry-run
  GIT_TOKEN=… windlass apply -f server.yaml --yes

A secret stands in the file as a reference, ${NAME}, whose value is taken from the environment variable of that name.
Without the variable, what is stored is kept. docs/config-as-code.md explains the file.")]
pub struct ApplyArgs {
    /// YAML file; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// Only show what would be done; the exit code is 0 even if there is something to do.
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(short, long)]
    yes: bool,
    /// Delete what the file's sections do not mention: stacks with their history and containers, schedules, teams, providers,
    /// registries and channels. A section that is not in the file is left alone.
    #[arg(long)]
    prune: bool,
}

#[derive(Debug, Deserialize)]
struct Plan {
    teams: Vec<EntryChanges>,
    providers: Vec<EntryChanges>,
    registries: Vec<EntryChanges>,
    stacks: Vec<EntryChanges>,
    channels: Vec<EntryChanges>,
    hash: String,
}

impl Plan {
    fn is_nothing(&self) -> bool {
        let sections = [&self.teams, &self.providers, &self.registries, &self.stacks, &self.channels];
        sections.into_iter().all(Vec::is_empty)
    }
}

#[derive(Debug, Deserialize)]
struct EntryChanges {
    name: String,
    action: String,
    changes: Vec<PlanChange>,
}

#[derive(Debug, Deserialize)]
struct PlanChange {
    what: String,
    from: Option<String>,
    to: Option<String>,
}

impl From<PlanChange> for Change {
    fn from(change: PlanChange) -> Self {
        Self { what: change.what, from: change.from, to: change.to }
    }
}

pub async fn apply(session: &Session, args: &ApplyArgs) -> Outcome<u8> {
    let out = &session.out;
    let (name, text) = text_of(args)?;
    let secrets: BTreeMap<&str, String> = references(&text)
        .into_iter()
        .filter_map(|name| std::env::var(name).ok().map(|value| (name, value)))
        .collect();
    let mut body = json!({ "name": name, "document": text, "secrets": secrets, "prune": args.prune });
    let value = session.client.post(&["apply", "plan"], &body).await?;
    let plan: Plan = read(&value)?;
    let is_nothing = plan.is_nothing();
    if out.is_json() && (args.dry_run || is_nothing) {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    if is_nothing {
        out.line("The server is as the file says; there is nothing to do.");
        return Ok(exit::SUCCESS);
    }
    let hash = plan.hash.clone();
    if !out.is_json() {
        show(session, plan);
    }
    if args.dry_run {
        return Ok(exit::SUCCESS);
    }
    if !args.yes {
        confirm()?;
    }
    body["planHash"] = hash.into();
    let value = session.client.post(&["apply"], &body).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    out.line("Done. What runs changes with the next deployment of each stack.");
    let webhooks = value.get("webhooks").cloned().unwrap_or_default();
    for (name, webhook) in read::<BTreeMap<String, Value>>(&webhooks)? {
        let webhook: Webhook = read(&webhook)?;
        out.line("");
        out.line(&format!(
            "Webhook of {}; the secret is shown this once:",
            out.paint(Tone::Strong, &clean(&name))
        ));
        details(out, vec![("Webhook URL", webhook.url.into()), ("Secret", webhook.secret.into())]);
    }
    let reports = value.get("providerReports").cloned().unwrap_or_default();
    for (name, report) in read::<BTreeMap<String, Webhook>>(&reports)? {
        out.line("");
        out.line(&format!(
            "Where {} reports to; the secret is shown this once:",
            out.paint(Tone::Strong, &clean(&name))
        ));
        details(out, vec![("Report URL", report.url.into()), ("Secret", report.secret.into())]);
    }
    let secrets = value.get("channelSecrets").cloned().unwrap_or_default();
    for (name, secret) in read::<BTreeMap<String, String>>(&secrets)? {
        out.line("");
        out.line(&format!(
            "Channel {} signs with this secret, which is shown this once:",
            out.paint(Tone::Strong, &clean(&name))
        ));
        details(out, vec![("Secret", secret.into())]);
    }
    Ok(exit::SUCCESS)
}

fn text_of(args: &ApplyArgs) -> Outcome<(String, String)> {
    let is_stdin = args.file.as_os_str() == "-";
    let name = if is_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let mut text = String::new();
    let outcome = match is_stdin {
        true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        false => std::fs::read_to_string(&args.file).map(|read| text = read),
    };
    outcome.map_err(|error| Failure::local(format!("{name} cannot be read: {error}."), ""))?;
    Ok((name, text))
}

/// The names in `${NAME}`.
fn references(text: &str) -> Vec<&str> {
    let ends = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    let is_word =
        |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    ends.map(|(name, _)| name).filter(is_word).collect()
}

fn show(session: &Session, plan: Plan) {
    let out = &session.out;
    let teams = plan.teams.into_iter().map(|one| ("team", one));
    let providers = plan.providers.into_iter().map(|one| ("provider", one));
    let registries = plan.registries.into_iter().map(|one| ("registry", one));
    let stacks = plan.stacks.into_iter().map(|one| ("stack", one));
    let channels = plan.channels.into_iter().map(|one| ("channel", one));
    for (what, entry) in teams.chain(providers).chain(registries).chain(stacks).chain(channels) {
        let (sign, tone, words) = match entry.action.as_str() {
            "create" => ("+", Tone::Good, "is created"),
            "delete" if what == "stack" => ("-", Tone::Bad, "is deleted with its history and its containers"),
            "delete" => ("-", Tone::Bad, "is deleted"),
            _ => ("~", Tone::Warning, "is changed"),
        };
        out.line(&out.paint(tone, &format!("{sign} {what} {} {words}", clean(&entry.name))));
        for change in entry.changes.into_iter().map(Change::from) {
            let what = clean(&change.what);
            out.line(&match (change.from.as_deref().map(clean), change.to.as_deref().map(clean)) {
                (Some(from), Some(to)) => format!("    ~ {what}: {from} → {to}"),
                (None, Some(to)) => format!("    + {what}: {to}"),
                (Some(from), None) => format!("    - {what}: {from}"),
                (None, None) => continue,
            });
        }
    }
}

fn confirm() -> Outcome<()> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("Applying this needs a confirmation, and nobody can be asked.")
            .advise("Pass --yes to do it, or --dry-run to look only."));
    }
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "Do this? Type yes to go on: ");
    let _ = error.flush();
    let mut answer = String::new();
    if std::io::stdin().read_line(&mut answer).is_ok() && answer.trim() == "yes" {
        return Ok(());
    }
    Err(Failure::local("Nothing was changed.", ""))
}

#[cfg(test)]
mod tests {
    use super::references;

    #[test]
    fn references_are_found_in_the_text() {
        assert_eq!(references("a: ${ONE}\nb: '${TWO}' ${} ${no name} ${OPEN"), ["ONE", "TWO"]);
    }
}
