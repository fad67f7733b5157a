//! What a deployment would do, said before anything is done: what changes, which steps its strategy takes, what serves
//! meanwhile, and whether there is a way back.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use windlass_sdk::testkit::{Before, Forecast, Outlook};

use super::deployment::{deployment_serving, environment_of, rollback_readiness};
use super::stack::{StackView, stack_facts, stack_view, strategy_name};
use super::target::engine;
use super::{App, look, traffic};
use crate::domain::build_config::EnvVar;
use crate::domain::change::{Change, Shape, changes};
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::health::HealthCheck;
use crate::domain::page::PageRequest;
use crate::domain::release::Release;
use crate::domain::rollout::{Effect, JournalEntry, StackFacts};
use crate::domain::stack::RunSpec;
use crate::domain::{Id, reference};
use crate::error::{Error, Result};
use crate::store::{deployments, releases, rollout_steps};

/// How long the git server may take to say where a branch is.
const GIT_PATIENCE: Duration = Duration::from_secs(5);
/// Earlier rollouts that the expected times come from.
const LEARN_FROM: i64 = 5;
/// What an instance is taken to need where no rollout has shown it yet.
const GUESSED_START_MS: i64 = 5_000;
/// Seconds of traffic that the expected rate comes from.
const TRAFFIC_SECS: usize = 600;

/// What the plan is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The head of the repository's branch.
    #[default]
    Branch,
    /// Another branch or tag, or a commit.
    Ref(String),
    /// The release of an earlier deployment, by its number or id.
    Deployment(String),
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub stack: String,
    /// What would be deployed, in words.
    pub source: String,
    pub serving: Option<Deployment>,
    pub changes: Vec<Change>,
    pub strategy: String,
    pub strategy_digest: String,
    /// The strategy's steps if nothing goes wrong, or why there is no telling.
    pub forecast: std::result::Result<Forecast, String>,
    pub downtime: Option<Downtime>,
    /// What a rollback would bring back afterwards, or why there is no way back.
    pub way_back: std::result::Result<String, String>,
    /// What the times rest on, in sentences.
    pub assumptions: Vec<String>,
    /// The same for the same plan. sha256, in hex.
    pub hash: String,
}

/// A pause in which nothing answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downtime {
    pub expected_ms: i64,
    pub why: String,
}

/// What would run.
struct Target {
    source: String,
    image: String,
    commit: String,
    run: RunSpec,
    health: HealthCheck,
    environment: Vec<EnvVar>,
    /// The release itself, where it exists.
    release: Option<Release>,
}

/// Plans a deployment of the stack. Nothing is changed.
///
/// # Errors
/// `NotFound`; `Conflict` if there is nothing that could be deployed.
pub async fn stack_plan(app: &App, stack: &str, wanted: &Wanted) -> Result<Plan> {
    let view = stack_view(app, stack).await?;
    super::cicd::stack::refuse_plan(app, &view.stack).await?;
    let target = match wanted {
        Wanted::Branch => from_git(app, &view, None).await?,
        Wanted::Ref(name) => from_git(app, &view, Some(name)).await?,
        Wanted::Deployment(reference) => from_deployment(app, &view, reference).await?,
    };
    let strategy = strategy_name(app, &view.stack).to_string();
    let facts =
        stack_facts(&view.stack.name, &target.run, &view.build.settings, traffic::routed(app, &view.stack));
    let past = past(app, &view.stack.id).await?;
    let mut assumptions = services(&view, &target);
    let outlook = Outlook {
        healthy_after_ms: past.start_ms(&mut assumptions).unsigned_abs(),
        requests_a_minute: rate(app, &facts, &mut assumptions).await,
        before: before(&view, &target),
    };
    let params = view.stack.strategy_params.to_string();
    let forecast = app.plugins.strategy_forecast(&strategy, &params, &facts, outlook).await?;
    let serving_shape = serving_shape(app, &view)?;
    let changes = changes(
        serving_shape.as_ref().map(|(release, env)| shape(release, env)).as_ref(),
        &Shape {
            image: target.image.clone(),
            commit: target.commit.clone(),
            run: &target.run,
            health: &target.health,
            environment: &target.environment,
        },
    );
    let downtime = downtime(&facts, forecast.as_ref().ok(), past.pause_ms());
    let strategy_digest = app.plugins.digest(&strategy).unwrap_or_default();
    let mut plan = Plan {
        stack: view.stack.name.clone(),
        source: target.source,
        serving: deployment_serving(app, &view).await?,
        changes,
        strategy,
        strategy_digest,
        forecast,
        downtime,
        way_back: way_back(app, &view).await?,
        assumptions,
        hash: String::new(),
    };
    plan.hash = hash(&plan, &params);
    Ok(plan)
}

async fn from_git(app: &App, view: &StackView, git_ref: Option<&String>) -> Result<Target> {
    let row = view.repository.clone().ok_or_else(|| {
        Error::conflict(format!(
            "stack `{}` has no repository to build from; add one, or plan a way back with an earlier deployment",
            view.stack.name
        ))
    })?;
    let name = git_ref.map_or(row.branch.as_str(), String::as_str).to_string();
    reference::check_name(&name)?;
    let (commit, source) = if reference::check_commit(&name).is_ok() {
        (name.clone(), format!("commit {name}, built"))
    } else {
        let access = look::access(app, &row).await?;
        let cancel = CancellationToken::new();
        let refs = tokio::time::timeout(GIT_PATIENCE, app.git.ls_remote(&access, &cancel)).await;
        cancel.cancel();
        match refs {
            Ok(Ok(refs)) => {
                let commit = refs.commit(&name).ok_or_else(|| {
                    Error::conflict(format!("the repository has no branch or tag `{}`", name.escape_debug()))
                })?;
                (commit.to_string(), format!("the head of {name}, built"))
            }
            Ok(Err(error)) => (
                String::new(),
                format!("the head of {name}, built (the git server does not say where that is: {error})"),
            ),
            Err(_) => (String::new(), format!("the head of {name}, built (the git server does not answer)")),
        }
    };
    let settings = &view.build.settings;
    Ok(Target {
        source,
        // Its digest is only known afterwards.
        image: "what will be built".to_string(),
        commit,
        run: expected_run(view),
        health: HealthCheck {
            path: settings.health_check_path.clone(),
            timeout_secs: settings.health_timeout_secs(),
        },
        environment: settings.environment_variables.clone(),
        release: None,
    })
}

/// What a compose file says is known once it is rendered; until then it is taken to say what it said last.
fn expected_run(view: &StackView) -> RunSpec {
    let stack = view.stack.run.clone();
    match view.active_release.as_ref().filter(|release| release.spec.compose.is_some()) {
        None => stack,
        Some(release) => {
            let RunSpec { ports, volumes, exclusive, .. } = release.spec.run.clone();
            RunSpec { ports, volumes, exclusive, ..stack }
        }
    }
}

/// Of a compose stack: for each service, whether two copies can coexist and what follows.
fn services(view: &StackView, target: &Target) -> Vec<String> {
    let release = target.release.as_ref().or(view.active_release.as_ref());
    let compose = release.and_then(|release| release.spec.compose.as_ref());
    let services = compose.into_iter().flat_map(|compose| &compose.services);
    services.map(|facts| format!("Service {}: {}", facts.name, facts.reason)).collect()
}

async fn from_deployment(app: &App, view: &StackView, reference: &str) -> Result<Target> {
    let mut conn = app.db.read().await?;
    let row = deployments::find(&mut conn, reference).await?;
    if row.stack_id != view.stack.id {
        return Err(Error::not_found("deployment", reference));
    }
    let id = row.release_id.as_ref().ok_or_else(|| {
        Error::conflict(format!("deployment {} produced no release that could be brought back", row.seq))
    })?;
    let release = releases::find(&mut conn, id.as_str()).await?;
    drop(conn);
    Ok(Target {
        source: format!("the release of deployment {}, as it was", row.seq),
        image: release.image_digest.clone(),
        commit: release.commit_sha.clone(),
        run: release.spec.run.clone(),
        health: release.spec.health.clone(),
        environment: environment_of(app, &release)?,
        release: Some(release),
    })
}

fn serving_shape(app: &App, view: &StackView) -> Result<Option<(Release, Vec<EnvVar>)>> {
    let Some(release) = &view.active_release else { return Ok(None) };
    Ok(Some((release.clone(), environment_of(app, release)?)))
}

fn shape<'a>(release: &'a Release, environment: &'a [EnvVar]) -> Shape<'a> {
    Shape {
        image: release.image_digest.clone(),
        commit: release.commit_sha.clone(),
        run: &release.spec.run,
        health: &release.spec.health,
        environment,
    }
}

fn before(view: &StackView, target: &Target) -> Before {
    match (&view.stack.active_release_id, &target.release) {
        (None, _) => Before::Nothing,
        (Some(active), Some(release)) if *active == release.id => Before::Same,
        (Some(_), _) => Before::Other,
    }
}

/// What the last rollouts that went well have shown.
struct Past {
    starts: Vec<i64>,
    pauses: Vec<i64>,
}

async fn past(app: &App, stack: &Id) -> Result<Past> {
    let mut conn = app.db.read().await?;
    let recent = deployments::list_by_stack(&mut conn, stack, PageRequest::first(4 * LEARN_FROM)).await?;
    let good = recent.items.iter().filter(|row| {
        matches!(row.status, DeploymentStatus::Successful | DeploymentStatus::RolledBack)
            && row.error.is_none()
    });
    let mut past = Past { starts: Vec::new(), pauses: Vec::new() };
    for row in good.take(usize::try_from(LEARN_FROM).unwrap_or(1)) {
        past.starts.extend(start_of(&rollout_steps::list(&mut conn, &row.id).await?));
        past.pauses.extend(row.rollout.pause_ms);
    }
    Ok(past)
}

/// From the first start of an instance to the moment when the traffic was sent to it.
fn start_of(journal: &[JournalEntry]) -> Option<i64> {
    let begun = journal
        .iter()
        .find(|entry| matches!(entry.effect, Effect::Launch { .. } | Effect::Start { .. }))?
        .done_at?;
    let routed = journal
        .iter()
        .find(|entry| matches!(entry.effect, Effect::SetRoute { .. }) && entry.intended_at >= begun)?;
    Some(routed.intended_at - begun)
}

impl Past {
    fn start_ms(&self, assumptions: &mut Vec<String>) -> i64 {
        let Some(ms) = median(&self.starts) else {
            assumptions.push(format!(
                "No rollout has shown yet how long an instance takes to become healthy; {} s are assumed.",
                GUESSED_START_MS / 1000
            ));
            return GUESSED_START_MS;
        };
        assumptions.push(format!(
            "An instance becomes healthy after {:.1} s, as in the last {}.",
            ms as f64 / 1000.0,
            if self.starts.len() == 1 { "rollout".into() } else { format!("{} rollouts", self.starts.len()) }
        ));
        ms
    }

    fn pause_ms(&self) -> Option<i64> {
        median(&self.pauses)
    }
}

fn median(values: &[i64]) -> Option<i64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// Requests a minute, as the router counted them.
async fn rate(app: &App, facts: &StackFacts, assumptions: &mut Vec<String>) -> u64 {
    if !facts.can_split {
        return 0;
    }
    let Ok(stats) = app.router.stats(TRAFFIC_SECS).await else {
        assumptions.push("The router does not answer, so no traffic is assumed.".into());
        return 0;
    };
    let own = stats.releases.iter().filter(|report| report.route == facts.name);
    let requests: u64 = own.map(|report| report.window.requests).sum();
    let minutes = TRAFFIC_SECS as u64 / 60;
    assumptions
        .push(format!("It gets {} requests a minute, as in the last {minutes} minutes.", requests / minutes));
    requests / minutes
}

/// The pause that the strategy does not get around, and what causes it.
fn downtime(facts: &StackFacts, forecast: Option<&Forecast>, measured: Option<i64>) -> Option<Downtime> {
    let unserved = i64::try_from(forecast?.unserved_ms).unwrap_or(i64::MAX);
    if unserved == 0 {
        return None;
    }
    let run = &facts.run;
    let fixed = run.ports.iter().find_map(|port| port.host);
    let written = run.volumes.iter().find(|volume| !volume.read_only);
    let cause = match (written, fixed) {
        (Some(volume), _) => format!(
            "Volume `{}` may be written by one instance only, so the old one stops before the new one starts.",
            volume.name
        ),
        (None, Some(port)) => format!(
            "Port {port} of the machine belongs to one container, which has to let go of it before the next one \
             takes it. Reached through the router instead, the stack would not pause."
        ),
        (None, None) if run.exclusive.is_some() => format!(
            "Two copies cannot run side by side ({}), so the old one stops before the new one starts.",
            run.exclusive.as_deref().unwrap_or_default()
        ),
        (None, None) => "The strategy stops what serves before its replacement is healthy.".to_string(),
    };
    Some(match measured {
        Some(ms) => Downtime { expected_ms: ms, why: format!("{cause} Measured in earlier rollouts.") },
        None => Downtime { expected_ms: unserved, why: cause },
    })
}

/// After the deployment, what serves now is what a rollback brings back.
async fn way_back(app: &App, view: &StackView) -> Result<std::result::Result<String, String>> {
    let Some(release) = &view.active_release else {
        return Ok(Err("nothing serves yet, so there is nothing to go back to".into()));
    };
    let docker = engine(app, &view.stack).await?;
    for image in release.images() {
        if !docker.image_exists(image).await? {
            return Ok(Err(format!(
                "the image that serves now, {}, is gone from the engine",
                release.image_tag
            )));
        }
    }
    let automatic = if view.build.settings.rollback_on_failure {
        "a failure goes back to it by itself"
    } else {
        "a failure does not go back by itself, because the stack says so"
    };
    let further = match rollback_readiness(app, view.stack.id.as_str()).await? {
        Ok(row) => format!("; deployment {} is kept as well", row.seq),
        Err(_) => String::new(),
    };
    Ok(Ok(format!("release {} is kept, {automatic}{further}", release.seq)))
}

fn hash(plan: &Plan, params: &str) -> String {
    let mut hash = Sha256::new();
    let serving = plan.serving.as_ref().map_or("", |row| row.id.as_str());
    for part in [plan.stack.as_str(), serving, &plan.source, &plan.strategy, &plan.strategy_digest, params] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    for change in &plan.changes {
        for part in [Some(&change.what), change.from.as_ref(), change.to.as_ref()] {
            hash.update(part.map_or("-", String::as_str).as_bytes());
            hash.update([0]);
        }
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stack::{Port, Volume};

    fn facts(run: RunSpec) -> StackFacts {
        StackFacts {
            name: "shop".into(),
            run,
            health_timeout_ms: 1,
            rollback_on_failure: true,
            can_split: false,
            can_preview: false,
        }
    }

    fn forecast(unserved_ms: u64) -> Forecast {
        Forecast { steps: Vec::new(), took_ms: 9_000, unserved_ms }
    }

    #[test]
    fn a_pause_is_told_with_its_cause_and_as_it_was_measured() {
        let port = Port { container: 80, host: Some(8080), address: "127.0.0.1".into() };
        let fixed = RunSpec { ports: vec![port], ..RunSpec::default() };
        let volume = Volume { name: "data".into(), path: "/data".into(), read_only: false };
        let stored = RunSpec { volumes: vec![volume], ..RunSpec::default() };
        assert_eq!(downtime(&facts(fixed.clone()), Some(&forecast(0)), Some(900)), None);
        let told = downtime(&facts(fixed), Some(&forecast(2_000)), Some(900)).expect("a pause");
        assert_eq!(told.expected_ms, 900);
        assert!(told.why.contains("Port 8080"), "{}", told.why);
        let told = downtime(&facts(stored), Some(&forecast(2_000)), None).expect("a pause");
        assert_eq!(told.expected_ms, 2_000);
        assert!(told.why.contains("`data`"), "{}", told.why);
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[5]), Some(5));
        assert_eq!(median(&[9, 1, 5]), Some(5));
    }
}
