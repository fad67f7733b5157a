//! `plugin install | enable | disable | approve | remove | reload`: what changes the plugins of a server.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::Cell;
use super::text::clean;
use super::view::{Plugin, PluginHealth};

#[derive(Debug, Subcommand)]
pub enum ManageCommand {
    /// Install a plugin from a file or a registry; one of the same name is replaced without losing a call.
    #[command(after_help = "Examples:
  windlass plugin install ./my-strategy.wasm
  windlass plugin install oci:registry.example/team/my-strategy:1.2.0")]
    Install {
        /// A component in a file, or oci:<reference>.
        source: String,
    },
    /// Start a disabled plugin, or give a quarantined component another chance.
    Enable { name: String },
    /// Stop a plugin until it is enabled again.
    Disable { name: String },
    /// Grant a plugin what it asks for; `windlass plugin inspect` shows that.
    Approve {
        name: String,
        /// Only if this is the component that asks: its sha256, as `inspect` shows it.
        #[arg(long, value_name = "SHA256")]
        digest: Option<String>,
    },
    /// Take out a plugin that was installed. A built-in one of the same name runs again.
    Remove { name: String },
    /// Load the plugins of the configuration file anew; SIGHUP does the same.
    Reload,
}

/// The exit code is that of a failure if what was to run does not.
pub async fn manage(session: &Session, command: &ManageCommand) -> Outcome<u8> {
    let client = &session.client;
    let hint = |failure: Failure| failure.listed_by("windlass plugin list");
    let value = match command {
        ManageCommand::Install { source } if source.starts_with("oci:") => {
            client.post(&["plugins", "install"], &json!({ "source": source })).await?
        }
        ManageCommand::Install { source } => {
            client.post_component(&["plugins", "install"], component(Path::new(source))?).await?
        }
        ManageCommand::Enable { name } => post(session, name, "enable", Value::Null).await.map_err(hint)?,
        ManageCommand::Disable { name } => post(session, name, "disable", Value::Null).await.map_err(hint)?,
        ManageCommand::Approve { name, digest } => {
            approve(session, name, digest.as_deref()).await.map_err(hint)?
        }
        ManageCommand::Remove { name } => {
            session.client.delete(&["plugins", name]).await.map_err(hint)?;
            if session.out.is_json() {
                session.out.json(&Value::Null);
            } else {
                session.out.line(&format!("Plugin {} is removed.", clean(name)));
            }
            return Ok(exit::SUCCESS);
        }
        ManageCommand::Reload => return reload(session).await.map(|()| exit::SUCCESS),
    };
    tell(session, &value)?;
    let is_held_back = read::<Plugin>(&value)?.state == "quarantined";
    Ok(if is_held_back { exit::FAILED } else { exit::SUCCESS })
}

async fn post(session: &Session, name: &str, verb: &str, body: Value) -> Outcome<Value> {
    session.client.post(&["plugins", name, verb], &body).await
}

/// Says first what is about to be granted, and grants it to no other component than the one it was said of.
async fn approve(session: &Session, name: &str, digest: Option<&str>) -> Outcome<Value> {
    let asks: Plugin = read(&session.client.get(&["plugins", name]).await?)?;
    if !session.out.is_json() {
        tell_asks(session, &asks);
    }
    let digest = digest.or(asks.held_digest.as_deref());
    post(session, name, "approve", json!({ "digest": digest })).await
}

/// What a component that is held back asks for, and how that differs from the one that runs, if one does.
fn tell_asks(session: &Session, plugin: &Plugin) {
    let change = Some(&plugin.change).filter(|_| plugin.error.is_none());
    let told = [
        ("It asks for", Some(&plugin.missing)),
        ("The one that runs does not ask for", change.map(|change| &change.new)),
        ("Only the one that runs asks for", change.map(|change| &change.gone)),
    ];
    for (what, asks) in told {
        if let Some(asks) = asks.filter(|asks| !asks.is_empty()) {
            session.out.line(&format!("{what} {}.", clean(&asks.join(", "))));
        }
    }
}

fn component(path: &Path) -> Outcome<Vec<u8>> {
    let given = path.strip_prefix("path:").map_or_else(|_| path.to_owned(), PathBuf::from);
    std::fs::read(&given)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}.", given.display())))
}

fn tell(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let plugin: Plugin = read(value)?;
    let (name, version) = (clean(&plugin.name), clean(&plugin.version));
    let state = state(&plugin);
    out.line(&format!("Plugin {name} {version}: {}", state.text()));
    if !plugin.missing.is_empty() {
        tell_asks(session, &plugin);
        out.line(&format!("Grant it with: windlass plugin approve {name}"));
    }
    Ok(())
}

async fn reload(session: &Session) -> Outcome<()> {
    let value = session.client.post(&["plugins", "reload"], &Value::Null).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(());
    }
    let plugins: Vec<Plugin> = read(&value)?;
    let broken: Vec<&Plugin> = plugins.iter().filter(|plugin| plugin.error.is_some()).collect();
    session.out.line(&format!("{} plugins are loaded.", plugins.len() - broken.len()));
    for plugin in broken {
        session.out.line(&format!("{}: {}", clean(&plugin.name), state(plugin).text()));
    }
    Ok(())
}

/// One cell that says how a plugin is.
pub fn state(plugin: &Plugin) -> Cell {
    let reason = plugin.reason.as_deref().unwrap_or_default();
    match (plugin.state.as_str(), &plugin.error) {
        ("disabled", _) => Cell::toned(format!("disabled {reason}"), Tone::Faint),
        ("awaiting_approval", _) => Cell::toned(format!("waits for approval: {reason}"), Tone::Warning),
        ("quarantined", _) => Cell::toned(format!("quarantined: {reason}"), Tone::Bad),
        (_, Some(error)) => Cell::toned(format!("not loaded: {error}"), Tone::Bad),
        _ if plugin.health.suspended => Cell::toned("suspended after faults", Tone::Warning),
        _ if plugin.conformity == "skipped" => Cell::toned("loaded, conformance skipped", Tone::Warning),
        _ => Cell::toned("loaded", Tone::Good),
    }
}

/// What the conformance suite says, for people.
pub fn conformity(plugin: &Plugin) -> Cell {
    match plugin.conformity.as_str() {
        "passed" => Cell::toned("passed", Tone::Good),
        "failed" => Cell::toned("failed", Tone::Bad),
        "skipped" => Cell::toned("skipped, as the configuration says", Tone::Warning),
        _ if plugin.source == "builtin" => "not asked: it is built in".into(),
        _ => "not asked".into(),
    }
}

pub fn calls(health: &PluginHealth) -> String {
    let millis = |us: Option<u64>| us.map_or("–".into(), |us| format!("{:.1} ms", us as f64 / 1000.0));
    let (p50, p99) = (millis(health.p50_us), millis(health.p99_us));
    format!("{} in the last minute, p50 {p50}, p99 {p99}", health.calls_last_minute)
}
