//! `notify channel list | show | add | change | test | rotate | remove`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::delivery::{self, Delivery};
use super::unknown;
use crate::cli::Session;
use crate::cli::client::read;
use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::Tone;
use crate::cli::stack_input::read_file;
use crate::cli::table::{Cell, Table, cells, details};
use crate::cli::text::{ago, clean};
use crate::cli::view::Items;

#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// List the channels of your teams with how the last message went.
    List,
    /// Show a channel.
    Show {
        /// Number or id.
        channel: String,
    },
    /// Add a channel to a team. A signing secret that is made is printed once.
    Add(AddArgs),
    /// Change a channel to what a file says. Credentials stay if the file does not have them.
    Change {
        /// Number or id.
        channel: String,
        /// TOML or JSON file; - reads standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Send a test message, once and now.
    Test {
        /// Number or id.
        channel: String,
    },
    /// Make a new signing secret, printed once. The one before signs as well for a day.
    Rotate {
        /// Number or id.
        channel: String,
        /// How long the secret before signs as well; 0 if somebody knows it who should not.
        #[arg(long, value_name = "SECONDS")]
        overlap: Option<u32>,
    },
    /// Remove a channel with its rules and what it was told.
    Remove {
        /// Number or id.
        channel: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
A file has, as TOML or JSON: name, plugin, url, credentials; and, if needed, settings, privateNetwork, certificates, enabled, rules.
It keeps secrets out of the process list.

Example, a webhook of your own, signed as Standard Webhooks has it:
  windlass notify channel add web --name hook --plugin webhook-notify --url https://example.org/hook --events 'deployment.*'")]
pub struct AddArgs {
    /// Name or id of the team.
    team: String,
    /// TOML or JSON file; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Unique in the team.
    #[arg(long)]
    name: Option<String>,
    /// A plugin of the kind notifier.
    #[arg(long)]
    plugin: Option<String>,
    /// Address of the receiver, or of a mail server: smtps://…, smtp://….
    #[arg(long)]
    url: Option<String>,
    /// The plugin's, as JSON.
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// A rule that tells it of these kinds of events, with commas between them.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    events: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Channel {
    id: String,
    seq: i64,
    name: String,
    plugin: String,
    url: String,
    enabled: bool,
    has_credentials: bool,
    private_network: bool,
    previous_secret_until: Option<String>,
    last_delivery: Option<Delivery>,
}

impl Channel {
    fn state(&self) -> Cell {
        match &self.last_delivery {
            _ if !self.enabled => Cell::toned("off", Tone::Faint),
            None => Cell::toned("never used", Tone::Faint),
            Some(last) => last.state(),
        }
    }
}

pub async fn channel(session: &Session, command: &ChannelCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        ChannelCommand::List => list(session).await?,
        ChannelCommand::Show { channel } => {
            show(session, &client.get(&["channels", channel]).await.map_err(unknown)?)?;
        }
        ChannelCommand::Add(args) => add(session, args).await?,
        ChannelCommand::Change { channel, file } => {
            let input = Value::Object(read_file(file)?);
            show(session, &client.put(&["channels", channel], &input).await.map_err(unknown)?)?;
        }
        ChannelCommand::Test { channel } => {
            let value = client.post(&["channels", channel, "test"], &json!({})).await.map_err(unknown)?;
            return delivery::ended(session, &value);
        }
        ChannelCommand::Rotate { channel, overlap } => {
            let input = json!({ "overlapSecs": overlap });
            secret(session, &client.post(&["channels", channel, "rotate"], &input).await.map_err(unknown)?)?;
        }
        ChannelCommand::Remove { channel } => {
            client.delete(&["channels", channel]).await.map_err(unknown)?;
            session.out.note(&format!("Channel {} is removed.", clean(channel)));
        }
    }
    Ok(exit::SUCCESS)
}

async fn list(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get(&["channels"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let channels = read::<Items<Channel>>(&value)?.items;
    if channels.is_empty() {
        out.line("No channels yet. `windlass notify channel add --help` has an example.");
        return Ok(());
    }
    let mut table = Table::new(&["ID", "NAME", "PLUGIN", "ADDRESS", "LAST MESSAGE", "WHEN"]);
    for one in channels {
        let (state, when) =
            (one.state(), one.last_delivery.map(|last| ago(&last.created_at)).unwrap_or_default());
        table.row(cells![one.seq, one.name, one.plugin, one.url, state, when]);
    }
    table.print(out);
    Ok(())
}

async fn add(session: &Session, args: &AddArgs) -> Outcome<()> {
    let mut input = match &args.file {
        Some(file) => read_file(file)?,
        None => Map::new(),
    };
    for (field, value) in [("name", &args.name), ("plugin", &args.plugin), ("url", &args.url)] {
        if let Some(value) = value {
            input.insert(field.into(), value.as_str().into());
        }
    }
    if let Some(settings) = &args.settings {
        let settings: Value = serde_json::from_str(settings)
            .map_err(|error| Failure::usage(format!("--settings is no JSON: {error}.")))?;
        input.insert("settings".into(), settings);
    }
    if !args.events.is_empty() {
        input.insert("rules".into(), json!([{ "events": args.events }]));
    }
    let value = session.client.post(&["teams", &args.team, "channels"], &Value::Object(input)).await?;
    secret(session, &value)
}

/// A channel, and the secret that was made for it.
fn secret(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    show(session, &value["channel"])?;
    if let Some(secret) = value["secret"].as_str() {
        out.line(&format!("\nSigning secret, shown this once: {}", clean(secret)));
    }
    Ok(())
}

fn show(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let one: Channel = read(value)?;
    let state = one.state();
    let reason = one.last_delivery.as_ref().and_then(|last| last.reason.clone()).unwrap_or_default();
    details(
        out,
        vec![
            ("Channel", Cell::toned(one.seq.to_string(), Tone::Strong)),
            ("Id", one.id.as_str().into()),
            ("Name", one.name.as_str().into()),
            ("Plugin", one.plugin.as_str().into()),
            ("Address", one.url.as_str().into()),
            ("Private", if one.private_network { "yes, as granted" } else { "no" }.into()),
            ("Credentials", if one.has_credentials { "stored" } else { "none" }.into()),
            ("Old secret", one.previous_secret_until.as_deref().map(ago).unwrap_or_default().into()),
            ("Last message", state),
            ("Reason", reason.into()),
        ],
    );
    Ok(())
}
