//! `preview list | enable | disable | look`: pull requests that are shown as stacks of their own.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells};
use super::text::{ago, clean, short};

#[derive(Debug, Subcommand)]
pub enum PreviewCommand {
    /// List the open pull requests of a stack's repository with their previews.
    List {
        /// Name, number or id of the stack.
        stack: String,
    },
    /// Show pull requests from now on, or change how.
    Enable(EnableArgs),
    /// Show none any more. What there is ends.
    Disable {
        /// Name, number or id of the stack.
        stack: String,
    },
    /// Ask the forge for its pull requests now.
    Look {
        /// Name, number or id of the stack.
        stack: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass preview enable web --host 'pr-{number}.shop.example' --days 3")]
pub struct EnableArgs {
    /// Name, number or id of the stack.
    stack: String,
    /// Where the router takes a preview's requests; without it, a preview has a free port on the loopback address.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Days after the newest commit at which a preview ends; 7 if never said.
    #[arg(long)]
    days: Option<u32>,
    /// Previews at a time; 5 if never said.
    #[arg(long)]
    most: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Previews {
    enabled: bool,
    settings: Option<Map<String, Value>>,
    error: Option<String>,
    items: Vec<Preview>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preview {
    number: i64,
    title: String,
    commit_sha: String,
    deployed_sha: Option<String>,
    state: String,
    reason: Option<String>,
    address: Option<String>,
    deployment_status: Option<String>,
    expires_at: String,
    error: Option<String>,
}

pub async fn preview(session: &Session, command: &PreviewCommand) -> Outcome<u8> {
    match command {
        PreviewCommand::List { stack } => show(session, &get(session, stack).await?)?,
        PreviewCommand::Enable(args) => enable(session, args).await?,
        PreviewCommand::Disable { stack } => disable(session, stack).await?,
        PreviewCommand::Look { stack } => {
            let asked = session.client.post(&["stacks", stack, "previews", "look"], &Value::Null).await;
            show(session, &asked.map_err(|failure| unknown_stack(failure, stack))?)?;
        }
    }
    Ok(exit::SUCCESS)
}

async fn get(session: &Session, stack: &str) -> Outcome<Value> {
    let asked = session.client.get(&["stacks", stack, "previews"]).await;
    asked.map_err(|failure| unknown_stack(failure, stack))
}

/// What is not said stays as it is.
async fn enable(session: &Session, args: &EnableArgs) -> Outcome<()> {
    let mut settings = read::<Previews>(&get(session, &args.stack).await?)?.settings.unwrap_or_default();
    let given = [
        ("host", args.host.clone().map(Value::from)),
        ("days", args.days.map(Value::from)),
        ("most", args.most.map(Value::from)),
    ];
    settings.extend(given.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))));
    let path = ["stacks", &args.stack, "previews"];
    show(session, &session.client.put(&path, &Value::Object(settings)).await?)
}

async fn disable(session: &Session, stack: &str) -> Outcome<()> {
    let asked = session.client.delete(&["stacks", stack, "previews"]).await;
    asked.map_err(|failure| unknown_stack(failure, stack))?;
    if session.out.is_json() {
        session.out.json(&Value::Null);
    } else {
        session.out.line(&format!(
            "Pull requests of {} are shown no more; the previews are being removed.",
            clean(stack)
        ));
    }
    Ok(())
}

fn show(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let all: Previews = read(value)?;
    if let Some(error) = &all.error {
        out.line(&format!("The forge could not be asked the last time: {}", clean(error)));
    }
    if all.items.is_empty() {
        out.line(match all.enabled {
            true => "No open pull request yet.",
            false => "Previews are off. `windlass preview enable --help` says how to switch them on.",
        });
        return Ok(());
    }
    let mut table = Table::new(&["PULL REQUEST", "TITLE", "COMMIT", "STATE", "ADDRESS", "ENDS"]);
    for one in all.items {
        let is_live = one.state == "live";
        let is_newest = one.deployed_sha.as_ref() == Some(&one.commit_sha);
        let state = match (&one.error, one.deployment_status.filter(|_| is_live)) {
            (Some(error), _) => Cell::toned(error, Tone::Bad),
            (None, Some(status)) if is_newest => status.into(),
            (None, Some(_)) => "the newest commit is not deployed yet".into(),
            (None, None) => Cell::toned(one.reason.unwrap_or(one.state), Tone::Faint),
        };
        let (address, ends) = (one.address.unwrap_or_default(), ago(&one.expires_at));
        table.row(cells![one.number, one.title, short(&one.commit_sha), state, address, ends]);
    }
    table.print(out);
    Ok(())
}
