//! Whose account the time that plugins take is on: one team, or one person, cannot use up what others need.

use super::App;
use crate::domain::access::Owner;
use crate::domain::task::Task;
use crate::error::Result;
use crate::plugins::charged;
use crate::store::{owners, teams};

/// A request is on the account of the person whom `Auth` finds out; what nobody vouches for is on the server's own.
pub async fn for_request<T>(work: impl Future<Output = T>) -> T {
    charged(None, work).await
}

/// A task is on the account of the team whose thing it is about; what is the installation's is on the server's own.
pub async fn for_task<T>(app: &App, task: &Task, work: impl Future<Output = T>) -> Result<T> {
    let mut conn = app.db.read().await?;
    let team = match owners::of_task(&mut conn, task).await? {
        Some(Owner::Team { team, .. }) => teams::find_opt(&mut conn, team.as_str()).await?,
        _ => None,
    };
    drop(conn);
    Ok(charged(team.map(|team| format!("team `{}`", team.name)), work).await)
}
