//! Protection of stacks: shown and changed here, held to by `rollout::gate` and `approval`.

use super::App;
use super::access::Identity;
use super::stack::changed;
use crate::domain::protection::Protection;
use crate::error::Result;
use crate::store::{self, events, protections, stacks};

/// What the stack asks for; nothing if it never was told to.
pub async fn protection_view(app: &App, stack: &str) -> Result<Protection> {
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, stack).await?;
    Ok(protections::find_opt(&mut conn, &stack.id).await?.unwrap_or_default())
}

/// All that its deployments wait for: its own protection, and its parent's if it is a preview that that one covers.
pub async fn protection_in_force(app: &App, stack: &str) -> Result<Vec<Protection>> {
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, stack).await?;
    protections::in_force(&mut conn, &stack.id).await
}

/// Replaces it. What asks for nothing is no protection. A deployment that waits hears of it within seconds.
///
/// # Errors
/// `Invalid` for what makes no sense.
pub async fn protection_put(app: &App, stack: &str, new: Protection, who: &Identity) -> Result<Protection> {
    new.check()?;
    let (key, by) = (stack.to_owned(), who.user.name.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let stack = stacks::find(tx, &key).await?;
                if new == Protection::default() {
                    protections::delete(tx, &stack.id).await?;
                } else {
                    protections::put(tx, &stack.id, &new, &by, store::now()).await?;
                }
                events::append(tx, changed(&stack.id, "protection")).await?;
                Ok(new)
            })
        })
        .await
}
