//! What a stored delivery leads to.

use bytes::Bytes;

use super::matching;
use crate::app::App;
use crate::app::deployment::{self, Caller, Entered, NewDeployment, Prepared};
use crate::domain::Id;
use crate::domain::build_config::BuildSettings;
use crate::domain::deployment::TriggerType;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::push_rules::PushRules;
use crate::domain::recording::Subject;
use crate::domain::repository::GitRepository;
use crate::domain::webhook::{ForgeEvent, Push, ReasonCode, RefChange, WebhookEvent};
use crate::error::{Error, PluginErrorKind, Result};
use crate::plugins::with_subject;
use crate::store::webhook_events::{self, Finish};
use crate::store::{self, Tx, build_configs, events, repositories, stacks};

/// Reads a stored event and acts on it. Ends with exactly one reason code; doing it twice changes nothing.
pub async fn webhook_process(app: &App, event_id: &Id) -> Result<()> {
    let mut conn = app.db.read().await?;
    let event = webhook_events::find(&mut conn, event_id.as_str()).await?;
    drop(conn);
    if event.processed {
        return Ok(());
    }
    let subject = Subject::webhook_event(&event.id);
    let (headers, body) = (event.headers.clone(), Bytes::from(event.payload.clone()));
    let parsed = with_subject(subject, app.plugins.forge_parse(&event.provider, headers, body)).await;
    match parsed {
        Ok(ForgeEvent::Ping) => {
            finish(app, &event, ReasonCode::Ping, "the forge tested the connection").await
        }
        Ok(ForgeEvent::Unsupported(name)) => {
            let detail = format!("`{}` events are of no consequence here", name.escape_debug());
            finish(app, &event, ReasonCode::UnsupportedEvent, &detail).await
        }
        Ok(ForgeEvent::Push(push)) => act_on_push(app, &event, &push).await,
        Err(Error::Plugin(error)) => {
            let reason = match error.kind {
                PluginErrorKind::Failure { retryable: true, .. } => return Err(Error::Plugin(error)),
                _ if error.kind.pause_ms().is_some() => return Err(Error::Plugin(error)),
                PluginErrorKind::Failure { .. } => ReasonCode::Malformed,
                _ => ReasonCode::PluginFailed,
            };
            finish(app, &event, reason, &error.to_string()).await
        }
        Err(error) => Err(error),
    }
}

async fn act_on_push(app: &App, event: &WebhookEvent, push: &Push) -> Result<()> {
    let rows = match &event.repository_id {
        Some(id) => {
            let mut conn = app.db.read().await?;
            vec![repositories::find(&mut conn, id).await?]
        }
        None => matching(app, &event.provider, push).await?,
    };
    if rows.is_empty() {
        let detail = format!(
            "no stack uses {}; its URLs are {}",
            push.repository.full_name.escape_debug(),
            push.repository.urls.join(", ")
        );
        return finish(app, event, ReasonCode::NoMapping, &detail).await;
    }
    let mut wanted = Vec::new();
    let mut reasons = Vec::new();
    for row in &rows {
        for verdict in judged(app, row, push).await? {
            match verdict {
                Ok(prepared) => wanted.push(prepared),
                Err(reason) => reasons.push(reason),
            }
        }
    }
    if wanted.is_empty() {
        let (reason, detail) = reasons
            .into_iter()
            .next()
            .unwrap_or((ReasonCode::UnsupportedEvent, "the push changes no branch and no tag".into()));
        return finish(app, event, reason, &detail).await;
    }
    let (id, number, stack_id) = (event.id.clone(), event.seq, rows.first().map(|row| row.stack_id.clone()));
    let enter = app.db.write(move |tx| {
        Box::pin(async move {
            let finish = entered(tx, &wanted, number).await?;
            webhook_events::finish(tx, &id, &finish, store::now()).await?;
            events::append(tx, processed(&id, stack_id, finish.reason)).await?;
            Ok(finish.reason)
        })
    });
    let reason = enter.await?;
    app.metrics.webhook_processed(reason);
    Ok(())
}

/// What each change of the push means for one repository's stack: a deployment, or the reason against it.
async fn judged(
    app: &App,
    row: &GitRepository,
    push: &Push,
) -> Result<Vec<std::result::Result<Prepared, (ReasonCode, String)>>> {
    let mut conn = app.db.read().await?;
    let Some(config) = build_configs::by_stack(&mut conn, &row.stack_id).await? else {
        return Ok(Vec::new());
    };
    let settings = config.settings;
    let stack = stacks::find(&mut conn, row.stack_id.as_str()).await?;
    drop(conn);
    let rules = match PushRules::new(&settings, &row.branch) {
        Ok(rules) => rules,
        Err(error) => return Ok(vec![Err((ReasonCode::BranchMismatch, error.to_string()))]),
    };
    let judge = |change: &RefChange| match rules.reason_not_to_deploy(change) {
        None => Ok(deployment::prepare(app, &stack, new_deployment(row, &settings, change, push))),
        Some(reason) => Err(reason),
    };
    Ok(push.changes.iter().map(judge).collect())
}

/// Enters the deployments of the push that is event `number`, and says how the event ends.
async fn entered(tx: &mut Tx, wanted: &[Prepared], number: i64) -> Result<Finish> {
    let (mut started, mut superseded, mut first, mut other) = (0, 0, None, None);
    for prepared in wanted {
        match deployment::enter(tx, prepared, number).await? {
            Entered::Started { superseded: count } => {
                started += 1;
                superseded += count;
                first.get_or_insert_with(|| prepared.deployment_id().clone());
            }
            Entered::Waiting { deployment } => {
                let detail = format!("deployment {deployment} brings out this commit already");
                other.get_or_insert((ReasonCode::DuplicateOf, detail));
            }
            Entered::Outrun { deployment } => {
                let detail = format!("deployment {deployment} is of a newer push of this branch");
                other.get_or_insert((ReasonCode::Superseded, detail));
            }
        }
    }
    let mut detail = format!("started {started} deployment(s)");
    if superseded > 0 {
        detail = format!("{detail}; {superseded} that waited for an older push will not be built");
    }
    // Something is wanted, and each of it either started or has its reason.
    let (reason, detail) = match (started, other) {
        (0, Some(other)) => other,
        _ => (ReasonCode::Deployed, detail),
    };
    Ok(Finish { reason, detail: Some(detail), deployment_id: first, error: None })
}

fn new_deployment(
    row: &GitRepository,
    settings: &BuildSettings,
    change: &RefChange,
    push: &Push,
) -> NewDeployment {
    let head = change.head.as_ref();
    NewDeployment {
        repository: row.clone(),
        settings: settings.clone(),
        git_ref: change.name.clone(),
        branch: change.name.clone(),
        commit_sha: change.after.clone().unwrap_or_default(),
        commit_message: head.map(|commit| commit.message.clone()),
        commit_author: head.map(|commit| commit.author.clone()),
        caller: Caller {
            trigger: TriggerType::Webhook,
            user: Some(push.sender.clone()).filter(|sender| !sender.is_empty()),
        },
        reason: None,
    }
}

async fn finish(app: &App, event: &WebhookEvent, reason: ReasonCode, detail: &str) -> Result<()> {
    // Read here and not in the transaction, which everybody who writes waits for.
    let stack_id = match &event.repository_id {
        Some(id) => {
            let mut conn = app.db.read().await?;
            repositories::find_opt(&mut conn, id).await?.map(|row| row.stack_id)
        }
        None => None,
    };
    let (id, detail) = (event.id.clone(), detail.to_string());
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let error = matches!(reason, ReasonCode::PluginFailed | ReasonCode::Malformed)
                    .then(|| detail.clone());
                let finish = Finish { reason, detail: Some(detail), deployment_id: None, error };
                webhook_events::finish(tx, &id, &finish, store::now()).await?;
                events::append(tx, processed(&id, stack_id, reason)).await?;
                Ok(())
            })
        })
        .await?;
    app.metrics.webhook_processed(reason);
    Ok(())
}

fn processed(id: &Id, stack_id: Option<Id>, reason: ReasonCode) -> NewEvent {
    NewEvent {
        kind: EventKind::WebhookProcessed,
        stack_id,
        subject_id: Some(id.clone()),
        data: serde_json::json!({ "reason": reason.as_str() }),
    }
}
