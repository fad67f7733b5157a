//! The outbox, as readers see it: as it grows, and what is kept of the past.

use super::App;
use super::access::{Identity, require};
use super::deployment::deployment_view;
use crate::domain::Id;
use crate::domain::access::{Reach, Role, Subject};
use crate::domain::event::{Event, EventKind, PastEvent};
use crate::domain::page::{Page, PageRequest};
use crate::error::{Error, Result};
use crate::store::events::{self, EventFilter};
use crate::store::stacks;

/// Rows a reader gets at once.
const BATCH: i64 = 200;

pub async fn latest_seq(app: &App) -> Result<i64> {
    let mut conn = app.db.read().await?;
    events::latest_seq(&mut conn).await
}

pub async fn list_after(app: &App, cursor: i64, stack_id: Option<&Id>, reach: &Reach) -> Result<Vec<Event>> {
    let mut conn = app.db.read().await?;
    events::list_after(&mut conn, cursor, BATCH, stack_id, reach).await
}

/// What a list of past events is narrowed to, in the caller's words; nothing, or an empty text, for all.
#[derive(Debug, Clone, Default)]
pub struct EventChoice {
    /// Id, number or name.
    pub stack: Option<String>,
    /// Id or number.
    pub deployment: Option<String>,
    pub kind: Option<String>,
}

/// Past events that the caller may see, newest first, as long as `retention` keeps them.
///
/// # Errors
/// `NotFound` for a stack or deployment that is not theirs to see, `Invalid` for a kind that there is not, and for a deployment
/// of another stack.
pub async fn event_list(
    app: &App,
    who: &Identity,
    choice: &EventChoice,
    page: PageRequest,
) -> Result<Page<PastEvent>> {
    let named = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut filter = EventFilter { kind: kind(choice.kind.as_deref())?, ..EventFilter::default() };
    if let Some(key) = named(&choice.stack) {
        require(app, &who.rights, Role::Viewer, Subject::Stack, &key).await?;
        filter.stack = Some(stacks::find(&mut *app.db.read().await?, &key).await?.id);
    }
    if let Some(key) = named(&choice.deployment) {
        require(app, &who.rights, Role::Viewer, Subject::Deployment, &key).await?;
        let row = deployment_view(app, &key).await?;
        if filter.stack.as_ref().is_some_and(|stack| *stack != row.stack_id) {
            let text = format!("deployment {} is one of another stack", row.seq);
            return Err(Error::invalid("deployment", text));
        }
        filter.stack = Some(row.stack_id);
        filter.subjects = [Some(row.id), row.build_id].into_iter().flatten().collect();
    }
    events::list(&mut *app.db.read().await?, page, &filter, &who.reach()).await
}

fn kind(word: Option<&str>) -> Result<Option<EventKind>> {
    let Some(word) = word.filter(|word| !word.is_empty()) else { return Ok(None) };
    EventKind::parse(word).map(Some).ok_or_else(|| {
        let all: Vec<&str> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        let text = format!("`{}` is no kind of event; there are {}", word.escape_debug(), all.join(", "));
        Error::invalid("kind", text)
    })
}
