//! What is wrong with a stack that a person describes.

use std::net::IpAddr;

use super::{StackInput, StackView, stack_facts};
use crate::app::repository::minting_check;
use crate::app::{App, target};
use crate::domain::plugin::PluginKind;
use crate::domain::reference;
use crate::domain::repository::{self, GitAuthType, RepositoryInput};
use crate::domain::stack::{Port, check_name};
use crate::domain::target::TargetKind;
use crate::error::{Error, Result};
use crate::plugins::planner_name;
use crate::store::stacks;

/// Everything that can be said about an input before it is stored; the plugins have the last word on their part.
pub(super) async fn check(app: &App, input: &StackInput) -> Result<()> {
    check_name("name", &input.name)?;
    check_name("project", &input.project)?;
    input.run.check()?;
    check_traffic(app, input).await?;
    input.build.check()?;
    check_target(app, input).await?;
    if let Some(given) = &input.repository {
        repository::check_url(&given.url)?;
        // What is left out is asked for when the stack is stored.
        if !given.branch.is_empty() {
            reference::check_name(&given.branch)
                .map_err(|error| Error::invalid("repository.branch", error.to_string()))?;
        }
        app.plugins.check(&given.provider, PluginKind::GitForge)?;
        check_credentials(app, given)?;
    }
    let problems = app.plugins.planner_validate(&planner_name(&input.build.build_type), &input.build).await?;
    if let Some(problem) = problems.first() {
        return Err(Error::invalid(
            format!("build{}", problem.path.replace('/', ".")),
            problem.message.clone(),
        ));
    }
    let name = if input.strategy.is_empty() { &app.config.strategies.default } else { &input.strategy };
    let routed = app.config.router.enabled && input.traffic.is_routed();
    let facts = stack_facts(&input.name, &input.run, &input.build, routed.then_some(&input.traffic));
    let problems = app.plugins.strategy_validate(name, &input.strategy_params.to_string(), &facts).await?;
    match problems.first() {
        Some(problem) => Err(Error::invalid(
            format!("strategyParams{}", problem.path.replace('/', ".")),
            format!("strategy `{name}`: {}", problem.message),
        )),
        None => Ok(()),
    }
}

/// What another machine cannot do.
async fn check_target(app: &App, input: &StackInput) -> Result<()> {
    let Some(target) = target::named(app, input.target.as_deref().unwrap_or_default()).await? else {
        return Ok(());
    };
    let is_lost = |port: &Port| {
        port.host.is_some() && port.address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    if input.run.ports.iter().any(is_lost) {
        return Err(Error::invalid(
            "run.ports",
            format!(
                "a fixed port on the loopback address of target `{}` can be reached from nowhere else; say at which address",
                target.name
            ),
        ));
    }
    let is_asked = input.traffic.is_routed() || input.build.health_check_path.is_some();
    let is_compose = input.run.service.is_some() || input.build.compose_path.is_some();
    if is_asked && !is_compose && input.run.ports.is_empty() {
        return Err(Error::invalid(
            "run.ports",
            format!(
                "say which port of the container to publish: what runs on target `{}` is reached at no other",
                target.name
            ),
        ));
    }
    if target.kind == TargetKind::Swarm && is_compose {
        return Err(Error::invalid(
            "target",
            format!("target `{}` is a swarm, which runs images and not compose files", target.name),
        ));
    }
    Ok(())
}

/// Where a stack runs from now on. It moves only while there is nothing of it that would be left behind.
pub(super) async fn target_of(app: &App, old: &StackView, input: &StackInput) -> Result<Option<String>> {
    let Some(written) = &input.target else { return Ok(old.stack.target.clone()) };
    let wanted = target::named(app, written).await?.map(|target| target.name);
    let is_deployed = old.stack.active_release_id.is_some() || old.latest_deployment.is_some();
    if wanted != old.stack.target && is_deployed {
        return Err(Error::invalid(
            "target",
            format!(
                "stack `{}` was deployed already, and its images and volumes stay where they are; create another stack on `{written}`, \
             deploy it, and delete this one",
                old.stack.name
            ),
        ));
    }
    Ok(wanted)
}

/// A host leads to one stack.
async fn check_traffic(app: &App, input: &StackInput) -> Result<()> {
    input.traffic.check()?;
    if !input.traffic.is_routed() {
        return Ok(());
    }
    let mut conn = app.db.read().await?;
    for other in stacks::list_routed(&mut conn).await? {
        let shared = (other.name != input.name).then(|| input.traffic.shared_host(&other.traffic)).flatten();
        if let Some(host) = shared {
            return Err(Error::conflict(format!(
                "{host} below {} leads to stack `{}` already; take another host or path",
                input.traffic.path, other.name
            )));
        }
    }
    Ok(())
}

fn check_credentials(app: &App, given: &RepositoryInput) -> Result<()> {
    let Some(credentials) = &given.credentials else { return Ok(()) };
    if let Some(missing) = credentials.missing(given.auth_type) {
        return Err(Error::invalid(
            format!("repository.credentials.{missing}"),
            format!("authType `{}` needs credentials.{missing}", given.auth_type.as_str()),
        ));
    }
    let (is_app, is_oauth) = (credentials.is_app(), credentials.is_oauth());
    let field = if is_app { "repository.credentials.appId" } else { "repository.credentials.clientId" };
    let refused = |why: &str| Err(Error::invalid(field, why));
    match is_app || is_oauth {
        true if given.auth_type != GitAuthType::HttpToken => {
            refused("the tokens of an app or an OAuth application are for authType `http_token`")
        }
        true if credentials.token.is_some() || (is_app && is_oauth) => {
            refused("give either a token, or an app's key or a refresh token, from which tokens are made")
        }
        true => minting_check(app, given).map_err(|error| Error::invalid(field, error.to_string())),
        false => Ok(()),
    }
}
