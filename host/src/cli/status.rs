//! `status`: all stacks, one stack, or one deployment with its steps.

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::follow::{self, WaitArgs};
use super::output::Tone;
use super::table::{Cell, Table, cells, details};
use super::text::{self, ago, status_tone, status_word};
use super::view::{Approval, Deployment, Items, Release, Stack, Step};

/// Stacks that are asked for at the same time.
const AT_ONCE: usize = 8;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass status              all stacks
  windlass status web          one stack and its newest deployment
  windlass status 12           a deployment with its steps
  windlass status 12 -w        watch until it has ended; the exit code is its outcome")]
pub struct StatusArgs {
    /// A stack's name, or a deployment's number or id. A number always means a deployment.
    #[arg(value_name = "STACK|DEPLOYMENT", required_if_eq_any = [("wait", "true"), ("follow", "true")])]
    target: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn status(session: &Session, args: &StatusArgs) -> Outcome<u8> {
    let Some(target) = &args.target else {
        return overview(session).await;
    };
    if args.wait.waits() {
        let number = deployment_number(session, target).await?;
        let value = session.client.get(&["deployments", &number.to_string()]).await?;
        if !session.out.is_json() {
            let deployment: Deployment = read(&value)?;
            session.out.line(&format!("Watching {}.", follow::describe(&session.out, &deployment)));
        }
        return follow::follow(session, value, &args.wait).await;
    }
    match find(session, target).await? {
        Found::Stack(value) => show_stack(session, &value).await?,
        Found::Deployment(value) => show_deployment(session, &value).await?,
    }
    Ok(exit::SUCCESS)
}

/// What a name or number stands for.
pub enum Found {
    Stack(Value),
    Deployment(Value),
}

/// Numbers are deployments, names are stacks, and an id may be either.
pub async fn find(session: &Session, target: &str) -> Outcome<Found> {
    let is_number = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit());
    let is_id = target.len() == 36 && target.bytes().filter(|byte| *byte == b'-').count() == 4;
    if is_number || is_id {
        match session.client.get(&["deployments", target]).await {
            Err(failure) if failure.is_not_found() && is_id => {}
            result => return result.map(Found::Deployment),
        }
    }
    match session.client.get(&["stacks", target]).await {
        Err(failure) if failure.is_not_found() => Err(Failure {
            what: format!("There is no stack and no deployment `{}`.", text::clean(target)),
            advice: "`windlass status` shows what there is.".into(),
            ..failure
        }),
        result => result.map(Found::Stack),
    }
}

/// The deployment that is meant: the one named, or a stack's newest.
pub async fn deployment_number(session: &Session, target: &str) -> Outcome<i64> {
    match find(session, target).await? {
        Found::Deployment(value) => Ok(read::<Deployment>(&value)?.seq),
        Found::Stack(value) => {
            let stack: Stack = read(&value)?;
            stack.latest_deployment.map(|deployment| deployment.seq).ok_or_else(|| {
                Failure::local(
                    format!("Stack `{}` has never been deployed.", stack.name),
                    format!("Deploy it with `windlass deploy {}`.", stack.name),
                )
            })
        }
    }
}

async fn overview(session: &Session) -> Outcome<u8> {
    let out = &session.out;
    let list = session.client.list(&["stacks"]).await?;
    let names: Vec<String> = read::<Items<Stack>>(&list)?.items.into_iter().map(|stack| stack.name).collect();
    // The list leaves the deployments out.
    let full: Vec<Value> = stream::iter(names)
        .map(|name| async move {
            match session.client.get(&["stacks", &name]).await {
                // Deleted since.
                Err(failure) if failure.is_not_found() => Ok(None),
                result => result.map(Some),
            }
        })
        .buffered(AT_ONCE)
        .try_filter_map(|value| async { Ok(value) })
        .try_collect()
        .await?;
    if out.is_json() {
        out.json(&json!({ "items": full, "next": null }));
        return Ok(exit::SUCCESS);
    }
    if full.is_empty() {
        out.line(
            "There are no stacks yet. Create one with `windlass stack create`; its --help has examples.",
        );
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["STACK", "STATUS", "DEPLOYMENT", "STARTED", "WHAT"]);
    for value in &full {
        let stack: Stack = read(value)?;
        match &stack.latest_deployment {
            Some(latest) => {
                table.row(cells![
                    stack.name,
                    status_cell(latest),
                    latest.seq,
                    ago(&latest.started_at),
                    what(latest)
                ]);
            }
            None => table.row(cells![stack.name, Cell::toned("never deployed", Tone::Faint), "", "", ""]),
        }
    }
    table.print(out);
    Ok(exit::SUCCESS)
}

/// What a deployment means for each service of a compose stack.
fn services(session: &Session, serves: Option<&Release>) {
    let Some(release) = serves.filter(|release| !release.services.is_empty()) else { return };
    let mut table = Table::new(&["SERVICE", "ROUTED", "DEPLOYMENTS"]);
    for service in &release.services {
        let routed = if service.routed { "yes" } else { "" };
        table.row(cells![service.name.as_str(), routed, service.reason.as_str()]);
    }
    session.out.line("");
    table.print(&session.out);
}

pub async fn show_stack(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let stack: Stack = read(value)?;
    let repository = stack.git_repository.as_ref();
    let build = stack.build_config.as_ref();
    let serves = stack.active_release.as_ref();
    details(
        out,
        vec![
            ("Stack", Cell::toned(&stack.name, Tone::Strong)),
            ("Description", stack.description.as_str().into()),
            (
                "Repository",
                repository.map_or(String::new(), |row| format!("{} ({})", row.url, row.branch)).into(),
            ),
            ("Forge plugin", repository.map_or("", |row| row.provider.as_str()).into()),
            ("Webhook", repository.map_or(String::new(), |row| row.webhook()).into()),
            ("Commit statuses", repository.map_or(String::new(), |row| row.statuses()).into()),
            ("Looks for pushes", repository.map_or(String::new(), |row| row.looks()).into()),
            ("Build", build.map_or("", |row| row.build_type.as_str()).into()),
            ("Health check", build.and_then(|row| row.health_check_path.as_deref()).unwrap_or("").into()),
            (
                "Strategy",
                if stack.strategy.is_empty() { "the default".into() } else { stack.strategy.as_str().into() },
            ),
            ("Runs on", stack.target.as_str().into()),
            ("Replicas", stack.run.replicas.into()),
            ("Ports", stack.run.ports().into()),
            (
                "Serves",
                serves
                    .map_or("nothing".into(), |row| {
                        format!("{}, since {}", row.image_tag, ago(&row.created_at))
                    })
                    .into(),
            ),
            ("Created", ago(&stack.created_at).into()),
        ],
    );
    services(session, serves);
    if let Some(latest) = &stack.latest_deployment {
        out.line("");
        deployment_details(session, latest, None);
        steps(session, latest.seq).await?;
    }
    Ok(())
}

async fn show_deployment(session: &Session, value: &Value) -> Outcome<()> {
    if session.out.is_json() {
        session.out.json(value);
        return Ok(());
    }
    let deployment: Deployment = read(value)?;
    let stack: Stack = read(&session.client.get(&["stacks", &deployment.stack_id]).await?)?;
    deployment_details(session, &deployment, Some(&stack.name));
    if !deployment.status.is_terminal() {
        question(session, deployment.seq).await?;
    }
    steps(session, deployment.seq).await
}

/// What it waits for, and how to answer.
async fn question(session: &Session, deployment: i64) -> Outcome<()> {
    let asked = session.client.get(&["deployments", &deployment.to_string(), "approvals"]).await?;
    let asked: Vec<Approval> = read(&asked)?;
    if let Some(question) = asked.last().filter(|last| last.state == "open") {
        let out = &session.out;
        out.line("");
        out.line(&format!("It asks: {}", text::clean(&question.prompt)));
        out.line(&format!("Answer with: windlass approve {deployment}, or: windlass reject {deployment}"));
    }
    Ok(())
}

fn deployment_details(session: &Session, row: &Deployment, stack: Option<&str>) {
    let by = match &row.triggered_by_user {
        Some(user) => format!("{}, {user}", row.triggered_by),
        None => row.triggered_by.clone(),
    };
    let ended = match (&row.completed_at, row.duration) {
        (Some(at), Some(duration)) => format!("{}, after {}", ago(at), text::seconds(duration)),
        _ => String::new(),
    };
    let now = if row.status.is_terminal() {
        row.label.clone()
    } else {
        let paused = if row.paused_at.is_some() { "paused: " } else { "" };
        format!("{paused}{} ({} %)", row.label, row.progress)
    };
    details(
        &session.out,
        vec![
            ("Deployment", Cell::toned(row.seq.to_string(), Tone::Strong)),
            ("Stack", stack.unwrap_or("").into()),
            ("Status", status_cell(row)),
            ("Now", now.into()),
            ("Error", Cell::toned(row.error.as_deref().unwrap_or(""), Tone::Bad)),
            ("Source", row.source().into()),
            ("Author", row.commit_author.as_deref().unwrap_or("").into()),
            ("Image", row.image_tag.as_str().into()),
            ("Strategy", row.strategy.as_str().into()),
            ("Triggered by", by.into()),
            ("Reason", row.reason.as_deref().unwrap_or("").into()),
            ("Started", ago(&row.started_at).into()),
            ("Ended", ended.into()),
            ("Pause", row.pause_ms.map_or(String::new(), |ms| format!("{ms} ms")).into()),
            ("Build log", row.logs.build().into()),
            ("Rollout log", row.logs.rollout().into()),
        ],
    );
}

async fn steps(session: &Session, deployment: i64) -> Outcome<()> {
    let value = session.client.get(&["deployments", &deployment.to_string(), "steps"]).await?;
    let steps: Vec<Step> = read(&value)?;
    if steps.is_empty() {
        return Ok(());
    }
    session.out.line("");
    let mut table = Table::new(&["STEP", "STATE", "WHEN", "WHAT"]);
    for step in steps {
        let (word, tone) = match step.state.as_str() {
            "done" => ("done", Tone::Good),
            "failed" => ("failed", Tone::Bad),
            "intent" => ("running", Tone::Busy),
            other => (other, Tone::Faint),
        };
        let what = match &step.error {
            Some(error) => format!("{}: {error}", step.effect),
            None => step.effect,
        };
        table.row(cells![step.n, Cell::toned(word, tone), ago(&step.intended_at), what]);
    }
    table.print(&session.out);
    Ok(())
}

pub fn status_cell(deployment: &Deployment) -> Cell {
    Cell::toned(status_word(deployment.status), status_tone(deployment.status))
}

/// What it is doing while it runs, what went wrong if something did, else what it is made of.
fn what(deployment: &Deployment) -> String {
    match &deployment.error {
        _ if !deployment.status.is_terminal() => format!("{} ({} %)", deployment.label, deployment.progress),
        Some(error) => error.clone(),
        None => deployment.source(),
    }
}
