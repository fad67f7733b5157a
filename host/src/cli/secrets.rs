//! `secrets status | rotate`: the keys that secrets are sealed with.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells};
use super::text::{ago, clean};

#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Show the versions of the master key, how many secrets are under each, and the last rotation.
    Status,
    /// Move every secret to a new master key, while everything goes on.
    #[command(after_help = "\
A key that the server keeps itself is made anew. One that comes from outside gets its next version there first:
docs/secrets.md says how. The old version is needed by backups that were made before.")]
    Rotate {
        /// Encrypt every secret anew with a data key of its own; without it only the data keys change their master key.
        #[arg(long)]
        data_keys: bool,
    },
}

#[derive(Deserialize)]
struct Status {
    source: String,
    keys: Vec<Key>,
    rotation: Option<Rotation>,
}

#[derive(Deserialize)]
struct Key {
    version: u32,
    newest: bool,
    known: bool,
    secrets: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rotation {
    version: u32,
    status: String,
    moved: u64,
    error: Option<String>,
    started_at: String,
}

pub async fn secrets(session: &Session, command: &SecretsCommand) -> Outcome<u8> {
    match command {
        SecretsCommand::Status => status(session).await?,
        SecretsCommand::Rotate { data_keys } => rotate(session, *data_keys).await?,
    }
    Ok(exit::SUCCESS)
}

async fn status(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get(&["secrets"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let status: Status = read(&value)?;
    out.line(&format!("Master keys from {}", clean(&status.source)));
    let mut table = Table::new(&["VERSION", "SECRETS", "STATE"]);
    for key in &status.keys {
        let state = match (key.known, key.newest) {
            (false, _) => Cell::toned("missing: its secrets cannot be opened", Tone::Bad),
            (true, true) => Cell::toned("seals", Tone::Good),
            (true, false) => Cell::toned("opens only", Tone::Faint),
        };
        table.row(cells![key.version, key.secrets, state]);
    }
    table.print(out);
    if let Some(rotation) = status.rotation {
        out.line(&format!(
            "Rotation to version {}: {}, {} secrets moved, started {}",
            rotation.version,
            clean(&rotation.status),
            rotation.moved,
            ago(&rotation.started_at)
        ));
        if let Some(error) = rotation.error {
            out.line(&clean(&error));
        }
    }
    Ok(())
}

async fn rotate(session: &Session, data_keys: bool) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.post(&["secrets", "rotate"], &json!({ "dataKeys": data_keys })).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let rotation: Rotation = read(&value)?;
    out.line(&format!(
        "Secrets move to version {} of the master key; `windlass secrets status` shows how far they are.",
        rotation.version
    ));
    Ok(())
}
