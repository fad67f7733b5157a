//! What happened to a stack: its events of the past, newest first.

use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::stacks::stack_link;
use super::ui::When;
use crate::app::App;
use crate::app::event::{EventChoice, event_list};
use crate::app::stack::stack_view;
use crate::domain::event::{EventKind, PastEvent};
use crate::domain::page::PageRequest;
use crate::domain::text::pretty_json;

struct EventRow {
    when: When,
    words: String,
    kind: &'static str,
    /// The deployment that it names.
    deployment: Option<i64>,
    /// Indented JSON: all that the event says.
    data: String,
}

impl From<PastEvent> for EventRow {
    fn from(past: PastEvent) -> Self {
        let event = past.event;
        Self {
            when: When::new(event.at),
            words: event.words(),
            kind: event.kind.as_str(),
            deployment: event.number("deployment"),
            data: pretty_json(&event.data),
        }
    }
}

/// What the list is narrowed to; empty for all.
#[derive(Deserialize)]
pub struct ActivityQuery {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    deployment: String,
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    name: String,
    here: String,
    /// The same choice on another page.
    link: String,
    kinds: Vec<&'static str>,
    query: ActivityQuery,
    is_narrowed: bool,
    rows: Vec<EventRow>,
    next: Option<i64>,
}

/// What happens to stacks; the rest is the installation's.
fn is_of_stacks(kind: EventKind) -> bool {
    use EventKind::{
        CertificateChanged, CiBuildMoved, CiBuildStatus, PluginChanged, ProviderChanged, TargetChanged,
    };
    !matches!(
        kind,
        PluginChanged | ProviderChanged | CiBuildStatus | CiBuildMoved | CertificateChanged | TargetChanged
    )
}

/// The same choice on another page.
fn link(here: &str, kind: &str, deployment: &str) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs([("kind", kind), ("deployment", deployment)]);
    format!("{here}?{}", query.finish())
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(stack): Path<String>,
    Query(query): Query<ActivityQuery>,
) -> PageResult {
    let view = stack_view(&app, &stack).await?;
    let [kind, deployment] = [&query.kind, &query.deployment].map(|text| text.trim().to_owned());
    let is_narrowed = !kind.is_empty() || !deployment.is_empty();
    let to_stack = stack_link(&view);
    let here = format!("{to_stack}/activity");
    let link = link(&here, &kind, &deployment);
    let choice = EventChoice { stack: Some(stack), deployment: Some(deployment), kind: Some(kind) };
    let page = event_list(&app, &session.0.who, &choice, PageRequest::new(query.before, None)).await?;
    let frame = Frame::new(&session, "stacks", "Activity").crumb("/", "Stacks");
    render(&ActivityPage {
        frame: frame.crumb(to_stack, view.stack.name.clone()),
        name: view.stack.name,
        link,
        here,
        kinds: EventKind::ALL.iter().filter(|kind| is_of_stacks(**kind)).map(|kind| kind.as_str()).collect(),
        is_narrowed,
        rows: page.items.into_iter().map(EventRow::from).collect(),
        next: page.next,
        query,
    })
}
