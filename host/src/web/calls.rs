//! The flight recorder: what plugins were called with, what they answered, and whether they would again.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::ui::{Badge, Tone, When, micros, short};
use crate::api;
use crate::app::recorder::{Narrowed, call_filter, call_list, call_replay, call_view};
use crate::app::{App, deployment, plugin};
use crate::domain::page::PageRequest;
use crate::domain::recording::{CallSummary, Outcome, PluginCall, Replay, SubjectKind};
use crate::domain::text::pretty_json;
use crate::error::{Error, Result};

/// Bytes of JSON that a page shows of one part.
const MAX_PART: usize = 200_000;

struct CallRow {
    seq: i64,
    plugin: String,
    function: String,
    subject: &'static str,
    /// Empty if the subject has no page.
    subject_link: String,
    badge: Badge,
    error: String,
    started: When,
    took: String,
    cpu: String,
    count: i64,
}

impl From<&CallSummary> for CallRow {
    fn from(call: &CallSummary) -> Self {
        let (subject, subject_link) = match &call.subject {
            Some(subject) => match subject.kind {
                SubjectKind::Deployment => ("deployment", format!("/deployments/{}", subject.id)),
                SubjectKind::WebhookEvent => ("delivery", format!("/webhooks/{}", subject.id)),
                SubjectKind::Build => ("build", String::new()),
            },
            None => ("", String::new()),
        };
        Self {
            seq: call.seq,
            plugin: call.plugin.clone(),
            function: call.function.clone(),
            subject,
            subject_link,
            badge: call.outcome.into(),
            error: call.error.clone().unwrap_or_default(),
            started: When::new(call.started_at),
            took: micros(call.duration_us),
            cpu: micros(call.cpu_us),
            count: call.count,
        }
    }
}

impl From<Outcome> for Badge {
    fn from(outcome: Outcome) -> Self {
        let tone = match outcome {
            Outcome::Ok => Tone::Good,
            Outcome::Failure => Tone::Back,
            _ => Tone::Bad,
        };
        Self { tone, word: outcome.as_str() }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct CallsQuery {
    plugin: String,
    outcome: String,
    deployment: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "plugin_calls.html")]
struct CallsPage {
    frame: Frame,
    rows: Vec<CallRow>,
    plugins: Vec<String>,
    outcomes: Vec<&'static str>,
    query: CallsQuery,
    /// Number of the deployment that the list is narrowed to.
    deployment: Option<i64>,
    is_narrowed: bool,
    next: Option<i64>,
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<CallsQuery>) -> PageResult {
    let deployment = match query.deployment.as_str() {
        "" => None,
        reference => Some(deployment::deployment_view(&app, reference).await?.seq),
    };
    let words = Narrowed {
        plugin: Some(query.plugin.clone()),
        outcome: Some(query.outcome.clone()),
        deployment: Some(query.deployment.clone()),
        ..Narrowed::default()
    };
    let filter = call_filter(&app, words).await?;
    let page = call_list(&app, &filter, PageRequest::new(query.before, None)).await?;
    let mut plugins: Vec<String> = plugin::plugin_list(&app).into_iter().map(|plugin| plugin.name).collect();
    if !query.plugin.is_empty() && !plugins.contains(&query.plugin) {
        // It has calls on record and is no longer configured.
        plugins.push(query.plugin.clone());
    }
    render(&CallsPage {
        frame: Frame::new(&session, "plugins", "Calls").crumb("/plugins", "Plugins"),
        rows: page.items.iter().map(CallRow::from).collect(),
        plugins,
        outcomes: Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect(),
        deployment,
        is_narrowed: filter.plugin.is_some() || filter.outcome.is_some() || filter.subject.is_some(),
        next: page.next,
        query,
    })
}

#[derive(Template)]
#[template(path = "plugin_call.html")]
struct CallPage {
    frame: Frame,
    row: CallRow,
    interface: String,
    digest: String,
    short_digest: String,
    last: When,
    cut: bool,
    alert: String,
    replay: Option<ReplayPart>,
    parts: Vec<Part>,
}

struct ReplayPart {
    badge: Badge,
    took: String,
    differences: Vec<String>,
}

/// One part of the recording as indented JSON.
struct Part {
    name: &'static str,
    id: &'static str,
    /// What is said where there is nothing.
    nothing: &'static str,
    json: String,
    cut: bool,
}

pub async fn show(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let call = call_view(&app, &id).await?;
    render(&call_page(&session, &call, None))
}

/// Executes the call again, and shows the page with what became of it.
pub async fn replay(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let call = call_view(&app, &id).await?;
    let replayed = call_replay(&app, &id).await;
    let status = replayed.as_ref().err().map_or(StatusCode::OK, api::status);
    render_with(status, &call_page(&session, &call, Some(replayed)))
}

fn call_page(session: &Session, call: &PluginCall, replayed: Option<Result<Replay, Error>>) -> CallPage {
    let summary = &call.summary;
    let (replay, alert) = match replayed {
        None => (None, String::new()),
        Some(Ok(replay)) => (Some(replay_part(replay)), String::new()),
        Some(Err(error)) => (None, error.to_string()),
    };
    let calls = format!("/plugins/calls?plugin={}", summary.plugin);
    CallPage {
        frame: Frame::new(session, "plugins", format!("Call {}", summary.seq))
            .crumb("/plugins", "Plugins")
            .crumb(calls, format!("Calls of {}", summary.plugin)),
        row: CallRow::from(summary),
        interface: summary.interface.clone(),
        short_digest: short(&summary.digest),
        digest: summary.digest.clone(),
        last: When::new(summary.last_at),
        cut: summary.cut,
        alert,
        replay,
        parts: vec![
            part("Input", "input", "It takes nothing.", &call.input),
            part("Exchange", "exchange", "Plugin and server said nothing to each other.", &call.exchange),
            part("Output", "output", "It never returned.", call.output.as_deref().unwrap_or("null")),
        ],
    }
}

fn replay_part(replay: Replay) -> ReplayPart {
    let (tone, word) = if replay.identical { (Tone::Good, "identical") } else { (Tone::Bad, "different") };
    ReplayPart {
        badge: Badge { tone, word },
        took: micros(replay.duration_us),
        differences: replay.differences,
    }
}

fn part(name: &'static str, id: &'static str, nothing: &'static str, text: &str) -> Part {
    let value: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let mut json = if is_empty { String::new() } else { pretty_json(&value) };
    let cut = json.len() > MAX_PART;
    if cut {
        json.truncate((0..=MAX_PART).rev().find(|at| json.is_char_boundary(*at)).unwrap_or(0));
    }
    Part { name, id, nothing, json, cut }
}
