//! The webhook inbox: what came in, and what became of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};

use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stacks::PageQuery;
use super::ui::{Badge, Tone, When};
use crate::api;
use crate::app::{App, deployment, stack, webhook};
use crate::domain::Id;
use crate::domain::page::PageRequest;
use crate::domain::webhook::{MatchedSecret, Origin, ReasonCode, StackOutcome, WebhookEvent};
use crate::error::Error;

/// Bytes of a body that a page shows.
const MAX_BODY: usize = 200_000;

/// A delivery in a list.
pub struct EventRow {
    pub id: String,
    pub stack: String,
    pub provider: String,
    pub kind: String,
    pub badge: Badge,
    pub reason: &'static str,
    pub detail: String,
    pub received: When,
}

impl EventRow {
    pub fn new(event: WebhookEvent, stack: &str) -> Self {
        Self {
            id: event.id.to_string(),
            stack: stack.to_string(),
            badge: badge(&event),
            reason: event.reason.map_or("", ReasonCode::as_str),
            detail: event.error.or(event.detail).unwrap_or_default(),
            provider: event.provider,
            kind: match event.origin {
                Origin::Delivery => event.event_type,
                Origin::Start => "push found at the start".into(),
                Origin::Poll => "push found by looking".into(),
            },
            received: When::new(event.received_at),
        }
    }
}

/// A refused delivery and one that could not be read are bad; one that was understood and asks for nothing is not.
fn badge(event: &WebhookEvent) -> Badge {
    use ReasonCode as Reason;
    let (tone, word) = match event.reason {
        None if event.processed => (Tone::Stopped, "ended"),
        None => (Tone::Waiting, "waiting"),
        Some(Reason::Deployed) => (Tone::Good, "deployed"),
        Some(Reason::Ping) => (Tone::Good, "ping"),
        Some(
            Reason::BadSignature
            | Reason::WrongProvider
            | Reason::Malformed
            | Reason::InvalidRef
            | Reason::PluginFailed,
        ) => (Tone::Bad, "refused"),
        Some(Reason::Superseded) => (Tone::Back, "superseded"),
        Some(Reason::DuplicateOf) => (Tone::Back, "duplicate"),
        Some(_) => (Tone::Stopped, "ignored"),
    };
    Badge { tone, word }
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    events: Vec<EventRow>,
    next: Option<i64>,
    is_first: bool,
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<PageQuery>) -> PageResult {
    let page = PageRequest::new(query.before, None);
    let page = webhook::webhook_list(&app, None, page, &session.0.reach()).await?;
    let ids: Vec<Id> = page.items.iter().filter_map(|event| event.repository_id.clone()).collect();
    let names = stack::stack_names_by_repository(&app, &ids).await?;
    let name = |event: &WebhookEvent| event.repository_id.as_ref().and_then(|id| names.get(id)).cloned();
    let events = page.items.into_iter().map(|event| {
        let name = name(&event).unwrap_or_default();
        EventRow::new(event, &name)
    });
    let frame = Frame::new(&session, "webhooks", "Deliveries");
    render(&WebhooksPage {
        frame,
        events: events.collect(),
        next: page.next,
        is_first: query.before.is_none(),
    })
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    row: EventRow,
    /// Why it cannot be replayed; empty if nothing was tried.
    alert: String,
    can_replay: bool,
    replay_of: String,
    delivery: String,
    signature: &'static str,
    outcomes: Vec<StackOutcome>,
    processed: Option<When>,
    deployment: Option<i64>,
    headers: Vec<(String, String)>,
    body: String,
    cut: bool,
}

pub async fn show(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    render(&page(&app, &session, &id, None).await?)
}

/// Leads to the copy that is read now.
pub async fn replay(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    match webhook::webhook_replay(&app, &id).await {
        Ok(copy) => Ok(Redirect::to(&format!("/webhooks/{}", copy.id)).into_response()),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => {
            let status = api::status(&error);
            render_with(status, &page(&app, &session, &id, Some(error)).await?)
        }
    }
}

async fn page(app: &App, session: &Session, id: &str, failed: Option<Error>) -> Result<WebhookPage, Error> {
    let event = webhook::webhook_view(app, id).await?;
    let names = stack::stack_names_by_repository(app, event.repository_id.as_slice()).await?;
    let stack = event.repository_id.as_ref().and_then(|id| names.get(id)).cloned().unwrap_or_default();
    let deployment = match &event.deployment_id {
        Some(id) => deployment::deployment_view(app, id.as_str()).await.ok().map(|row| row.seq),
        None => None,
    };
    let (body, cut) = body(&event.payload);
    Ok(WebhookPage {
        frame: Frame::new(session, "webhooks", format!("Delivery {}", event.seq))
            .crumb("/webhooks", "Deliveries"),
        alert: failed.map(|error| error.to_string()).unwrap_or_default(),
        can_replay: event.verified && event.processed && !event.payload.is_empty(),
        replay_of: event.replay_of.as_ref().map(Id::to_string).unwrap_or_default(),
        delivery: event.delivery_id.clone().unwrap_or_default(),
        outcomes: event.outcomes.clone(),
        signature: match event.matched_secret {
            _ if event.origin == Origin::Start => "none: found on the git server when this server started",
            _ if event.origin == Origin::Poll => "none: found by looking at the git server",
            Some(MatchedSecret::Current) => "verified with the current secret",
            Some(MatchedSecret::Previous) => "verified with the secret before the current one",
            Some(MatchedSecret::Global) => "verified with the server's own secret",
            None if event.verified => "verified",
            None => "not verified",
        },
        processed: event.processed_at.map(When::new),
        deployment,
        headers: event.headers.clone(),
        body,
        cut,
        row: EventRow::new(event, &stack),
    })
}

/// JSON is laid out; anything else is shown as it came.
fn body(payload: &[u8]) -> (String, bool) {
    let mut text = match serde_json::from_slice::<serde_json::Value>(payload) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(payload).into_owned(),
    };
    let cut = text.len() > MAX_BODY;
    if cut {
        let end = (0..=MAX_BODY).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
    (text, cut)
}
