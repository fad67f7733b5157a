//! `plan`: what a deployment would do, before anything is done.

use clap::Args;
use serde::Deserialize;

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::table::{Table, cells};
use super::text::{clean, seconds, short};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plan web                  what the next deployment of the branch would do
  windlass plan web --ref v1.4       the same for a branch, tag or commit
  windlass plan web --to 12          what going back to deployment 12 would do

Nothing is changed. The steps are the strategy's own: it is asked through a rollout in which nothing goes wrong,
with the start-up times and the traffic that earlier rollouts have shown.")]
pub struct PlanArgs {
    /// Name, number or id of the stack.
    stack: String,
    /// Branch, tag or commit; the repository's branch if left out.
    #[arg(long = "ref", value_name = "REF", conflicts_with = "to")]
    git_ref: Option<String>,
    /// Number or id of a deployment to go back to.
    #[arg(long, value_name = "DEPLOYMENT")]
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    stack: String,
    source: String,
    hash: String,
    changes: Vec<Change>,
    strategy: String,
    steps: Vec<Step>,
    expected_ms: Option<u64>,
    problem: Option<String>,
    downtime: Option<Downtime>,
    way_back: WayBack,
    assumptions: Vec<String>,
}

#[derive(Deserialize)]
struct Change {
    what: String,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    at_ms: u64,
    label: String,
    share: u32,
    new_instances: usize,
    old_instances: usize,
    question: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Downtime {
    expected_ms: u64,
    why: String,
}

#[derive(Deserialize)]
struct WayBack {
    ready: bool,
    words: String,
}

pub async fn plan(session: &Session, args: &PlanArgs) -> Outcome<u8> {
    let out = &session.out;
    let query: Vec<(&str, &str)> = [("ref", &args.git_ref), ("deployment", &args.to)]
        .into_iter()
        .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
        .collect();
    let value = session
        .client
        .get_with(&["stacks", &args.stack, "plan"], &query)
        .await
        .map_err(|failure| unknown_stack(failure, &args.stack))?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let plan: Plan = read(&value)?;
    out.line(&format!("Stack {}: {}.", clean(&plan.stack), clean(&plan.source)));
    changes(session, &plan.changes);
    steps(session, &plan);
    let downtime = match &plan.downtime {
        None if plan.problem.is_some() => "not known".to_owned(),
        None => "none; something serves all the time".to_owned(),
        Some(pause) => format!("about {}. {}", span(pause.expected_ms), clean(&pause.why)),
    };
    out.line(&format!("\nDowntime: {downtime}"));
    let tone = if plan.way_back.ready { Tone::Good } else { Tone::Bad };
    let word = if plan.way_back.ready { "ready" } else { "not ready" };
    out.line(&format!("Way back: {}; {}", out.paint(tone, word), clean(&plan.way_back.words)));
    for assumption in &plan.assumptions {
        out.line(&out.paint(Tone::Faint, &clean(assumption)));
    }
    out.line(&out.paint(Tone::Faint, &format!("Plan {}", short(&plan.hash))));
    Ok(exit::SUCCESS)
}

fn changes(session: &Session, changes: &[Change]) {
    if changes.is_empty() {
        session.out.line("\nNothing would change in how it runs.");
        return;
    }
    session.out.line("\nWhat changes:");
    let mut table = Table::new(&["", "now", "then"]);
    let shown = |side: &Option<String>| side.as_deref().map_or_else(|| "-".to_owned(), clean);
    for change in changes {
        table.row(cells![&change.what, shown(&change.from), shown(&change.to)]);
    }
    table.print(&session.out);
}

fn steps(session: &Session, plan: &Plan) {
    let out = &session.out;
    if let Some(problem) = &plan.problem {
        out.line(&format!(
            "\nStrategy {} would not bring it to its end: {}",
            clean(&plan.strategy),
            clean(problem)
        ));
        return;
    }
    let took = plan.expected_ms.map_or_else(String::new, |ms| format!(", about {}", span(ms)));
    out.line(&format!("\nStrategy {}{took}:", clean(&plan.strategy)));
    let mut table = Table::new(&["after", "step", "new", "old", "traffic"]);
    for step in &plan.steps {
        let question = step.question.as_ref().map(|prompt| format!(" (asks: {})", clean(prompt)));
        let label = clean(&step.label) + question.as_deref().unwrap_or_default();
        let share = format!("{} %", step.share);
        table.row(cells![span(step.at_ms), label, step.new_instances, step.old_instances, share]);
    }
    table.print(out);
}

/// A span of time for people: `0.4 s`, `12s`, `1m 05s`.
fn span(ms: u64) -> String {
    if ms < 10_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        seconds(i64::try_from(ms / 1000).unwrap_or(i64::MAX))
    }
}
