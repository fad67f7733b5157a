//! `git log | ls | show | refs | hosts | forget`: what is in a stack's repository, as the server last fetched it, and the ssh
//! host keys of git servers and deploy targets.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells};
use super::text::{ago, bytes, clean, log_line, short};

#[derive(Debug, Subcommand)]
pub enum GitCommand {
    /// List the commits of a stack's repository, and what became of them.
    #[command(after_help = "Examples:
  windlass git log web                     the repository's branch
  windlass git log web --ref v1.4.0 -n 5   five commits that lead to a tag

`windlass deploy web --ref COMMIT` deploys one of them.")]
    Log(LogArgs),
    /// List a folder of the repository.
    Ls {
        /// Name, number or id of the stack.
        stack: String,
        /// The folder; the root if left out.
        #[arg(default_value = "")]
        path: String,
        #[command(flatten)]
        at: AtArgs,
    },
    /// Print a file of the repository.
    Show {
        /// Name, number or id of the stack.
        stack: String,
        /// The file.
        path: String,
        #[command(flatten)]
        at: AtArgs,
    },
    /// List branches and tags.
    Refs {
        /// Name, number or id of the stack.
        stack: String,
    },
    /// List the ssh host keys of git servers and deploy targets that were trusted when they were first seen.
    Hosts,
    /// Forget the keys of a git server or target that got a new one: the next key that it shows is trusted.
    #[command(after_help = "Examples:
  windlass git forget forge.example
  windlass git forget '[forge.example]:2222'
  windlass git forget --purpose target 10.0.0.8   its keys as a git server stay")]
    Forget {
        /// The host, as `hosts` lists it.
        host: String,
        /// Forget only what is pinned for this: a host may be both. All if left out.
        #[arg(long, value_parser = ["git", "target"])]
        purpose: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct LogArgs {
    /// Name, number or id of the stack.
    stack: String,
    #[command(flatten)]
    at: AtArgs,
    /// Commits at most, 1 to 200.
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=200))]
    limit: u8,
    /// Go on where an earlier list ended.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

#[derive(Debug, Args)]
pub struct AtArgs {
    /// Branch, tag or commit; the repository's branch if left out.
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
}

impl AtArgs {
    fn query(&self) -> Vec<(&str, &str)> {
        self.git_ref.as_deref().map(|name| ("ref", name)).into_iter().collect()
    }
}

#[derive(Deserialize)]
struct Commits {
    items: Vec<Commit>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Commit {
    sha: String,
    subject: String,
    author: String,
    committed_at: String,
    running: bool,
    deployed: bool,
    deployment: Option<i64>,
    deployment_status: Option<String>,
}

impl Commit {
    fn fate(&self) -> Cell {
        let last = match (self.deployment, &self.deployment_status) {
            (Some(seq), Some(status)) => format!("#{seq} {}", status.replace('_', " ")),
            _ => String::new(),
        };
        match (self.running, self.deployed) {
            (true, _) => Cell::toned("runs", Tone::Good),
            (false, true) => last.into(),
            (false, false) => Cell::toned(last, Tone::Faint),
        }
    }
}

#[derive(Deserialize)]
struct Files {
    items: Vec<Entry>,
    more: bool,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    kind: String,
    size: Option<u64>,
}

#[derive(Deserialize)]
struct File {
    size: u64,
    binary: bool,
    text: Option<String>,
}

#[derive(Deserialize)]
struct KnownHost {
    purpose: String,
    host: String,
    kind: String,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Refs {
    items: Vec<Named>,
    more: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    kind: String,
    name: String,
    commit_sha: String,
    committed_at: String,
    default: bool,
}

pub async fn git(session: &Session, command: &GitCommand) -> Outcome<u8> {
    match command {
        GitCommand::Log(args) => log(session, args).await?,
        GitCommand::Ls { stack, path, at } => list(session, stack, path, at).await?,
        GitCommand::Show { stack, path, at } => show(session, stack, path, at).await?,
        GitCommand::Refs { stack } => refs(session, stack).await?,
        GitCommand::Hosts => hosts(session).await?,
        GitCommand::Forget { host, purpose } => forget(session, host, purpose.as_deref()).await?,
    }
    Ok(exit::SUCCESS)
}

/// Asks, and says on standard error if the answer may be old.
async fn ask(
    session: &Session,
    stack: &str,
    what: &[&str],
    query: &[(&str, &str)],
) -> Outcome<Option<Value>> {
    let path = [&["stacks", stack][..], what].concat();
    let asked = session.client.get_with(&path, query).await;
    let value = asked.map_err(|failure| unknown_stack(failure, stack))?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(None);
    }
    if let Some(why) = value["behind"].as_str() {
        session.out.note(&format!("This is what was last fetched; {}.", clean(why).trim_end_matches('.')));
    }
    Ok(Some(value))
}

async fn log(session: &Session, args: &LogArgs) -> Outcome<()> {
    let (out, limit) = (&session.out, args.limit.to_string());
    let mut query = args.at.query();
    query.push(("limit", &limit));
    query.extend(args.cursor.as_deref().map(|cursor| ("cursor", cursor)));
    let Some(value) = ask(session, &args.stack, &["commits"], &query).await? else { return Ok(()) };
    let page: Commits = read(&value)?;
    let mut table = Table::new(&["COMMIT", "DEPLOYED", "WHEN", "AUTHOR", "SUBJECT"]);
    for one in page.items {
        let (fate, when) = (one.fate(), ago(&one.committed_at));
        table.row(cells![short(&one.sha), fate, when, one.author, one.subject]);
    }
    table.print(out);
    if let Some(next) = page.next {
        out.note(&format!("There are more; go on with --cursor {}", clean(&next)));
    }
    Ok(())
}

async fn list(session: &Session, stack: &str, path: &str, at: &AtArgs) -> Outcome<()> {
    let mut query = at.query();
    query.push(("path", path));
    let Some(value) = ask(session, stack, &["files"], &query).await? else { return Ok(()) };
    let files: Files = read(&value)?;
    let mut table = Table::new(&["KIND", "SIZE", "NAME"]);
    for one in files.items {
        table.row(cells![one.kind, one.size.map_or_else(String::new, bytes), one.name]);
    }
    table.print(&session.out);
    if files.more {
        session.out.note("The folder contains more than is shown.");
    }
    Ok(())
}

async fn show(session: &Session, stack: &str, path: &str, at: &AtArgs) -> Outcome<()> {
    let mut query = at.query();
    query.push(("path", path));
    let Some(value) = ask(session, stack, &["files", "content"], &query).await? else { return Ok(()) };
    let file: File = read(&value)?;
    let Some(text) = file.text else {
        let why = if file.binary { "is no text" } else { "is too large to be shown" };
        let name = clean(path);
        return Err(Failure::usage(format!("{name} {why} ({}).", bytes(file.size)))
            .advise("Fetch the repository with git to get it."));
    };
    for line in text.lines() {
        session.out.line(&log_line(line, false));
    }
    Ok(())
}

async fn refs(session: &Session, stack: &str) -> Outcome<()> {
    let Some(value) = ask(session, stack, &["refs"], &[]).await? else { return Ok(()) };
    let refs: Refs = read(&value)?;
    let mut table = Table::new(&["KIND", "NAME", "COMMIT", "WHEN", "DEFAULT"]);
    for one in refs.items {
        let when = ago(&one.committed_at);
        table.row(cells![
            one.kind,
            one.name,
            short(&one.commit_sha),
            when,
            if one.default { "yes" } else { "" }
        ]);
    }
    table.print(&session.out);
    if refs.more {
        session.out.note("There are more than are shown.");
    }
    Ok(())
}

async fn hosts(session: &Session) -> Outcome<()> {
    let value = session.client.get(&["git", "hosts"]).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(());
    }
    let known: Vec<KnownHost> = read(&value)?;
    if known.is_empty() {
        session
            .out
            .line("No key is pinned yet: that happens when a git server or target is first reached by ssh.");
        return Ok(());
    }
    let mut table = Table::new(&["HOST", "FOR", "KIND", "FINGERPRINT"]);
    for one in known {
        table.row(cells![one.host, one.purpose, one.kind, one.fingerprint]);
    }
    table.print(&session.out);
    Ok(())
}

async fn forget(session: &Session, host: &str, purpose: Option<&str>) -> Outcome<()> {
    let query: Vec<_> = purpose.map(|purpose| ("purpose", purpose)).into_iter().collect();
    let gone = session.client.delete_with(&["git", "hosts", host], &query).await;
    gone.map_err(|failure| failure.listed_by("windlass git hosts"))?;
    session.out.note(&format!("The next key that {} shows is trusted.", clean(host)));
    Ok(())
}
