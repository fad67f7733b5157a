//! The task that takes a build a step further.

use std::time::Duration;

use super::job::{job_and_provider, make};
use super::successor::{self, Patience};
use super::{apply, build, health, log, target};
use crate::app::App;
use crate::app::deployment::deployment_view;
use crate::app::gate::{Gate, gate_look, gate_tell};
use crate::app::logs::{LogKind, log_keep_after_task};
use crate::domain::Id;
use crate::domain::ci::{CiBuild, CiStatus, CiTrigger};
use crate::domain::cicd::{CicdBuild, CicdJob, CicdProvider, Start, Step, next_step, poll_after_ms, values};
use crate::domain::recording::Subject;
use crate::error::{Disposition, Error, PluginErrorKind, Result};
use crate::plugins::{Target, with_subject};
use crate::queue::{Done, TaskContext};
use crate::store::{self, ci_builds, cicd_jobs, deployments, events};

/// Steps that are taken without a pause.
const STEPS: usize = 8;
/// How long the rest of the log of a build that has ended is waited for, in milliseconds.
const LOG_PATIENCE_MS: i64 = 60_000;

/// Between two looks at a protection that does not let a build begin.
const HELD: Duration = Duration::from_secs(2);

/// What comes after a step.
enum Next {
    Again,
    Wait(i64),
    /// The stack's protection does not let it begin.
    Held,
    Done,
}

struct Work<'a> {
    app: &'a App,
    build: CicdBuild,
    job: CicdJob,
    provider: CicdProvider,
}

pub async fn ci_build_run(app: &App, context: &TaskContext, id: &Id) -> Result<Done> {
    // It only ever waits for the provider.
    let _aside = context.step_aside();
    for _ in 0..STEPS {
        let began = store::now();
        let build = build::build_view(app, id.as_str()).await?;
        let (job, provider) = job_and_provider(app, &build.job_id).await?;
        let subject = build.deployment_id.as_ref().map_or_else(|| Subject::build(id), Subject::deployment);
        let work = Work { app, build, job, provider };
        match with_subject(subject, work.step()).await? {
            Next::Again => {}
            Next::Done => {
                app.ci_logs.close(id);
                log_keep_after_task(app, LogKind::Ci, id).await;
                return Ok(Done::Finished);
            }
            Next::Held => return Ok(Done::Snooze(HELD)),
            Next::Wait(ms) => {
                let build = build::build_view(app, id.as_str()).await?;
                let ms = match successor::consider(app, &build, &work.job, &work.provider).await? {
                    Patience::Over => continue,
                    Patience::Wait(left) => left.map_or(ms, |left| ms.min(left)),
                };
                // Whoever had news meanwhile found nothing to wake up.
                let hinted = build.hinted_at.is_some_and(|at| at >= began);
                let ms = if hinted { ms.min(250) } else { ms };
                return Ok(Done::Snooze(Duration::from_millis(ms.max(0).unsigned_abs())));
            }
        }
    }
    Ok(Done::Snooze(Duration::from_millis(250)))
}

impl Work<'_> {
    async fn step(&self) -> Result<Next> {
        if self.build.settled_at.is_some() {
            return Ok(Next::Done);
        }
        if self.is_held().await? {
            return Ok(Next::Held);
        }
        let manifest = self.app.plugins.inspect(&self.provider.kind).ok().and_then(|status| status.info);
        let keyed = manifest.is_some_and(|info| info.manifest.keyed_trigger);
        let step = next_step(&self.build, self.job.made_at.is_some(), keyed, store::now());
        match step {
            Step::Done => Ok(Next::Done),
            Step::CancelUnstarted => self.end(CiStatus::Cancelled, "cancelled before it was started").await,
            Step::Expire => self.expire().await,
            Step::LetGo => {
                let why = format!(
                    "it had not ended after {} s, and is not followed any more",
                    self.build.timeout_secs
                );
                self.end(CiStatus::Unknown, &why).await
            }
            Step::GiveUpUncertain => {
                let why = "the request that starts the build may have got through, and the provider cannot tell; it is not \
                           sent again, so that there are not two. Look at the provider whether it runs, and deploy again if \
                           it does not";
                self.end(CiStatus::Failure, why).await
            }
            _ if !self.provider.is_active => {
                let why = Error::conflict("it is switched off (is_active)");
                self.trouble(&why).await
            }
            Step::MakeJob | Step::Start | Step::Cancel | Step::Follow => {
                match target(self.app, &self.provider) {
                    Ok(target) => self.ask(step, keyed, &target).await,
                    Err(error) => self.trouble(&error).await,
                }
            }
        }
    }

    /// Whether the protection of the stack that it deploys does not let it begin. Its time does not run meanwhile; one that is
    /// never going to begin is cancelled.
    async fn is_held(&self) -> Result<bool> {
        let Some(deployment) = &self.build.deployment_id else { return Ok(false) };
        if self.build.start != Start::None || self.build.cancel_requested || self.build.status.is_final() {
            return Ok(false);
        }
        let row = deployment_view(self.app, deployment.as_str()).await?;
        let (id, now) = (self.build.id.clone(), store::now());
        match gate_look(self.app, &row).await? {
            Gate::Open => return Ok(false),
            Gate::Shut(obstacle) => {
                if gate_tell(self.app, &row, &obstacle).await? {
                    log::say(self.app, &self.build, &format!("waiting: {obstacle}"));
                }
                let deadline = now + self.build.timeout_secs * 1000;
                let delay = self
                    .app
                    .db
                    .write(move |tx| Box::pin(async move { ci_builds::delay(tx, &id, deadline).await }));
                delay.await?;
            }
            Gate::Refused(why) => {
                log::say(self.app, &self.build, &why);
                let refuse = self.app.db.write(move |tx| {
                    Box::pin(async move {
                        ci_builds::request_cancel(tx, &id, now, now).await?;
                        apply::end(tx, &id, CiStatus::Cancelled, &why).await.map(|_| ())
                    })
                });
                refuse.await?;
            }
        }
        Ok(true)
    }

    async fn ask(&self, step: Step, keyed: bool, target: &Target) -> Result<Next> {
        match step {
            Step::MakeJob => self.make_job().await,
            Step::Start => self.start(target, keyed).await,
            Step::Cancel => self.cancel(target).await,
            _ => self.follow(target).await,
        }
    }

    async fn make_job(&self) -> Result<Next> {
        let said = match make(self.app, &self.provider, &self.job.spec).await {
            Ok(said) => said,
            Err(error) if is_worth_waiting(&error) => return self.trouble(&error).await,
            Err(error) => {
                return self.end(CiStatus::Failure, &format!("the job could not be made: {error}")).await;
            }
        };
        tracing::info!("[@service:cicd:job] job {} is made at provider {}", said.id, self.provider.name);
        let job = self.job.clone();
        let make = self.app.db.write(move |tx| {
            Box::pin(async move { cicd_jobs::made(tx, &job, &said, store::now()).await.map(|_| ()) })
        });
        make.await.map(|()| Next::Again)
    }

    async fn start(&self, target: &Target, keyed: bool) -> Result<Next> {
        let parameters = match values("parameters", &self.build.parameters) {
            Ok(parameters) => parameters,
            Err(error) => return self.end(CiStatus::Failure, &error.to_string()).await,
        };
        self.set_start(Start::Sent).await?;
        crate::app::crash::point("ci: before a build is started");
        let trigger = CiTrigger {
            ref_name: self.build.ref_name.clone(),
            parameters,
            idempotency_key: self.build.id.to_string(),
        };
        let (kind, job) = (&self.provider.kind, &self.job.external_id);
        let answer = self.app.plugins.provider_trigger(kind, target, job, &trigger).await;
        let error = match answer {
            Ok(said) => {
                crate::app::crash::point("ci: after a build was started");
                let page = said.url.as_deref().unwrap_or("no page yet");
                tracing::info!(
                    "[@service:cicd:build] build {} of job {job} is started: {page}",
                    self.build.seq
                );
                log::say(self.app, &self.build, &format!("{} has the build: {page}", self.provider.name));
                self.learn(&said).await?;
                return Ok(Next::Wait(said.poll_after_secs.map_or(500, |secs| i64::from(secs) * 1000)));
            }
            Err(error) => error,
        };
        if !may_have_got_through(&error) {
            self.set_start(Start::None).await?;
            return match is_worth_waiting(&error) {
                true => self.trouble(&error).await,
                false => self.end(CiStatus::Failure, &format!("the build was not started: {error}")).await,
            };
        }
        if keyed && is_worth_waiting(&error) {
            return self.trouble(&error).await;
        }
        let why = format!(
            "the build may have been started, but the provider's answer does not tell: {error}. It is not started again, so \
             that there are not two; look at the provider whether it runs"
        );
        self.end(CiStatus::Failure, &why).await
    }

    async fn set_start(&self, start: Start) -> Result<()> {
        let id = self.build.id.clone();
        let set = self.app.db.write(move |tx| {
            Box::pin(async move {
                let build = ci_builds::hold(tx, &id).await?;
                // What a report has told meanwhile is known better.
                if build.start == Start::Known {
                    return Ok(());
                }
                ci_builds::update(tx, &CicdBuild { start, ..build }).await
            })
        });
        set.await
    }

    async fn cancel(&self, target: &Target) -> Result<Next> {
        let (kind, job) = (&self.provider.kind, self.job.external_id.as_str());
        let external = self.build.external_id.as_deref().unwrap_or_default();
        if let Err(error) = self.app.plugins.provider_cancel(kind, target, job, external).await {
            if !is_worth_waiting(&error) {
                let why = format!("the provider does not stop the build: {error}");
                // One that is moved is ignored from now on; it has not begun.
                let is_moved = self.build.failover.is_some();
                return self.end(if is_moved { CiStatus::Cancelled } else { CiStatus::Failure }, &why).await;
            }
            self.trouble(&error).await?;
            return Ok(Next::Wait(1000));
        }
        log::say(self.app, &self.build, "asked the provider to stop");
        // Its status says whether it has.
        match self.follow(target).await? {
            Next::Wait(ms) => Ok(Next::Wait(ms.min(2000))),
            other => Ok(other),
        }
    }

    /// Asks how the build is, and for its log.
    async fn follow(&self, target: &Target) -> Result<Next> {
        let (kind, job) = (&self.provider.kind, self.job.external_id.as_str());
        let mut build = self.build.clone();
        let mut asked = None;
        if !build.status.is_final() {
            let external = build.external_id.as_deref().unwrap_or_default();
            match self.app.plugins.provider_build_status(kind, target, job, external).await {
                Ok(said) => {
                    asked = said.poll_after_secs;
                    build = self.learn(&said).await?;
                }
                Err(error) if is_worth_waiting(&error) => return self.trouble(&error).await,
                Err(error) => {
                    let why = format!("the provider does not know the build any more: {error}");
                    return self.end(CiStatus::Failure, &why).await;
                }
            }
        }
        let pulled = match build.log_complete {
            true => Ok(true),
            false => log::pull(self.app, kind, target, job, &build).await,
        };
        let build = build::build_view(self.app, build.id.as_str()).await?;
        let now = store::now();
        let quiet = now - build.updated_at;
        if build.status.is_final() {
            let is_gone = matches!(&pulled, Err(error) if !is_worth_waiting(error));
            let is_late = quiet > LOG_PATIENCE_MS;
            if build.log_complete || is_gone || is_late {
                return self.settle(&build, pulled.err()).await;
            }
            return Ok(Next::Wait(if matches!(pulled, Ok(false)) { 0 } else { 1000 }));
        }
        match pulled {
            Ok(false) => Ok(Next::Wait(0)),
            // A log that cannot be read does not keep the build from being followed.
            _ => {
                let wait = poll_after_ms(asked, quiet);
                let left = (build.deadline_at - now).max(500);
                Ok(Next::Wait(self.app.ci_budgets.stretched(&self.provider.id, wait).min(left.max(wait))))
            }
        }
    }

    async fn learn(&self, said: &CiBuild) -> Result<CicdBuild> {
        // Most looks at a build tell nothing new, and what says nothing need not be written.
        if !self.build.clone().learn(said) && self.build.trouble.is_none() {
            return Ok(self.build.clone());
        }
        let (id, said) = (self.build.id.clone(), said.clone());
        self.app.db.write(move |tx| Box::pin(async move { apply::learn(tx, &id, &said).await })).await
    }

    /// Nothing more is to be done.
    async fn settle(&self, build: &CicdBuild, lacking: Option<Error>) -> Result<Next> {
        if let Some(error) = lacking {
            log::say(self.app, build, &format!("the rest of the log cannot be read: {error}"));
        }
        log::say(self.app, build, &format!("the build ended: {}", build.status.as_str()));
        self.app.ci_logs.close(&build.id);
        self.app.metrics.ci_build_finished(&self.provider.kind, build.status);
        let id = build.id.clone();
        let settle = self.app.db.write(move |tx| {
            Box::pin(async move {
                let build = ci_builds::hold(tx, &id).await?;
                let settled_at = Some(store::now());
                let build = CicdBuild { settled_at, trouble: None, trouble_since: None, ..build };
                ci_builds::update(tx, &build).await?;
                events::append(tx, apply::status(&build)).await.map(|_| ())
            })
        });
        settle.await.map(|()| Next::Done)
    }

    async fn expire(&self) -> Result<Next> {
        let trouble = self.build.trouble.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        if self.build.cancel_requested {
            let why = format!("cancelled, but the provider has not confirmed that it stopped{trouble}");
            return self.end(CiStatus::Cancelled, &why).await;
        }
        let seconds = self.build.timeout_secs;
        self.end(CiStatus::Failure, &format!("it did not end within {seconds} s{trouble}")).await
    }

    async fn end(&self, status: CiStatus, why: &str) -> Result<Next> {
        tracing::info!("[@service:cicd:build] build {} of job {}: {why}", self.build.seq, self.job.name);
        log::say(self.app, &self.build, why);
        self.app.ci_logs.close(&self.build.id);
        let (id, text) = (self.build.id.clone(), why.to_owned());
        let end =
            self.app.db.write(move |tx| Box::pin(async move { apply::end(tx, &id, status, &text).await }));
        self.app.metrics.ci_build_finished(&self.provider.kind, end.await?.status);
        Ok(Next::Done)
    }

    /// The provider is not well: everything stays as it is, and it is asked again, the longer it lasts the seldomer.
    async fn trouble(&self, error: &Error) -> Result<Next> {
        health::note_trouble(self.app, &self.provider, error).await?;
        let now = store::now();
        let since = self.build.trouble_since.unwrap_or(now);
        let (build, text) = (self.build.clone(), error.to_string());
        let label = format!("Provider {} is degraded: {text}", self.provider.name);
        let note = self.app.db.write(move |tx| {
            Box::pin(async move {
                ci_builds::set_trouble(tx, &build.id, Some(&text), now).await?;
                if let Some(deployment) = &build.deployment_id {
                    deployments::set_label(tx, deployment, &label).await?;
                }
                if build.trouble.is_none() {
                    events::append(tx, apply::status(&build)).await?;
                }
                Ok(())
            })
        });
        note.await?;
        let asked = match error {
            Error::Plugin(error) => match &error.kind {
                PluginErrorKind::Failure { disposition, .. } => {
                    disposition.retry_after_secs().map(|secs| i64::from(secs) * 1000)
                }
                kind => kind.pause_ms().and_then(|ms| i64::try_from(ms).ok()),
            },
            _ => None,
        };
        let backoff = ((now - since) / 4).clamp(500, 60_000);
        let left = (self.build.deadline_at - now).max(500);
        Ok(Next::Wait(asked.unwrap_or(backoff).max(backoff).min(left)))
    }
}

/// Whether the provider may do it another time, or once a person has seen to the credential.
fn is_worth_waiting(error: &Error) -> bool {
    match error {
        Error::Plugin(plugin) => match &plugin.kind {
            PluginErrorKind::Failure { disposition, .. } => {
                disposition.is_retryable() || *disposition == Disposition::AuthRequired
            }
            _ => true,
        },
        Error::Unavailable(_) | Error::Timeout { .. } | Error::Internal(_) => true,
        _ => false,
    }
}

/// Whether the request that starts a build may have reached the provider. What was never called has sent nothing; what was
/// called and has not told counts as sent.
fn may_have_got_through(error: &Error) -> bool {
    match error {
        Error::Plugin(plugin) => match &plugin.kind {
            PluginErrorKind::Failure { request_sent, .. } => *request_sent,
            kind => kind.is_fault(),
        },
        Error::Internal(_) => true,
        _ => false,
    }
}
