//! What an event of the outbox is in people's words; nothing if it is not worth telling.

use serde_json::{Value, json};

use super::rule::team_of;
use crate::domain::deployment::Deployment;
use crate::domain::event::{Event, EventKind};
use crate::domain::notification::{Notification, Severity};
use crate::domain::notify::{About, Outcome, Telling};
use crate::domain::rollout::transition::Transition;
use crate::domain::stack::Stack;
use crate::error::Result;
use crate::store::{Conn, builds, cicd_providers, deployments, stacks};

/// Whether an event of that kind can be worth it.
pub(super) fn may_tell(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::DeploymentStatus
            | EventKind::DeploymentApproval
            | EventKind::DeploymentTransition
            | EventKind::BuildStatus
            | EventKind::ProviderChanged
            | EventKind::CertificateChanged
            | EventKind::PluginChanged
    )
}

/// The words of one event, before they are put together.
struct Words {
    kind: &'static str,
    severity: Severity,
    outcome: Outcome,
    title: String,
    text: String,
}

/// `base` is where people find the dashboard. What is gone meanwhile is not told.
pub(super) async fn telling(conn: &mut Conn, event: &Event, base: &str) -> Result<Option<Telling>> {
    match event.kind {
        EventKind::DeploymentStatus | EventKind::DeploymentApproval | EventKind::DeploymentTransition => {
            deployment(conn, event, base).await
        }
        EventKind::BuildStatus => build(conn, event, base).await,
        EventKind::ProviderChanged => provider(conn, event, base).await,
        EventKind::CertificateChanged => Ok(certificate(event, base)),
        EventKind::PluginChanged => Ok(plugin(event, base)),
        _ => Ok(None),
    }
}

fn word<'a>(event: &'a Event, field: &str) -> &'a str {
    event.data.get(field).and_then(Value::as_str).unwrap_or_default()
}

async fn deployment(conn: &mut Conn, event: &Event, base: &str) -> Result<Option<Telling>> {
    let Some(id) = &event.subject_id else { return Ok(None) };
    let Some(row) = deployments::find_opt(conn, id.as_str()).await? else { return Ok(None) };
    let Some(stack) = stacks::find_opt(conn, row.stack_id.as_str()).await? else { return Ok(None) };
    let words = match event.kind {
        EventKind::DeploymentApproval => question(event, &stack, &row),
        EventKind::DeploymentTransition => transition(event, &stack, &row),
        _ => status(event, &stack, &row),
    };
    let Some(words) = words else { return Ok(None) };
    let data = json!({
        "deployment": row.seq, "deploymentId": row.id, "stack": stack.name, "status": row.status.as_str(),
        "branch": row.branch, "commit": row.commit_sha, "message": row.commit_message, "author": row.commit_author,
        "error": row.error, "triggeredBy": row.triggered_by.as_str(), "user": row.triggered_by_user,
        "share": event.data.get("share"),
    });
    let page = format!("{base}/deployments/{}", row.seq);
    about_stack(conn, event, words, &stack, "deployment", page, data).await
}

/// What became of a question; nothing of one that nobody wants an answer to any more.
fn question(event: &Event, stack: &Stack, row: &Deployment) -> Option<Words> {
    let by = event.data.get("by").and_then(Value::as_str);
    let (kind, severity, said) = match (word(event, "state"), by) {
        ("open", _) => ("deployment.approval", Severity::Warning, "waits for approval".to_owned()),
        ("approved", by) => {
            ("deployment.approved", Severity::Info, format!("was approved by {}", by.unwrap_or("windlass")))
        }
        ("rejected", Some(by)) => ("deployment.refused", Severity::Warning, format!("was refused by {by}")),
        ("rejected" | "expired", _) => {
            ("deployment.refused", Severity::Warning, "was not approved in time".to_owned())
        }
        _ => return None,
    };
    let title = format!("{}: deployment {} {said}", stack.name, row.seq);
    Some(Words { kind, severity, outcome: Outcome::Neutral, title, text: word(event, "prompt").to_owned() })
}

/// A step of a rollout that is worth a word.
fn transition(event: &Event, stack: &Stack, row: &Deployment) -> Option<Words> {
    use Outcome::{Neutral, OnTheWay};
    let by_itself = if event.data.get("by").is_some_and(Value::is_string) { Neutral } else { OnTheWay };
    let share = event.data.get("share").and_then(Value::as_u64).unwrap_or_default();
    let sends = format!("sends {share} % of the requests to the new release");
    let (kind, outcome, said) = match Transition::parse(word(event, "transition"))? {
        Transition::ShareMoved => ("deployment.share_moved", OnTheWay, sends.as_str()),
        Transition::BatchReplaced => ("deployment.batch_replaced", OnTheWay, "replaced a batch"),
        Transition::Judged => ("deployment.judged", OnTheWay, "was judged"),
        Transition::Paused => ("deployment.paused", by_itself, "is paused"),
        Transition::Resumed => ("deployment.resumed", by_itself, "goes on"),
        Transition::Promoted => ("deployment.promoted", Neutral, "was promoted"),
        Transition::Baking => ("deployment.baking", OnTheWay, "is watched after its promotion"),
        Transition::SwitchedBack => ("deployment.switched_back", Neutral, "sends the requests back"),
        Transition::Aborted => ("deployment.aborted", Neutral, "is to be given up"),
    };
    let is_bad = matches!(kind, "deployment.switched_back" | "deployment.aborted");
    let severity = if is_bad { Severity::Warning } else { Severity::Info };
    let title = format!("{}: deployment {} {said}", stack.name, row.seq);
    Some(Words { kind, severity, outcome, title, text: word(event, "text").to_owned() })
}

fn status(event: &Event, stack: &Stack, row: &Deployment) -> Option<Words> {
    let (kind, severity, outcome, said) = match word(event, "status") {
        "deploying" => ("deployment.started", Severity::Info, Outcome::Neutral, "began"),
        "successful" => ("deployment.successful", Severity::Success, Outcome::Good, "was successful"),
        "failed" => ("deployment.failed", Severity::Error, Outcome::Bad, "failed"),
        "rolled_back" => ("deployment.rolled_back", Severity::Error, Outcome::Bad, "was rolled back"),
        "cancelled" => ("deployment.cancelled", Severity::Warning, Outcome::Neutral, "was cancelled"),
        _ => return None,
    };
    let title = format!("{}: deployment {} {said}", stack.name, row.seq);
    let mut lines = Vec::new();
    if outcome == Outcome::Bad || kind == "deployment.cancelled" {
        lines.extend(row.error.clone());
    }
    lines.push(origin(&row.branch, &row.commit_sha, row.commit_message.as_deref()));
    Some(Words { kind, severity, outcome, title, text: lines.join("\n") })
}

/// `main at 0123456: the first line of its message`.
fn origin(branch: &str, commit: &str, message: Option<&str>) -> String {
    let short: String = commit.chars().take(7).collect();
    let mut text = match short.as_str() {
        "" => branch.to_owned(),
        short => format!("{branch} at {short}"),
    };
    if let Some(line) = message.and_then(|message| message.lines().next()).filter(|line| !line.is_empty()) {
        text.push_str(": ");
        text.push_str(line);
    }
    text
}

async fn build(conn: &mut Conn, event: &Event, base: &str) -> Result<Option<Telling>> {
    let Some(id) = &event.subject_id else { return Ok(None) };
    let (kind, severity, outcome, said) = match word(event, "status") {
        "success" => ("build.successful", Severity::Success, Outcome::Good, "was successful"),
        "failed" => ("build.failed", Severity::Error, Outcome::Bad, "failed"),
        _ => return Ok(None),
    };
    let Some(row) = builds::find_opt(conn, id.as_str()).await? else { return Ok(None) };
    let Some(stack) = stacks::find_opt(conn, row.stack_id.as_str()).await? else { return Ok(None) };
    let title = format!("{}: build {} {said}", stack.name, row.seq);
    let mut lines: Vec<String> = row.error.clone().into_iter().collect();
    lines.push(origin(&row.git_ref, &row.commit_sha, None));
    let data = json!({
        "build": row.seq, "buildId": row.id, "stack": stack.name, "status": row.status.as_str(), "ref": row.git_ref,
        "commit": row.commit_sha, "error": row.error, "deploymentId": row.deployment_id,
    });
    let words = Words { kind, severity, outcome, title, text: lines.join("\n") };
    let page = format!("{base}/stacks/{}", stack.name);
    about_stack(conn, event, words, &stack, "build", page, data).await
}

async fn about_stack(
    conn: &mut Conn,
    event: &Event,
    words: Words,
    stack: &Stack,
    what: &str,
    page: String,
    data: Value,
) -> Result<Option<Telling>> {
    let Some(team_id) = team_of(conn, &stack.project_id).await? else { return Ok(None) };
    let mut telling = put_together(event, words, format!("{what}:{}", stack.id), page, data);
    telling.notification.stack = Some(stack.name.clone());
    telling.about = Some(About { stack_id: stack.id.clone(), team_id });
    Ok(Some(telling))
}

async fn provider(conn: &mut Conn, event: &Event, base: &str) -> Result<Option<Telling>> {
    let name = word(event, "provider");
    let state = word(event, "change");
    let (kind, severity, outcome, said) = match state {
        "degraded" => ("provider.degraded", Severity::Error, Outcome::Bad, "does not answer as it should"),
        "unauthorized" => ("provider.degraded", Severity::Error, Outcome::Bad, "refuses its credential"),
        "healthy" => ("provider.recovered", Severity::Success, Outcome::Well, "answers"),
        _ => return Ok(None),
    };
    let row = match &event.subject_id {
        Some(id) => cicd_providers::find_opt(conn, id.as_str()).await?,
        None => None,
    };
    let text = row.and_then(|row| row.health.error).filter(|_| outcome == Outcome::Bad).unwrap_or_default();
    let words = Words { kind, severity, outcome, title: format!("Provider {name} {said}"), text };
    let data = json!({ "provider": name, "state": state });
    Ok(Some(put_together(event, words, format!("provider:{name}"), format!("{base}/providers"), data)))
}

fn certificate(event: &Event, base: &str) -> Option<Telling> {
    let (host, error) = (word(event, "host"), word(event, "error"));
    let (kind, severity, outcome, said) = match error {
        "" => ("certificate.issued", Severity::Success, Outcome::Good, "has a new certificate"),
        _ => ("certificate.failed", Severity::Error, Outcome::Bad, "gets no certificate"),
    };
    let words = Words { kind, severity, outcome, title: format!("{host} {said}"), text: error.to_owned() };
    let data = json!({ "host": host, "state": word(event, "state"), "error": event.data.get("error") });
    Some(put_together(event, words, format!("certificate:{host}"), format!("{base}/status"), data))
}

fn plugin(event: &Event, base: &str) -> Option<Telling> {
    let name = word(event, "name");
    let (kind, severity, outcome, said) = match word(event, "state") {
        "quarantined" => ("plugin.quarantined", Severity::Error, Outcome::Bad, "is in quarantine"),
        "enabled" => ("plugin.recovered", Severity::Success, Outcome::Well, "runs again"),
        _ => return None,
    };
    let words =
        Words { kind, severity, outcome, title: format!("The plugin {name} {said}"), text: String::new() };
    let data = json!({ "plugin": name, "state": word(event, "state"), "digest": event.data.get("digest") });
    Some(put_together(event, words, format!("plugin:{name}"), format!("{base}/plugins/{name}"), data))
}

fn put_together(event: &Event, words: Words, subject: String, page: String, data: Value) -> Telling {
    let Words { kind, severity, outcome, title, text } = words;
    let notification = Notification {
        id: event.seq.to_string(),
        kind: kind.to_owned(),
        at: event.at,
        severity,
        title,
        text,
        stack: None,
        url: Some(page),
        data,
    };
    Telling { outcome, subject, about: None, notification }
}
