//! `audit list | verify | export`: the record of who did what.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::table::{Cell, Table, cells};
use super::text::{ago, clean};
use super::view::Items;
use crate::app::audit::{Verified, verify_export};

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List entries of the record, newest first. Administrators of a team or a project see those about what belongs to it.
    List(ListArgs),
    /// Check that nothing in the record was changed, removed, swapped or cut off.
    #[command(after_help = "\
Exit code 1 says that something is wrong. With --file an export is checked on this machine, without a server.")]
    Verify(VerifyArgs),
    /// Print the whole record, one JSON document a line, with all that `verify --file` needs.
    Export,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only what this token or user did.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only this operation, such as `stack_update`, or event, such as `deployment.status`.
    #[arg(long)]
    action: Option<String>,
    /// Only this request path, or id of what the server decided about.
    #[arg(long)]
    subject: Option<String>,
    /// `done`, `refused` or `failed`.
    #[arg(long)]
    outcome: Option<String>,
    /// Only what is about things of this team; administrators of one team see no others anyhow.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// Only what is about things of this project alone: its name, number or id.
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// From this moment on: an RFC 3339 time, or a date for its beginning in UTC.
    #[arg(long, value_name = "TIME", visible_alias = "from")]
    since: Option<String>,
    /// Before this moment: an RFC 3339 time, or a date, all of which is included.
    #[arg(long, value_name = "TIME", visible_alias = "to")]
    until: Option<String>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// An export, instead of the server's record.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    seq: i64,
    at: String,
    actor: String,
    actor_kind: String,
    via: String,
    action: String,
    subject: String,
    outcome: String,
    why: String,
}

pub async fn audit(session: &Session, command: &AuditCommand) -> Outcome<u8> {
    match command {
        AuditCommand::List(args) => list(session, args).await,
        AuditCommand::Verify(args) => match &args.file {
            Some(_) => verify_file(&session.out, args),
            None => {
                let value = session.client.get(&["audit", "verify"]).await?;
                told(&session.out, &read::<Verdict>(&value)?)
            }
        },
        AuditCommand::Export => export(session).await,
    }
}

async fn list(session: &Session, args: &ListArgs) -> Outcome<u8> {
    let out = &session.out;
    let limit = args.limit.to_string();
    let mut query = vec![("limit", limit.as_str())];
    for (name, value) in [
        ("actor", &args.actor),
        ("action", &args.action),
        ("subject", &args.subject),
        ("outcome", &args.outcome),
        ("team", &args.team),
        ("project", &args.project),
        ("since", &args.since),
        ("until", &args.until),
    ] {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    let value = session.client.get_with(&["audit"], &query).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let entries = read::<Items<Entry>>(&value)?.items;
    if entries.is_empty() {
        out.line("No entry of the record fits.");
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["ENTRY", "WHEN", "WHO", "FROM", "ACTION", "ON", "OUTCOME", "WHY"]);
    for entry in entries {
        let tone = if entry.outcome == "done" { Tone::Good } else { Tone::Bad };
        let who = if entry.actor.is_empty() { entry.actor_kind } else { entry.actor };
        let (when, outcome) = (ago(&entry.at), Cell::toned(clean(&entry.outcome), tone));
        table.row(cells![entry.seq, when, who, entry.via, entry.action, entry.subject, outcome, entry.why]);
    }
    table.print(out);
    Ok(exit::SUCCESS)
}

/// What a verification found, from the server or from here.
#[derive(Deserialize)]
struct Verdict {
    intact: bool,
    problem: Option<String>,
    first: i64,
    last: i64,
    hash: String,
    checkpoints: u64,
}

impl From<Verified> for Verdict {
    fn from(verified: Verified) -> Self {
        Self {
            intact: verified.intact,
            problem: verified.problem,
            first: verified.first,
            last: verified.last,
            hash: verified.hash,
            checkpoints: verified.checkpoints,
        }
    }
}

/// Checks an export; no server is asked.
pub fn verify_file(out: &Output, args: &VerifyArgs) -> Outcome<u8> {
    let path = args.file.clone().unwrap_or_default();
    let unreadable =
        |error: std::io::Error| Failure::local(format!("{} cannot be read: {error}.", path.display()), "");
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let verified = verify_export(&text).map_err(|error| Failure::local(format!("{error}."), ""))?;
    told(out, &verified.into())
}

fn told(out: &Output, verdict: &Verdict) -> Outcome<u8> {
    let code = if verdict.intact { exit::SUCCESS } else { exit::FAILED };
    if out.is_json() {
        out.json(&json!({
            "intact": verdict.intact,
            "problem": verdict.problem,
            "first": verdict.first,
            "last": verdict.last,
            "hash": verdict.hash,
            "checkpoints": verdict.checkpoints,
        }));
        return Ok(code);
    }
    if let Some(problem) = &verdict.problem {
        out.line(&format!("{} {}.", out.paint(Tone::Bad, "The record was tampered with:"), clean(problem)));
        return Ok(code);
    }
    out.line(&format!(
        "{} entries {} to {} are what was written; {} signed checkpoints. The last hash is {}",
        out.paint(Tone::Good, "Intact:"),
        verdict.first,
        verdict.last,
        verdict.checkpoints,
        clean(&verdict.hash)
    ));
    Ok(code)
}

async fn export(session: &Session) -> Outcome<u8> {
    let mut response = session.client.stream(&["audit", "export"], &[], "application/x-ndjson", None).await?;
    let broken = |error| Failure::local(format!("The export broke off: {error}."), "");
    while let Some(bytes) = response.chunk().await.map_err(broken)? {
        session.out.write(&bytes);
    }
    Ok(exit::SUCCESS)
}
