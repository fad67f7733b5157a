//! What this server does at a stack's forge: the state of it, and the buttons of the webhook.

use axum::extract::{Path, State};

use super::page::PageResult;
use super::session::Session;
use super::stack::{again, to};
use super::stacks::stack_link;
use crate::app::App;
use crate::app::forge::{hook_register, hook_remove};
use crate::app::stack::{StackView, stack_view};
use crate::domain::plugin::Ability;
use crate::error::{Error, Result};

/// How a stack's webhook and its commit statuses stand at the forge.
#[derive(Default)]
pub struct ForgeState {
    /// The webhook is there by this server's doing.
    pub registered: bool,
    /// This server could register it.
    pub possible: bool,
    /// Why the forge does not know the webhook as it is now; empty if it does.
    pub hook_error: String,
    /// Why the forge was not shown the last commit status; empty if it was.
    pub status_error: String,
}

impl ForgeState {
    pub fn of(app: &App, view: &StackView) -> Self {
        let Some(row) = &view.repository else { return Self::default() };
        Self {
            registered: row.hook_id.is_some(),
            possible: row.has_token() && app.plugins.has_ability(&row.provider, Ability::WebhookAdmin),
            hook_error: row.hook_error.clone().unwrap_or_default(),
            status_error: row.commit_status_error.clone().filter(|_| row.commit_status).unwrap_or_default(),
        }
    }
}

pub async fn register(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    let done = hook_register(&app, &name).await.map(|_| ());
    back(&app, &session, &name, done).await
}

pub async fn remove(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    let done = hook_remove(&app, &name).await;
    back(&app, &session, &name, done).await
}

/// The stack's page, with what stands against it.
async fn back(app: &App, session: &Session, name: &str, done: Result<()>) -> PageResult {
    match done {
        Ok(()) => Ok(to(&stack_link(&stack_view(app, name).await?))),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => again(app, session, name, error).await,
    }
}
