//! `rollout show | history | replay`: a rollout while it runs, what it was like, and every decision of its strategy once more.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::status::deployment_number;
use super::table::{Cell, Table, cells};
use super::text::{ago, between, clean, short};
use super::view::Items;

/// Calls that are asked for at a time.
const PAGE: &str = "100";

#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Show who gets the requests, what runs, and how it answers.
    Show(RolloutArgs),
    /// Tell what was decided, when and why, and how both releases had answered until then.
    #[command(after_help = "Example:
  windlass rollout history 12

While it runs and afterwards. With -o json there are also the figures over time. The figures are there as long
as the calls of the strategy are on record.")]
    History(RolloutArgs),
    /// Ask the strategy again what it was asked, and say whether it decides the same.
    #[command(after_help = "Example:
  windlass rollout replay 12

Each decision was recorded with the situation it was made in. It is made again by the very component that
made it, and nothing is carried out. The exit code is 1 if one of them differs.")]
    Replay(RolloutArgs),
}

#[derive(Debug, Args)]
pub struct RolloutArgs {
    /// A deployment's number or id, or a stack's name for its newest deployment.
    #[arg(value_name = "DEPLOYMENT|STACK")]
    target: String,
}

#[derive(Deserialize)]
struct Rollout {
    running: bool,
    routed: bool,
    releases: Vec<Release>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Release {
    seq: i64,
    role: String,
    commit_sha: String,
    image_tag: String,
    percent: u32,
    instances: Vec<Instance>,
    answers: Option<Answers>,
}

#[derive(Deserialize)]
struct Instance {
    state: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answers {
    requests: u64,
    errors_5xx: u64,
    p95_ms: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    begun_at: Option<String>,
    decided: Vec<Decided>,
}

#[derive(Deserialize)]
struct Decided {
    at: String,
    percent: Option<u32>,
    reason: String,
    new: Option<Figures>,
    stable: Option<Figures>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    error_percent: f64,
    p95_ms: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    seq: i64,
    started_at: String,
    count: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Replay {
    identical: bool,
    differences: Vec<String>,
    output: Value,
}

pub async fn rollout(session: &Session, command: &RolloutCommand) -> Outcome<u8> {
    match command {
        RolloutCommand::Show(args) => show(session, args).await,
        RolloutCommand::History(args) => history(session, args).await,
        RolloutCommand::Replay(args) => replay(session, args).await,
    }
}

async fn show(session: &Session, args: &RolloutArgs) -> Outcome<u8> {
    let out = &session.out;
    let number = deployment_number(session, &args.target).await?;
    let value = session.client.get(&["deployments", &number.to_string(), "rollout"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let rollout: Rollout = read(&value)?;
    if !rollout.running {
        out.line(&format!("Deployment {number} is not being rolled out. See: windlass status {number}"));
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["RELEASE", "COMMIT", "TRAFFIC", "INSTANCES", "REQUESTS", "ERRORS", "P95"]);
    for release in &rollout.releases {
        let commit = if release.commit_sha.is_empty() {
            release.image_tag.clone()
        } else {
            short(&release.commit_sha)
        };
        let [requests, errors, p95] = match &release.answers {
            Some(told) => answers(told),
            None => ["-", "-", "-"].map(str::to_owned),
        };
        table.row(cells![
            format!("{} {}", release.role, release.seq),
            commit,
            format!("{} %", release.percent),
            instances(&release.instances),
            requests,
            errors,
            p95
        ]);
    }
    table.print(out);
    for release in &rollout.releases {
        for instance in release.instances.iter().filter(|instance| !instance.reason.is_empty()) {
            out.line(&format!("{} {}: {}", release.role, release.seq, clean(&instance.reason)));
        }
    }
    if !rollout.routed {
        out.line(&out.paint(Tone::Faint, "Without the router nobody counts requests."));
    }
    Ok(exit::SUCCESS)
}

fn answers(told: &Answers) -> [String; 3] {
    let percent = 100.0 * told.errors_5xx as f64 / told.requests.max(1) as f64;
    [told.requests.to_string(), format!("{percent:.1} %"), format!("{:.0} ms", told.p95_ms)]
}

/// `2 of 3 healthy`.
fn instances(all: &[Instance]) -> String {
    let healthy = all.iter().filter(|instance| instance.state == "healthy").count();
    format!("{healthy} of {} healthy", all.len())
}

async fn history(session: &Session, args: &RolloutArgs) -> Outcome<u8> {
    let out = &session.out;
    let number = deployment_number(session, &args.target).await?;
    let value = session.client.get(&["deployments", &number.to_string(), "history"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let history: History = read(&value)?;
    let Some(begun) = history.begun_at.filter(|_| !history.decided.is_empty()) else {
        out.line(&format!("Nothing was decided for deployment {number}. See: windlass status {number}"));
        return Ok(exit::SUCCESS);
    };
    let mut table = Table::new(&["AFTER", "NEW GETS", "ERRORS NEW/STABLE", "P95 NEW/STABLE", "DECIDED"]);
    for decided in &history.decided {
        let share = decided.percent.map_or("-".to_owned(), |percent| format!("{percent} %"));
        table.row(cells![
            between(&begun, &decided.at),
            share,
            beside(decided, |told| format!("{:.1} %", told.error_percent)),
            beside(decided, |told| format!("{:.0} ms", told.p95_ms)),
            &decided.reason
        ]);
    }
    table.print(out);
    Ok(exit::SUCCESS)
}

/// A figure of the new release and the same of the stable one.
fn beside(decided: &Decided, figure: impl Fn(&Figures) -> String) -> String {
    let [new, stable] = [&decided.new, &decided.stable].map(|told| told.as_ref().map(&figure));
    match (new, stable) {
        (None, None) => "-".to_owned(),
        (new, stable) => format!("{} / {}", new.as_deref().unwrap_or("-"), stable.as_deref().unwrap_or("-")),
    }
}

async fn replay(session: &Session, args: &RolloutArgs) -> Outcome<u8> {
    let out = &session.out;
    let number = deployment_number(session, &args.target).await?;
    let mut calls = decisions(session, number).await?;
    calls.reverse();
    let mut table = Table::new(&["CALL", "WHEN", "TIMES", "SAID", "AGAIN"]);
    let (mut results, mut differing) = (Vec::new(), 0);
    for call in &calls {
        let path = ["plugins", "calls", &call.seq.to_string(), "replay"];
        let value = session.client.post(&path, &json!({})).await?;
        let again: Replay = read(&value)?;
        differing += usize::from(!again.identical);
        let word = if again.identical {
            Cell::toned("the same", Tone::Good)
        } else {
            Cell::toned(format!("otherwise: {}", again.differences.join("; ")), Tone::Bad)
        };
        table.row(cells![call.seq, ago(&call.started_at), call.count, label(&again.output), word]);
        results.push(json!({ "call": call.seq, "startedAt": call.started_at, "replay": value }));
    }
    let code = if differing == 0 { exit::SUCCESS } else { exit::FAILED };
    if out.is_json() {
        out.json(&json!({ "deployment": number, "identical": differing == 0, "decisions": results }));
        return Ok(code);
    }
    if calls.is_empty() {
        out.line(&format!("No decision of deployment {number} is recorded any more."));
        return Ok(exit::SUCCESS);
    }
    table.print(out);
    out.line(&format!("{} decisions made again, {differing} otherwise.", calls.len()));
    Ok(code)
}

/// Newest first.
async fn decisions(session: &Session, deployment: i64) -> Outcome<Vec<Call>> {
    let deployment = deployment.to_string();
    let mut calls: Vec<Call> = Vec::new();
    loop {
        let before = calls.last().map(|call| call.seq.to_string());
        let mut query = vec![("deployment", deployment.as_str()), ("function", "decide"), ("limit", PAGE)];
        query.extend(before.as_deref().map(|before| ("before", before)));
        let page: Items<Call> = read(&session.client.get_with(&["plugins", "calls"], &query).await?)?;
        if page.items.is_empty() {
            return Ok(calls);
        }
        calls.extend(page.items);
    }
}

/// What the strategy called its step.
fn label(output: &Value) -> String {
    fn find(value: &Value) -> Option<&str> {
        match value {
            Value::Object(fields) => match fields.get("label") {
                Some(Value::String(text)) => Some(text),
                _ => fields.values().find_map(find),
            },
            Value::Array(items) => items.iter().find_map(find),
            _ => None,
        }
    }
    find(output).unwrap_or("-").to_owned()
}
