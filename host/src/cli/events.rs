//! `events`: what happened, newest first.

use clap::Args;
use serde::Deserialize;

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::table::{Table, cells};
use super::text::{ago, clean};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass events web                            what happened to a stack
  windlass events --deployment 12                and in one of its deployments
  windlass events --kind deployment.transition   of all stacks")]
pub struct EventsArgs {
    /// Name, number or id of the stack; all if left out.
    stack: Option<String>,
    /// Only of this deployment and its build.
    #[arg(long, value_name = "NUMBER")]
    deployment: Option<String>,
    /// Only of this kind, such as `deployment.status`.
    #[arg(long)]
    kind: Option<String>,
    /// Go on where an earlier list ended.
    #[arg(long, value_name = "NEXT")]
    before: Option<i64>,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

#[derive(Deserialize)]
struct History {
    items: Vec<Past>,
    next: Option<i64>,
}

#[derive(Deserialize)]
struct Past {
    kind: String,
    at: String,
    stack: Option<String>,
    text: String,
}

pub async fn events(session: &Session, args: &EventsArgs) -> Outcome<u8> {
    let out = &session.out;
    let (limit, before) = (args.limit.to_string(), args.before.map(|seq| seq.to_string()));
    let mut query = vec![("limit", limit.as_str())];
    for (name, value) in
        [("stack", &args.stack), ("deployment", &args.deployment), ("kind", &args.kind), ("before", &before)]
    {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    let value = session.client.get_with(&["events", "history"], &query).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let History { items, next } = read(&value)?;
    if items.is_empty() {
        out.line("No event is there, or none fits.");
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["WHEN", "STACK", "KIND", "WHAT"]);
    for past in items {
        let stack = clean(past.stack.as_deref().unwrap_or("-"));
        table.row(cells![ago(&past.at), stack, clean(&past.kind), clean(&past.text)]);
    }
    table.print(out);
    if let Some(next) = next {
        out.note(&format!("Earlier ones: --before {next}"));
    }
    Ok(exit::SUCCESS)
}
