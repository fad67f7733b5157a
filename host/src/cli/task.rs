//! `task list | show | run-now`: the queue.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::{Output, Tone};
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean};
use super::view::Items;

#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// Show what the queue has to do, the oldest first.
    List(ListArgs),
    /// Show one task.
    Show {
        /// Id of the task.
        task: String,
    },
    /// Let a task that waits for its next attempt run now.
    #[command(after_help = "Example:
  windlass task run-now 019aab4e-5d1c-7e30-9c1b-2f3a7d1f0c55")]
    RunNow {
        /// Id of the task.
        task: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task list
  windlass task list --all --limit 200")]
pub struct ListArgs {
    /// Those that ended as well, newest first.
    #[arg(long)]
    all: bool,
    /// How many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    id: String,
    kind: String,
    subject_id: String,
    status: String,
    progress: i64,
    attempt: i64,
    max_attempts: i64,
    run_at: String,
    error: Option<String>,
    created_at: String,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl Task {
    fn state(&self) -> Cell {
        let tone = match self.status.as_str() {
            "success" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Warning,
        };
        Cell::toned(clean(&self.status), tone)
    }

    fn attempts(&self) -> String {
        format!("{} of {}", self.attempt, self.max_attempts)
    }

    fn print(&self, out: &Output) {
        let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".into());
        details(
            out,
            vec![
                ("task", clean(&self.id).into()),
                ("kind", clean(&self.kind).into()),
                ("about", clean(&self.subject_id).into()),
                ("state", self.state()),
                ("progress", format!("{} %", self.progress).into()),
                ("attempt", self.attempts().into()),
                ("asked for", self.created_at.clone().into()),
                ("runs from", self.run_at.clone().into()),
                ("started", time(&self.started_at).into()),
                ("ended", time(&self.finished_at).into()),
                ("error", clean(self.error.as_deref().unwrap_or("-")).into()),
            ],
        );
    }
}

pub async fn task(session: &Session, command: &TaskCommand) -> Outcome<u8> {
    let (client, out) = (&session.client, &session.out);
    let value = match command {
        TaskCommand::List(args) => return list(session, args).await,
        TaskCommand::Show { task } => client.get(&["tasks", task]).await?,
        TaskCommand::RunNow { task } => client.post(&["tasks", task, "run-now"], &json!({})).await?,
    };
    if out.is_json() {
        out.json(&value);
    } else {
        read::<Task>(&value)?.print(out);
    }
    Ok(exit::SUCCESS)
}

async fn list(session: &Session, args: &ListArgs) -> Outcome<u8> {
    let (client, out) = (&session.client, &session.out);
    let (limit, unfinished) = (args.limit.to_string(), (!args.all).to_string());
    let query = [("unfinished", unfinished.as_str()), ("limit", limit.as_str())];
    let value = client.get_with(&["tasks"], &query).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let Items { items } = read::<Items<Task>>(&value)?;
    if items.is_empty() {
        out.line(if args.all { "There are no tasks." } else { "There is nothing to do." });
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["TASK", "KIND", "STATE", "ATTEMPT", "ASKED FOR", "ERROR"]);
    for task in items {
        table.row(cells![
            clean(&task.id),
            clean(&task.kind),
            task.state(),
            task.attempts(),
            ago(&task.created_at),
            clean(task.error.as_deref().unwrap_or("")),
        ]);
    }
    table.print(out);
    Ok(exit::SUCCESS)
}
