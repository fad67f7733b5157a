//! `token create | list | revoke` and `plugin list | inspect`; `calls` has the flight recorder's commands.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::calls::{self, CallsArgs, RecordArgs, ReplayArgs};
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::plugin::dev::{DevArgs, dev};
use super::plugin_manage::{ManageCommand, calls, conformity, manage, state};
use super::stack::joined;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, bytes, clean};
use super::view::{Items, Plugin, Token};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token. It is shown this once.
    #[command(after_help = "Example:
  windlass token create ci --expires 2030-01-01T00:00:00Z")]
    Create {
        /// What or who uses it.
        name: String,
        /// When it stops working, RFC 3339; never if left out.
        #[arg(long, value_name = "TIME", value_parser = rfc3339)]
        expires: Option<String>,
        /// The most that it may do: viewer, developer, deployer or admin; as much as its owner if left out.
        #[arg(long, value_parser = super::people::role)]
        role: Option<String>,
        /// The only team that it is good for.
        #[arg(long)]
        team: Option<String>,
        /// The only project that it is good for.
        #[arg(long)]
        project: Option<String>,
        /// Whose it is: you if left out. Only an administrator makes somebody else's.
        #[arg(long)]
        user: Option<String>,
    },
    /// List tokens; never the secrets.
    List,
    /// Revoke a token at once.
    Revoke {
        /// Id, as `windlass token list` shows it.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// List plugins; those that could not be loaded with the reason.
    List,
    /// Show a plugin's kinds, imports, exports and settings, read from the component itself.
    Inspect {
        /// Name of a plugin of the server, or a component's file, which needs no server.
        name: String,
    },
    #[command(flatten)]
    Tool(super::plugin::ToolCommand),
    /// Build, check and install a project each time its author changes it, until Ctrl-C.
    Dev(DevArgs),
    #[command(flatten)]
    Manage(ManageCommand),
    /// List recorded calls into plugins, newest first.
    Calls(CallsArgs),
    /// Show a recorded call: what went in, what was said during it, what came out.
    Call {
        /// Number or id.
        #[arg(value_name = "CALL")]
        call: String,
    },
    /// Execute a recorded call or a cassette again, without any effect, and compare.
    Replay(ReplayArgs),
    /// Print recorded calls as a cassette for tests.
    Record(RecordArgs),
}

pub async fn token(session: &Session, command: &TokenCommand) -> Outcome<u8> {
    let out = &session.out;
    match command {
        TokenCommand::Create { name, expires, role, team, project, user } => {
            let body = json!({ "name": name, "expiresAt": expires, "role": role, "team": team,
                "project": project, "user": user });
            let value = session.client.post(&["tokens"], &body).await?;
            if out.is_json() {
                out.json(&value);
                return Ok(exit::SUCCESS);
            }
            let token: Token = read(&value)?;
            out.note(&format!("Token {} is made. It is shown this once:", clean(&token.name)));
            // Alone on standard output, so that `TOKEN=$(windlass token create ci)` works.
            out.line(&clean(token.secret.as_deref().unwrap_or("")));
        }
        TokenCommand::List => token_list(session).await?,
        TokenCommand::Revoke { id } => {
            session
                .client
                .delete(&["tokens", id])
                .await
                .map_err(|failure| failure.listed_by("windlass token list"))?;
            if out.is_json() {
                out.json(&Value::Null);
            } else {
                out.line(&format!("Token {} is revoked.", clean(id)));
            }
        }
    }
    Ok(exit::SUCCESS)
}

async fn token_list(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.list(&["tokens"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let mut table = Table::new(&["ID", "NAME", "BEGINS WITH", "MAY DO", "CREATED", "LAST USED", "STATE"]);
    for token in read::<Items<Token>>(&value)?.items {
        let used = token.last_used_at.as_deref().map_or("never".into(), ago);
        let (created, state) = (ago(&token.created_at), token_state(&token));
        let role = token.role.unwrap_or_else(|| "as its owner".into());
        table.row(cells![token.id, token.name, token.prefix, role, created, used, state]);
    }
    table.print(out);
    Ok(())
}

fn token_state(token: &Token) -> Cell {
    if token.revoked_at.is_some() {
        return Cell::toned("revoked", Tone::Faint);
    }
    let Some(expires) = &token.expires_at else { return Cell::toned("valid", Tone::Good) };
    match DateTime::parse_from_rfc3339(expires) {
        Ok(at) if at <= Utc::now() => Cell::toned("expired", Tone::Faint),
        _ => Cell::toned(format!("valid, expires {}", ago(expires)), Tone::Good),
    }
}

pub async fn plugin(session: &Session, command: &PluginCommand) -> Outcome<u8> {
    match command {
        PluginCommand::List => plugin_list(session).await?,
        PluginCommand::Inspect { name } => plugin_inspect(session, name).await?,
        PluginCommand::Tool(command) => return super::plugin::tool(&session.out, command).await,
        PluginCommand::Dev(args) => return dev(session, args).await,
        PluginCommand::Manage(command) => return manage(session, command).await,
        PluginCommand::Calls(args) => calls::list(session, args).await?,
        PluginCommand::Call { call } => calls::show(session, call).await?,
        PluginCommand::Replay(args) => return calls::replay(session, args).await,
        PluginCommand::Record(args) => calls::record(session, args).await?,
    }
    Ok(exit::SUCCESS)
}

async fn plugin_list(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get(&["plugins"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let mut table = Table::new(&["PLUGIN", "VERSION", "KINDS", "ALSO", "SOURCE", "STATE"]);
    for plugin in read::<Vec<Plugin>>(&value)? {
        let state = state(&plugin);
        let (kinds, also) = (plugin.kinds.join(", "), plugin.abilities.join(", "));
        table.row(cells![plugin.name, plugin.version, kinds, also, plugin.source, state]);
    }
    table.print(out);
    Ok(())
}

async fn plugin_inspect(session: &Session, name: &str) -> Outcome<()> {
    let out = &session.out;
    let value = session
        .client
        .get(&["plugins", name])
        .await
        .map_err(|failure| failure.listed_by("windlass plugin list"))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let plugin: Plugin = read(&value)?;
    let size = if plugin.size_bytes == 0 { String::new() } else { bytes(plugin.size_bytes) };
    details(
        out,
        vec![
            ("Plugin", Cell::toned(&plugin.name, Tone::Strong)),
            ("Version", plugin.version.as_str().into()),
            ("Summary", plugin.summary.as_str().into()),
            ("State", state(&plugin)),
            ("Conformance", conformity(&plugin)),
            ("Held back", plugin.held_digest.as_deref().unwrap_or("").into()),
            ("Asks in vain", joined(&plugin.missing)),
            ("New in what it asks", joined(&plugin.change.new)),
            ("Gone from what it asks", joined(&plugin.change.gone)),
            ("Granted", joined(&plugin.granted)),
            ("Calls", calls(&plugin.health).into()),
            ("Error", Cell::toned(plugin.error.as_deref().unwrap_or(""), Tone::Bad)),
            ("Kinds", joined(&plugin.kinds)),
            ("Optional interfaces", joined(&plugin.abilities)),
            ("Source", plugin.source.as_str().into()),
            ("Digest", plugin.digest.as_str().into()),
            ("Size", size.into()),
            ("Webhook schemes", joined(&plugin.webhook_schemes)),
            ("Imports", joined(&plugin.imports)),
            ("Exports", joined(&plugin.exports)),
        ],
    );
    if !plugin.settings_schema.is_null() {
        out.line("");
        out.line(&out.paint(Tone::Faint, "JSON Schema of its settings:"));
        out.json(&plugin.settings_schema);
    }
    Ok(())
}

fn rfc3339(given: &str) -> Result<String, String> {
    match DateTime::parse_from_rfc3339(given) {
        Ok(at) if at > Utc::now() => Ok(given.into()),
        Ok(_) => Err("that time has passed".into()),
        Err(_) => Err("write an RFC 3339 time like 2030-01-01T00:00:00Z".into()),
    }
}
