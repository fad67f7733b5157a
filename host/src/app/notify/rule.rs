//! Rules: what a channel is told.

use super::channel::channel_view;
use crate::app::App;
use crate::app::access::{Identity, require};
use crate::domain::Id;
use crate::domain::access::{Role, Subject};
use crate::domain::notify::{Channel, Rule, RulePlan};
use crate::error::{Error, Result};
use crate::store::{self, Conn, notification_channels as channels, projects, stacks};

/// # Errors
/// `Invalid` for a plan that makes no sense, `Forbidden` for one about the installation by somebody else than its
/// administrators.
pub(super) fn check(plan: &RulePlan, who: &Identity) -> Result<()> {
    plan.check()?;
    if plan.installation && !who.rights.is_server_admin() {
        let text = "only an administrator of the installation can have a channel told what happens to it";
        return Err(Error::Forbidden(text.into()));
    }
    Ok(())
}

pub(super) fn new(channel: &Id, stack_id: Option<Id>, plan: RulePlan) -> Rule {
    let now = store::now();
    Rule {
        id: store::new_id(),
        seq: 0,
        channel_id: channel.clone(),
        stack_id,
        plan,
        created_at: now,
        updated_at: now,
    }
}

/// `stack` is a name, number or id of a stack of the channel's team; without one it is about all of them.
pub async fn rule_create(
    app: &App,
    channel: &str,
    stack: Option<&str>,
    plan: RulePlan,
    who: &Identity,
) -> Result<Rule> {
    check(&plan, who)?;
    let channel = channel_view(app, channel).await?;
    let stack_id = stack_of(app, &channel, stack, who).await?;
    let rule = new(&channel.id, stack_id, plan);
    app.db.write(move |tx| Box::pin(async move { channels::rule_insert(tx, rule).await })).await
}

pub async fn rule_update(
    app: &App,
    channel: &str,
    key: &str,
    stack: Option<&str>,
    plan: RulePlan,
    who: &Identity,
) -> Result<Rule> {
    check(&plan, who)?;
    let channel = channel_view(app, channel).await?;
    let old = channels::rule_find(&mut *app.db.read().await?, &channel.id, key).await?;
    let stack_id = stack_of(app, &channel, stack, who).await?;
    let rule = Rule { stack_id, plan, updated_at: store::now(), ..old };
    let changed = rule.clone();
    app.db.write(move |tx| Box::pin(async move { channels::rule_update(tx, &changed).await })).await?;
    Ok(rule)
}

pub async fn rule_list(app: &App, channel: &Id) -> Result<Vec<Rule>> {
    channels::rules_of(&mut *app.db.read().await?, channel).await
}

pub async fn rule_delete(app: &App, channel: &str, key: &str) -> Result<()> {
    let channel = channel_view(app, channel).await?;
    let rule = channels::rule_find(&mut *app.db.read().await?, &channel.id, key).await?;
    app.db.write(move |tx| Box::pin(async move { channels::rule_delete(tx, &rule.id).await })).await
}

async fn stack_of(app: &App, channel: &Channel, stack: Option<&str>, who: &Identity) -> Result<Option<Id>> {
    let Some(key) = stack.filter(|key| !key.is_empty()) else { return Ok(None) };
    require(app, &who.rights, Role::Viewer, Subject::Stack, key).await?;
    let mut conn = app.db.read().await?;
    let stack = stacks::find(&mut conn, key).await?;
    match team_of(&mut conn, &stack.project_id).await? {
        Some(team) if team == channel.team_id => Ok(Some(stack.id)),
        _ => {
            let message =
                format!("stack `{}` belongs to another team than channel `{}`", stack.name, channel.name);
            Err(Error::invalid("stack", message))
        }
    }
}

/// The team that a project belongs to.
pub(super) async fn team_of(conn: &mut Conn, project: &Id) -> Result<Option<Id>> {
    Ok(projects::find_opt(conn, project.as_str()).await?.map(|project| project.team_id))
}
