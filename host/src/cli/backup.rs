//! `backup`, `backup list` and `restore`. The server is asked for a backup in its own folder. With `--to`, and for every restore,
//! the data folder and database of this machine are used themselves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::table::{Cell, Table, cells};
use super::text::{ago, clean};
use crate::app::backup::{Lock, Unlock, backup_here, restore as restore_backup};
use crate::config::Config;
use crate::domain::backup::LONGEST_MS;
use crate::error::Error;

/// Between two looks at a backup that is being made.
const PAUSE: Duration = Duration::from_millis(300);
/// The server gives it up after so long.
const LONGEST: Duration = Duration::from_millis(LONGEST_MS.unsigned_abs());

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  windlass backup                                        the server makes one in its folder
  windlass backup --to web.age --recipient age1…         without the server, on its machine
  windlass backup --to web.age --passphrase-file words

A backup holds the database, the keys that secrets are sealed with, installed plugins and the
configuration. It is encrypted for the keys that are named; `age-keygen` makes a pair."
)]
pub struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// Write to this file, from the data folder of this machine. A server may be running.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Public key of somebody who can open it. May be given several times.
    #[arg(long, value_name = "AGE1…", requires = "to", conflicts_with = "passphrase_file")]
    recipient: Vec<String>,
    /// File with a passphrase that opens it, instead of keys.
    #[arg(long, value_name = "FILE", requires = "to")]
    passphrase_file: Option<PathBuf>,
    /// Configuration file of the server.
    #[arg(short, long, value_name = "FILE", env = "WINDLASS_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Show the backups that the server has made, and when the next one comes.
    List,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  windlass restore web.age --identity key.txt
  windlass restore web.age --identity key.txt --config windlass.toml

Goes into the data folder and database that the configuration names; both have to be empty. SQLite and
PostgreSQL can take each other's backups. Start the new server only when the old one is gone for good.")]
pub struct RestoreArgs {
    /// The backup.
    file: PathBuf,
    /// File with the secret key, as `age-keygen` writes it.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "passphrase_file",
        conflicts_with = "passphrase_file"
    )]
    identity: Option<PathBuf>,
    /// File with the passphrase.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Configuration file of the new server.
    #[arg(short, long, value_name = "FILE", env = "WINDLASS_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backups {
    pub enabled: bool,
    folder: String,
    keep: usize,
    next_at: Option<String>,
    pub items: Vec<Backup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    id: String,
    name: String,
    pub status: String,
    recipients: i64,
    bytes: Option<i64>,
    pub error: Option<String>,
    started_at: String,
}

impl BackupArgs {
    /// It needs no server.
    pub fn is_local(&self) -> bool {
        self.to.is_some()
    }
}

pub async fn backup(session: &Session, args: &BackupArgs) -> Outcome<u8> {
    match args.command {
        Some(BackupCommand::List) => list(session).await,
        None => create(session).await,
    }
}

async fn create(session: &Session) -> Outcome<u8> {
    let (client, out) = (&session.client, &session.out);
    let begun: Backup = read(&client.post(&["backups"], &Value::Null).await?)?;
    let deadline = Instant::now() + LONGEST;
    loop {
        let all = client.get(&["backups"]).await?;
        let found =
            all["items"].as_array().into_iter().flatten().find(|item| item["id"] == begun.id.as_str());
        let Some(item) = found else {
            return Err(Failure::local("The server does not know of the backup any more.", ""));
        };
        let now: Backup = read(item)?;
        if now.status == "running" {
            if Instant::now() > deadline {
                return Err(Failure::local(
                    "The backup does not come to its end.",
                    "The server's log says what it is busy with.",
                ));
            }
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        if out.is_json() {
            out.json(item);
        }
        if let Some(error) = now.error {
            let what = format!("The backup failed: {}.", clean(&error).trim_end_matches('.'));
            return Err(Failure::local(what, "The server's log has the details."));
        }
        if !out.is_json() {
            let folder = all["folder"].as_str().unwrap_or_default();
            out.line(&format!(
                "{} ({}) is in the server's folder {}",
                clean(&now.name),
                size(now.bytes),
                clean(folder)
            ));
        }
        return Ok(exit::SUCCESS);
    }
}

async fn list(session: &Session) -> Outcome<u8> {
    let out = &session.out;
    let value = session.client.get(&["backups"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let all: Backups = read(&value)?;
    if !all.enabled {
        out.line("This server makes no backups: backup.recipients in its configuration is empty.");
    } else {
        let next = all.next_at.map_or("only when somebody asks".into(), |at| format!("next at {at}"));
        out.line(&format!("In {}, {next}; {} are kept", clean(&all.folder), all.keep));
    }
    let mut table = Table::new(&["NAME", "STATE", "SIZE", "KEYS", "STARTED", "ERROR"]);
    for row in &all.items {
        let tone = match row.status.as_str() {
            "successful" => Tone::Good,
            "running" => Tone::Warning,
            _ => Tone::Bad,
        };
        table.row(cells![
            clean(&row.name),
            Cell::toned(clean(&row.status), tone),
            size(row.bytes),
            row.recipients,
            ago(&row.started_at),
            clean(row.error.as_deref().unwrap_or("")),
        ]);
    }
    table.print(out);
    Ok(exit::SUCCESS)
}

fn size(bytes: Option<i64>) -> String {
    bytes.map_or("-".into(), |bytes| format!("{} KiB", (bytes + 1023) / 1024))
}

/// A backup of this machine's data.
pub async fn backup_local(out: &Output, args: &BackupArgs) -> Outcome<u8> {
    let Some(to) = &args.to else { return Err(Failure::usage("--to FILE is missing.")) };
    let lock = match &args.passphrase_file {
        Some(file) => Lock::with_passphrase(file),
        None => Lock::to_recipients("recipient", &args.recipient),
    };
    let lock = lock.map_err(|error| refused(&error))?;
    let config = config(args.config.as_deref())?;
    let recipients = lock.recipients();
    let made = backup_here(&config, lock, to).await.map_err(|error| refused(&error))?;
    if out.is_json() {
        out.json(&json!({ "file": to, "bytes": made.bytes, "rows": made.rows, "recipients": recipients }));
    } else {
        let opens =
            if recipients == 1 { "one key opens it".into() } else { format!("{recipients} keys open it") };
        out.line(&format!("{} ({}, {} rows); {opens}", to.display(), size(Some(made.bytes)), made.rows));
    }
    Ok(exit::SUCCESS)
}

pub async fn restore(out: &Output, args: &RestoreArgs) -> Outcome<u8> {
    let unlock = match (&args.identity, &args.passphrase_file) {
        (Some(file), _) => Unlock::with_identities(file),
        (None, Some(file)) => Unlock::with_passphrase(file),
        (None, None) => return Err(Failure::usage("--identity FILE is missing.")),
    };
    let unlock = unlock.map_err(|error| refused(&error))?;
    let config = config(args.config.as_deref())?;
    let done = restore_backup(&config, &args.file, unlock).await.map_err(|error| refused(&error))?;
    let (manifest, data) = (&done.manifest, config.server.data_dir.display());
    if out.is_json() {
        out.json(&json!({
            "version": manifest.version, "createdAt": manifest.created_at, "rows": manifest.rows(),
            "schema": manifest.schema(), "files": done.named,
        }));
        return Ok(exit::SUCCESS);
    }
    out.line(&format!(
        "Restored {} rows and the keys of Windlass {} into {data}",
        manifest.rows(),
        manifest.version
    ));
    if let Some(named) = &done.named {
        out.line(&format!(
            "The old configuration and the files that it names are in {}; put them where they belong.",
            named.display()
        ));
    }
    out.line("Start it with `windlass serve`, and only when the old server is gone for good.");
    Ok(exit::SUCCESS)
}

fn config(file: Option<&std::path::Path>) -> Outcome<Config> {
    Config::load(file, |name| std::env::var(name).ok()).map_err(|error| refused(&error))
}

fn refused(error: &Error) -> Failure {
    Failure::local(super::text::sentence(&clean(&error.for_log())), "")
}
