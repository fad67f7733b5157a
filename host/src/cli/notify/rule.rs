//! `notify rule list | add | remove`.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::unknown;
use crate::cli::Session;
use crate::cli::client::read;
use crate::cli::failure::{Outcome, exit};
use crate::cli::output::Tone;
use crate::cli::table::{Cell, Table, cells};
use crate::cli::text::clean;
use crate::cli::view::Items;

#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    /// List what a channel is told.
    List {
        /// Number or id of the channel.
        channel: String,
    },
    /// Have a channel told of some events.
    Add(RuleArgs),
    /// Remove a rule. What it has had told stays.
    Remove {
        /// Number or id of the channel.
        channel: String,
        /// Number or id of the rule.
        rule: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass notify rule add 1 --events deployment.failed,deployment.approval --stack web")]
pub struct RuleArgs {
    /// Number or id of the channel.
    channel: String,
    /// Kinds of events, with commas between them: deployment.failed, deployment.*, *.
    #[arg(long, required = true, value_name = "KINDS", value_delimiter = ',')]
    events: Vec<String>,
    /// Only what happens to this stack; all of the team's without.
    #[arg(long)]
    stack: Option<String>,
    /// Also what happens to the installation: providers, certificates, plugins.
    #[arg(long)]
    installation: bool,
    /// What happens within so many seconds is one message; 10 if left out.
    #[arg(long, value_name = "SECONDS")]
    window: Option<u32>,
    /// What fails again is told once in so many seconds; 3600 if left out, 0: each time.
    #[arg(long, value_name = "SECONDS")]
    quiet: Option<u32>,
    /// Instead of the usual title, with {{title}}, {{stack}}, {{kind}}, {{severity}}, {{url}}.
    #[arg(long)]
    title: Option<String>,
    /// Instead of the usual text.
    #[arg(long)]
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    seq: i64,
    stack_id: Option<String>,
    events: Vec<String>,
    installation: bool,
    window_secs: u32,
    quiet_secs: u32,
    enabled: bool,
}

pub async fn rule(session: &Session, command: &RuleCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        RuleCommand::List { channel } => {
            let value = client.get(&["channels", channel, "rules"]).await.map_err(unknown)?;
            list(session, &value)?;
        }
        RuleCommand::Add(args) => {
            let value =
                client.post(&["channels", &args.channel, "rules"], &input(args)).await.map_err(unknown)?;
            list(session, &json!({ "items": [value] }))?;
        }
        RuleCommand::Remove { channel, rule } => {
            client.delete(&["channels", channel, "rules", rule]).await.map_err(unknown)?;
            session.out.note(&format!("Rule {} is removed.", clean(rule)));
        }
    }
    Ok(exit::SUCCESS)
}

fn input(args: &RuleArgs) -> Value {
    let mut plan = Map::new();
    plan.insert("events".into(), json!(args.events));
    plan.insert("installation".into(), json!(args.installation));
    let given = [
        ("windowSecs", args.window.map(Value::from)),
        ("quietSecs", args.quiet.map(Value::from)),
        ("title", args.title.clone().map(Value::from)),
        ("text", args.text.clone().map(Value::from)),
    ];
    plan.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    json!({ "stack": args.stack, "plan": plan })
}

fn list(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let mut table = Table::new(&["ID", "EVENTS", "STACK", "TOGETHER", "QUIET", "STATE"]);
    for one in read::<Items<Rule>>(value)?.items {
        let about = match (&one.stack_id, one.installation) {
            (Some(stack), _) => stack.clone(),
            (None, true) => "all, and the installation".into(),
            (None, false) => "all".into(),
        };
        let state = if one.enabled { Cell::toned("on", Tone::Good) } else { Cell::toned("off", Tone::Faint) };
        let (window, quiet) = (format!("{} s", one.window_secs), format!("{} s", one.quiet_secs));
        table.row(cells![one.seq, one.events.join(", "), about, window, quiet, state]);
    }
    table.print(out);
    Ok(())
}
