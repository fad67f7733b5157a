//! What a stored event leads to.

use bytes::Bytes;

use super::matching;
use super::news::{self, Answers};
use crate::app::App;
use crate::app::deployment::{self, Caller, Entered, NewDeployment, Prepared};
use crate::app::preview;
use crate::domain::Id;
use crate::domain::access::{self, Owner};
use crate::domain::build_config::BuildConfig;
use crate::domain::deployment::TriggerType;
use crate::domain::event::{EventKind, NewEvent};
use crate::domain::head::News;
use crate::domain::push_rules::PushRules;
use crate::domain::recording::Subject;
use crate::domain::repository::{GitRepository, normalized_url};
use crate::domain::webhook::{ForgeEvent, Origin, Push, ReasonCode, RefChange, StackOutcome, WebhookEvent};
use crate::error::{Error, PluginErrorKind, Result};
use crate::plugins::with_subject;
use crate::store::webhook_events::{self, Finish};
use crate::store::{self, Conn, Tx, build_configs, events, owners, repositories, stacks};

/// What one change of a push means for one stack: a deployment, or the reason against it.
#[derive(Clone)]
pub(super) struct Verdict {
    stack: String,
    stack_id: Id,
    pub repository_id: Id,
    pub change: RefChange,
    plan: std::result::Result<Box<Prepared>, (ReasonCode, String)>,
}

/// Reads a stored event and acts on it. Ends with exactly one reason code; doing it twice changes nothing.
pub async fn webhook_process(app: &App, event_id: &Id) -> Result<()> {
    let mut conn = app.db.read().await?;
    let event = webhook_events::find(&mut conn, event_id.as_str()).await?;
    drop(conn);
    if event.processed {
        return Ok(());
    }
    if event.origin != Origin::Delivery {
        let push: Push = serde_json::from_slice(&event.payload).map_err(Error::internal)?;
        return act_on_push(app, &event, &push).await;
    }
    let subject = Subject::webhook_event(&event.id);
    let (headers, body) = (event.headers.clone(), Bytes::from(event.payload.clone()));
    let parsed = with_subject(subject, app.plugins.forge_parse(&event.provider, headers, body)).await;
    let is_hint = parsed.is_ok() && preview::preview_hint(app, event.repository_id.as_ref()).await?;
    match parsed {
        Ok(ForgeEvent::Ping) => {
            finish(app, &event, ReasonCode::Ping, "the forge tested the connection").await
        }
        Ok(ForgeEvent::Unsupported(name)) => {
            let meaning = if is_hint {
                "make the stack's previews look at the forge"
            } else {
                "are of no consequence here"
            };
            let detail = format!("`{}` events {meaning}", name.escape_debug());
            finish(app, &event, ReasonCode::UnsupportedEvent, &detail).await
        }
        Ok(ForgeEvent::Push(push)) => act_on_push(app, &event, &push).await,
        Err(Error::Plugin(error)) => {
            let reason = match error.kind {
                _ if error.kind.is_retryable() || error.kind.pause_ms().is_some() => {
                    return Err(Error::Plugin(error));
                }
                PluginErrorKind::Failure { .. } => ReasonCode::Malformed,
                _ => ReasonCode::PluginFailed,
            };
            finish(app, &event, reason, &error.to_string()).await
        }
        Err(error) => Err(error),
    }
}

async fn act_on_push(app: &App, event: &WebhookEvent, push: &Push) -> Result<()> {
    let rows = concerned(app, event, push).await?;
    if rows.is_empty() {
        let detail = format!(
            "no stack uses {}; its URLs are {}",
            push.repository.full_name.escape_debug(),
            push.repository.urls.join(", ")
        );
        return finish(app, event, ReasonCode::NoMapping, &detail).await;
    }
    let mut verdicts = Vec::new();
    for row in &rows {
        verdicts.extend(judged(app, event, row, push).await?);
    }
    if verdicts.is_empty() {
        let detail = "the push changes no branch and no tag";
        return finish(app, event, ReasonCode::UnsupportedEvent, detail).await;
    }
    let mut reason = settle(app, event, &verdicts, Answers::new()).await?;
    if reason.is_none() {
        // Once asked, every branch has an answer.
        reason = settle(app, event, &verdicts, news::ask(app, &rows, &verdicts).await).await?;
    }
    let reason = reason.ok_or_else(|| Error::internal("a git server was asked in vain"))?;
    app.metrics.webhook_processed(reason);
    Ok(())
}

/// The stacks that a push is about. A delivery that proves one stack's secret is for all stacks of its team that use its
/// repository, since the secret of one team proves nothing to another; what a look has found is for the stack that was looked
/// for.
async fn concerned(app: &App, event: &WebhookEvent, push: &Push) -> Result<Vec<GitRepository>> {
    let Some(id) = &event.repository_id else { return matching(app, &event.provider, push).await };
    let mut conn = app.db.read().await?;
    let own = repositories::find(&mut conn, id).await?;
    let mut rows = vec![own.clone()];
    if event.origin == Origin::Delivery {
        // What was pushed is the same for all of them.
        let same = repositories::list_by_url(&mut conn, &own.provider, &normalized_url(&own.url)).await?;
        let team = team_of(&mut conn, &own).await?;
        for row in same.into_iter().filter(|row| row.id != own.id) {
            if team_of(&mut conn, &row).await? == team {
                rows.push(row);
            }
        }
    }
    Ok(rows)
}

async fn team_of(conn: &mut Conn, row: &GitRepository) -> Result<Option<Id>> {
    Ok(match owners::owner(conn, access::Subject::Stack, row.stack_id.as_str()).await? {
        Some(Owner::Team { team, .. }) => Some(team),
        _ => None,
    })
}

/// What each change of the push means for one repository's stack.
async fn judged(app: &App, event: &WebhookEvent, row: &GitRepository, push: &Push) -> Result<Vec<Verdict>> {
    let mut conn = app.db.read().await?;
    let Some(config) = build_configs::by_stack(&mut conn, &row.stack_id).await? else {
        return Ok(Vec::new());
    };
    let settings = &config.settings;
    let stack = stacks::find(&mut conn, row.stack_id.as_str()).await?;
    drop(conn);
    let rules = PushRules::new(settings, &row.branch);
    let judge = |change: &RefChange| {
        let against = match &rules {
            Ok(rules) => rules.reason_not_to_deploy(change),
            Err(error) => Some((ReasonCode::BranchMismatch, error.to_string())),
        };
        let plan = match against {
            None => {
                let new = new_deployment(row, &config, change, (event, push));
                Ok(Box::new(deployment::prepare(app, &stack, new)))
            }
            Some(reason) => Err(reason),
        };
        let (stack, stack_id) = (stack.name.clone(), stack.id.clone());
        Verdict { stack, stack_id, repository_id: row.id.clone(), change: change.clone(), plan }
    };
    Ok(push.changes.iter().map(judge).collect())
}

/// Carries the verdicts out and ends the event, all in one transaction. `None`, with nothing done, if a git server has to
/// be asked first.
async fn settle(
    app: &App,
    event: &WebhookEvent,
    verdicts: &[Verdict],
    answers: Answers,
) -> Result<Option<ReasonCode>> {
    let (event, verdicts) = (event.clone(), verdicts.to_vec());
    let work = app.db.write(move |tx| {
        Box::pin(async move {
            hold(tx, &verdicts).await?;
            let mut news = Vec::with_capacity(verdicts.len());
            for verdict in &verdicts {
                let judged = news::judge(tx, &event, verdict, &answers).await?;
                if judged == News::Ask && verdict.plan.is_ok() {
                    return Ok(None);
                }
                news.push(judged);
            }
            let mut outcomes = Vec::with_capacity(verdicts.len());
            let mut superseded = 0;
            for (verdict, news) in verdicts.iter().zip(news) {
                if news == News::Yes {
                    news::remember(tx, &event, verdict).await?;
                }
                outcomes.push(carry_out(tx, &event, verdict, news, &mut superseded).await?);
            }
            let finish = summary(outcomes, superseded);
            webhook_events::finish(tx, &event.id, &finish, store::now()).await?;
            let stack_id = verdicts.first().map(|verdict| verdict.stack_id.clone());
            events::append(tx, processed(&event.id, stack_id, finish.reason)).await?;
            Ok(Some(finish.reason))
        })
    });
    work.await
}

/// Keeps the stacks that may be deployed until the transaction ends. Always in the same order, so that two deliveries
/// never wait for each other.
async fn hold(tx: &mut Tx, verdicts: &[Verdict]) -> Result<()> {
    let wanted = verdicts.iter().filter(|verdict| verdict.plan.is_ok());
    let mut ids: Vec<&Id> = wanted.map(|verdict| &verdict.stack_id).collect();
    ids.sort();
    ids.dedup();
    for id in ids {
        stacks::hold(tx, id).await?;
    }
    Ok(())
}

async fn carry_out(
    tx: &mut Tx,
    event: &WebhookEvent,
    verdict: &Verdict,
    news: News,
    superseded: &mut usize,
) -> Result<StackOutcome> {
    let mut deployment_id = None;
    let (reason, detail) = match (&verdict.plan, news) {
        (Err(reason), _) => reason.clone(),
        (Ok(_), News::Told) => {
            (ReasonCode::DuplicateOf, "this push was told before, by another way".to_owned())
        }
        (Ok(_), News::Stale | News::Ask) => {
            (ReasonCode::Superseded, "the git server has another commit of this branch by now".to_owned())
        }
        (Ok(prepared), News::Yes) => match deployment::enter(tx, prepared, event.seq).await? {
            Entered::Started { superseded: count } => {
                *superseded += count;
                deployment_id = Some(prepared.deployment_id().clone());
                (ReasonCode::Deployed, "started a deployment".to_owned())
            }
            Entered::Waiting { deployment } => {
                (ReasonCode::DuplicateOf, format!("deployment {deployment} brings out this commit already"))
            }
            Entered::Outrun { deployment } => {
                let detail = format!("deployment {deployment} is of a newer push of this branch");
                (ReasonCode::Superseded, detail)
            }
        },
    };
    let (stack, branch) = (verdict.stack.clone(), verdict.change.name.clone());
    Ok(StackOutcome { stack, branch, reason, detail, deployment_id })
}

/// The one reason of an event: that it deployed something, else why what was wanted did not start, else why the first
/// stack does not want it.
fn summary(outcomes: Vec<StackOutcome>, superseded: usize) -> Finish {
    let started = outcomes.iter().filter(|one| one.reason == ReasonCode::Deployed).count();
    let held_up =
        outcomes.iter().find(|one| matches!(one.reason, ReasonCode::DuplicateOf | ReasonCode::Superseded));
    let (reason, detail) = match (started, held_up.or(outcomes.first())) {
        (0, Some(outcome)) => (outcome.reason, outcome.detail.clone()),
        (_, _) if superseded > 0 => (
            ReasonCode::Deployed,
            format!(
                "started {started} deployment(s); {superseded} that waited for an older push will not be built"
            ),
        ),
        (_, _) => (ReasonCode::Deployed, format!("started {started} deployment(s)")),
    };
    let deployment_id = outcomes.iter().find_map(|outcome| outcome.deployment_id.clone());
    let outcomes = if outcomes.len() > 1 { outcomes } else { Vec::new() };
    Finish { reason, detail: Some(detail), deployment_id, error: None, outcomes }
}

fn new_deployment(
    row: &GitRepository,
    config: &BuildConfig,
    change: &RefChange,
    (event, push): (&WebhookEvent, &Push),
) -> NewDeployment {
    let head = change.head.as_ref();
    let (trigger, reason) = match event.origin {
        Origin::Delivery => (TriggerType::Webhook, None),
        Origin::Start => (TriggerType::Webhook, Some("pushed while the server did not run")),
        Origin::Poll => (TriggerType::Scheduled, Some("found by looking at the git server")),
    };
    NewDeployment {
        repository: row.clone(),
        config: config.clone(),
        git_ref: change.name.clone(),
        branch: change.name.clone(),
        tag: change.tag().map(str::to_owned),
        commit_sha: change.commit().unwrap_or_default().to_owned(),
        commit_message: head.map(|commit| commit.message.clone()),
        commit_author: head.map(|commit| commit.author.clone()),
        caller: Caller {
            trigger,
            user: Some(push.sender.clone()).filter(|sender| !sender.is_empty()),
            user_id: None,
        },
        reason: reason.map(str::to_owned),
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
                let finish =
                    Finish { reason, detail: Some(detail), deployment_id: None, error, outcomes: Vec::new() };
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
