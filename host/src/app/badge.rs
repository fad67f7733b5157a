//! Badges: a stack's state for those who know a key, who need no log-in. A stack has none until somebody with a role in it
//! makes one; the key is random and says nothing about the stack.

use super::App;
use super::stack::changed;
use super::vault::random;
use crate::domain::Id;
use crate::domain::badge::{Project, cctray, svg};
use crate::domain::deployment::DeploymentStatus;
use crate::error::{Error, Result};
use crate::store::{self, Conn, badges, deployments, events, stacks};

/// Where a stack's badge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadgeView {
    /// The picture's path on this server.
    pub svg_path: String,
    /// The picture; `?branch=` narrows it.
    pub svg: String,
    /// For cctray and what else reads `cc.xml`.
    pub cctray: String,
}

fn view(app: &App, key: &str) -> BadgeView {
    let (public_url, path) = (app.config.public_url(), format!("/api/badges/{key}"));
    BadgeView {
        svg_path: format!("{path}/status.svg"),
        svg: format!("{public_url}{path}/status.svg"),
        cctray: format!("{public_url}{path}/cc.xml"),
    }
}

/// `None` if the stack shows nothing.
pub async fn badge_view(app: &App, stack: &str) -> Result<Option<BadgeView>> {
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, stack).await?;
    Ok(badges::key_of(&mut conn, &stack.id).await?.map(|key| view(app, &key)))
}

/// Shows the stack's state from now on; a badge that it has stays.
pub async fn badge_create(app: &App, stack: &str) -> Result<BadgeView> {
    let (stack, fresh) = (stack.to_owned(), hex::encode(random::<16>()?));
    let key = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let stack = stacks::find(tx, &stack).await?;
                badges::insert(tx, &stack.id, &fresh, store::now()).await?;
                events::append(tx, changed(&stack.id, "badge")).await?;
                Ok(badges::key_of(tx, &stack.id).await?.unwrap_or(fresh))
            })
        })
        .await?;
    Ok(view(app, &key))
}

/// Shows nothing any more. Another badge will have another key.
pub async fn badge_delete(app: &App, stack: &str) -> Result<()> {
    let stack = stack.to_owned();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let stack = stacks::find(tx, &stack).await?;
                if badges::delete(tx, &stack.id).await? {
                    events::append(tx, changed(&stack.id, "badge")).await?;
                }
                Ok(())
            })
        })
        .await
}

/// The picture of the newest deployment, of that branch if one is given.
///
/// # Errors
/// `NotFound`, in the same words for every key that shows nothing.
pub async fn badge_svg(app: &App, key: &str, branch: Option<&str>) -> Result<String> {
    let mut conn = app.db.read().await?;
    let stack = find(&mut conn, key).await?;
    Ok(svg(deployments::latest_status(&mut conn, &stack, branch).await?))
}

/// The same stack as a document for cctray.
///
/// # Errors
/// `NotFound` as above.
pub async fn badge_cctray(app: &App, key: &str) -> Result<String> {
    let mut conn = app.db.read().await?;
    let id = find(&mut conn, key).await?;
    let stack = stacks::find(&mut conn, id.as_str()).await?;
    let latest: Option<DeploymentStatus> = deployments::latest_status(&mut conn, &id, None).await?;
    let ended = deployments::latest_ended(&mut conn, &id).await?;
    let address = ended.as_ref().map(|row| format!("/deployments/{}", row.seq)).unwrap_or_default();
    let url = format!("{}{address}", app.config.public_url());
    let ended = ended.map(|row| (row.seq, row.status, moment(row.completed_at.unwrap_or(row.started_at))));
    Ok(cctray(&Project { name: &stack.name, latest, ended, web_url: &url }))
}

async fn find(conn: &mut Conn, key: &str) -> Result<Id> {
    let unknown = || Error::not_found("badge", "(of that key)");
    badges::stack_of(conn, key).await?.ok_or_else(unknown)
}

fn moment(at: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(at).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
