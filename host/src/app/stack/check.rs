//! What is wrong with a stack that a person describes.

use super::{RepositoryInput, StackInput, stack_facts};
use crate::app::App;
use crate::domain::plugin::PluginKind;
use crate::domain::reference;
use crate::domain::repository::{self, GitAuthType};
use crate::domain::stack::check_name;
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
    if let Some(given) = &input.repository {
        repository::check_url(&given.url)?;
        reference::check_name(&given.branch)?;
        app.plugins.check(&given.provider, PluginKind::GitForge)?;
        check_credentials(given)?;
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
    let facts = stack_facts(&input.name, &input.run, &input.build, routed);
    let problems = app.plugins.strategy_validate(name, &input.strategy_params.to_string(), &facts).await?;
    match problems.first() {
        Some(problem) => Err(Error::invalid(
            format!("strategyParams{}", problem.path.replace('/', ".")),
            format!("strategy `{name}`: {}", problem.message),
        )),
        None => Ok(()),
    }
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

fn check_credentials(given: &RepositoryInput) -> Result<()> {
    let Some(credentials) = &given.credentials else { return Ok(()) };
    let missing = match given.auth_type {
        GitAuthType::HttpToken if credentials.token.is_none() => "token",
        GitAuthType::SshKey if credentials.private_key.is_none() => "privateKey",
        _ => return Ok(()),
    };
    Err(Error::invalid(
        format!("repository.credentials.{missing}"),
        format!("authType `{}` needs credentials.{missing}", given.auth_type.as_str()),
    ))
}
