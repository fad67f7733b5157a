//! Plugins: which there are, how they fare, and what an operator has to decide.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::IntoResponse;
use serde::Deserialize;

use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::ui::{Badge, Tone, When, now, short};
use crate::api;
use crate::app::App;
use crate::app::plugin::{
    plugin_approve, plugin_disable, plugin_enable, plugin_inspect, plugin_is_builtin, plugin_list,
    plugin_remove,
};
use crate::domain::admission::{AskChange, Conformity, PluginState};
use crate::domain::plugin::{PluginHealth, PluginInfo, PluginStatus};
use crate::error::{Error, Result};

struct PluginRow {
    name: String,
    version: String,
    summary: String,
    badge: Badge,
    health: Badge,
    kinds: Vec<&'static str>,
    digest: String,
    short_digest: String,
    calls: String,
    durations: String,
    failure: Option<Failure>,
}

struct Failure {
    at: When,
    call: String,
    message: String,
}

impl PluginRow {
    fn new(status: &PluginStatus) -> Self {
        let digest = status.digest.clone().unwrap_or_default();
        let info = status.info.as_ref();
        Self {
            name: status.name.clone(),
            version: info.map_or(String::new(), |info| info.manifest.version.clone()),
            summary: info.map_or(String::new(), |info| info.manifest.summary.clone()),
            kinds: info.map_or(Vec::new(), |info| info.kinds.iter().map(|kind| kind.as_str()).collect()),
            badge: state(status),
            health: fares(status),
            short_digest: short(&digest),
            digest,
            calls: rate(&status.health),
            durations: durations(&status.health),
            failure: failures(&status.health).into_iter().next(),
        }
    }
}

fn state(status: &PluginStatus) -> Badge {
    let (tone, word) = match (status.admission.state, &status.error) {
        (PluginState::Disabled, _) => (Tone::Stopped, "disabled"),
        (PluginState::Quarantined, _) => (Tone::Back, "quarantined"),
        (PluginState::AwaitingApproval, _) => (Tone::Waiting, "waits for approval"),
        (PluginState::Enabled, Some(_)) => (Tone::Bad, "not loaded"),
        (PluginState::Enabled, None) => (Tone::Good, "loaded"),
    };
    Badge { tone, word }
}

fn fares(status: &PluginStatus) -> Badge {
    let (tone, word) = match &status.health {
        _ if status.info.is_none() => (Tone::Stopped, "does not run"),
        health if health.is_suspended() => (Tone::Bad, "suspended"),
        health if !health.breakers.is_empty() => (Tone::Waiting, "faulted lately"),
        health if health.p50_us.is_none() => (Tone::Waiting, "not called yet"),
        _ => (Tone::Good, "answers"),
    };
    Badge { tone, word }
}

fn rate(health: &PluginHealth) -> String {
    format!("{}/min", health.calls_last_minute)
}

/// Both percentiles, or a dash before the first call.
fn durations(health: &PluginHealth) -> String {
    match (health.p50_us, health.p99_us) {
        (Some(p50), Some(p99)) => format!("{} / {}", millis(p50), millis(p99)),
        _ => "–".into(),
    }
}

fn millis(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1000.0),
        _ => format!("{} ms", us / 1000),
    }
}

fn failures(health: &PluginHealth) -> Vec<Failure> {
    let failures = health.failures.iter();
    failures
        .map(|failure| Failure {
            at: When::new(failure.at),
            call: failure.call.clone(),
            message: failure.message.clone(),
        })
        .collect()
}

#[derive(Template)]
#[template(path = "plugins.html")]
struct PluginsPage {
    frame: Frame,
    rows: Vec<PluginRow>,
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    let rows = plugin_list(&app).iter().map(PluginRow::new).collect();
    render(&PluginsPage { frame: Frame::new(&session, "plugins", "Plugins"), rows })
}

struct BreakerRow {
    connection: String,
    badge: Badge,
    until: Option<When>,
    reason: String,
}

#[derive(Template)]
#[template(path = "plugin.html")]
struct PluginPage {
    frame: Frame,
    row: PluginRow,
    link: String,
    alert: String,
    error: String,
    reason: String,
    state: &'static str,
    held: String,
    short_held: String,
    source: String,
    size: String,
    /// Optional interfaces.
    abilities: Vec<&'static str>,
    imports: Vec<String>,
    conformity: &'static str,
    is_installed: bool,
    is_builtin_too: bool,
    granted: Vec<String>,
    missing: Vec<String>,
    change: AskChange,
    cpu: String,
    wall: String,
    failures: Vec<Failure>,
    breakers: Vec<BreakerRow>,
    schema: String,
}

pub async fn show(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    render(&page(&app, &session, &name, String::new())?)
}

fn page(app: &App, session: &Session, name: &str, alert: String) -> Result<PluginPage> {
    let status = plugin_inspect(app, name)?;
    let row = PluginRow::new(&status);
    let (health, admission, info) = (&status.health, &status.admission, status.info.as_ref());
    let held = admission.held_digest.clone().unwrap_or_default();
    let breakers = health.breakers.iter().map(|breaker| BreakerRow {
        connection: breaker.connection.clone(),
        badge: match breaker.state.as_str() {
            "open" => Badge { tone: Tone::Bad, word: "suspended" },
            "half-open" => Badge { tone: Tone::Running, word: "is being tried" },
            _ => Badge { tone: Tone::Waiting, word: "faulted lately" },
        },
        until: breaker.until.filter(|until| *until > now()).map(When::new),
        reason: breaker.reason.clone(),
    });
    Ok(PluginPage {
        frame: Frame::new(session, "plugins", name).crumb("/plugins", "Plugins"),
        link: format!("/plugins/{name}"),
        alert,
        error: status.error.clone().unwrap_or_default(),
        reason: admission.reason.clone().unwrap_or_default(),
        state: admission.state.as_str(),
        short_held: short(&held),
        held,
        source: status.source.clone(),
        size: info.map_or(String::new(), |info| format!("{} KiB", info.size_bytes.div_ceil(1024))),
        abilities: info.map_or(Vec::new(), |info| info.abilities.iter().map(|able| able.as_str()).collect()),
        imports: info.map_or(Vec::new(), imports),
        conformity: conformity(&status),
        is_installed: admission.installed,
        is_builtin_too: plugin_is_builtin(name),
        granted: admission.granted.clone(),
        missing: admission.missing.clone(),
        change: admission.change.clone(),
        cpu: millis(health.cpu_us_last_minute),
        wall: millis(health.wall_us_last_minute),
        failures: failures(health),
        breakers: breakers.collect(),
        schema: info.map_or(String::new(), |info| pretty(&info.manifest.settings_schema)),
        row,
    })
}

/// What the conformance suite says, for people.
fn conformity(status: &PluginStatus) -> &'static str {
    match status.admission.conformity {
        Conformity::Passed => "passed the suite",
        Conformity::Failed => "fails the suite",
        Conformity::Skipped => "not asked: the configuration says so",
        Conformity::Unchecked if status.source == "builtin" => "not asked: it is built in",
        Conformity::Unchecked => "not asked",
    }
}

/// Types are words, not requests: a component that imports nothing else can do nothing but compute.
fn imports(info: &PluginInfo) -> Vec<String> {
    info.imports
        .iter()
        .filter(|name| !name.contains("/types@") && !name.contains(":types/"))
        .cloned()
        .collect()
}

fn pretty(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

pub async fn enable(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    let result = plugin_enable(&app, &name).await;
    back(&app, &session, &name, result)
}

pub async fn disable(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    let result = plugin_disable(&app, &name, &session.0.who.user.name).await;
    back(&app, &session, &name, result)
}

/// What is removed has no page to return to, unless a built-in plugin has its name.
pub async fn remove(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    match plugin_remove(&app, &name).await {
        Ok(()) => Ok(to("/plugins")),
        Err(error) => back(&app, &session, &name, Err(error)),
    }
}

#[derive(Deserialize)]
pub struct ApproveForm {
    /// What the page showed. Another component may ask by now.
    digest: String,
}

pub async fn approve(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<ApproveForm>,
) -> PageResult {
    let result = plugin_approve(&app, &name, Some(&form.digest)).await;
    back(&app, &session, &name, result)
}

/// To the plugin's page, with what stands against it if it was refused.
fn back(app: &App, session: &Session, name: &str, result: Result<PluginStatus>) -> PageResult {
    match result {
        Ok(_) => Ok(to(&format!("/plugins/{name}"))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => {
            let status = api::status(&error);
            Ok(render_with(status, &page(app, session, name, error.to_string())?)?.into_response())
        }
    }
}
