//! How looking for pushes goes, and the button that looks now.

use axum::extract::{Path, State};

use super::page::PageResult;
use super::session::Session;
use super::stack::{again, to};
use super::stacks::stack_link;
use super::ui::When;
use crate::app::App;
use crate::app::look::look_now;
use crate::app::stack::StackView;
use crate::error::Error;

/// The state of the looks at a stack's git server.
pub struct LookState {
    /// Seconds between two looks; none unless the stack is polled.
    pub interval: Option<u64>,
    pub looked: Option<When>,
    pub next: Option<When>,
    pub failures: i64,
    /// Of the last look; empty if it went well.
    pub error: String,
}

impl LookState {
    pub fn of(app: &App, view: &StackView) -> Option<Self> {
        let row = view.repository.as_ref()?;
        let look = view.look.as_ref();
        Some(Self {
            interval: row.auto_sync.then_some(app.config.polling.interval_secs),
            looked: look.and_then(|look| look.looked_at).map(When::new),
            next: look.and_then(|look| look.next_at).map(When::new),
            failures: look.map_or(0, |look| look.failures),
            error: look.and_then(|look| look.error.clone()).unwrap_or_default(),
        })
    }
}

pub async fn sync(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    match look_now(&app, &name).await {
        Ok(view) => Ok(to(&stack_link(&view))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => again(&app, &session, &name, error).await,
    }
}
