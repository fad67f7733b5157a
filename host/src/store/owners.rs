//! Whose a row is. A new kind of thing becomes a line in [`owner`].

use super::{
    Conn, builds, ci_builds, cicd_jobs, cicd_providers, deployments, notification_channels,
    notification_deliveries, projects, repositories, schedules, stacks, tasks, teams, tokens, users,
    webhook_events,
};
use crate::{
    domain::{
        Id,
        access::{Owner, Subject},
        schedule::ScheduleOf,
        task::Task,
    },
    error::Result,
};

/// Whose the thing is that `key` names, in whatever way its own `find` understands; `None` if there is none.
///
/// A template belongs to the project that `key` names; without one, everybody has it.
pub async fn owner(conn: &mut Conn, subject: Subject, key: &str) -> Result<Option<Owner>> {
    let project = match subject {
        Subject::Any => return Ok(Some(Owner::Everyone)),
        Subject::Server => return Ok(Some(Owner::Installation)),
        Subject::Team => {
            let team = teams::find_opt(conn, key).await?;
            return Ok(team.map(|team| Owner::Team { team: team.id, project: None }));
        }
        Subject::User => return Ok(users::find_opt(conn, key).await?.map(|user| Owner::Person(user.id))),
        Subject::Token => {
            let token = tokens::find_opt(conn, key).await?;
            return Ok(token.map(|token| token.user_id.map_or(Owner::Installation, Owner::Person)));
        }
        Subject::Template if key.is_empty() => return Ok(Some(Owner::Everyone)),
        Subject::Project | Subject::Template => projects::find_opt(conn, key).await?.map(|row| row.id),
        Subject::Stack => stacks::find_opt(conn, key).await?.map(|row| row.project_id),
        Subject::Deployment => deployments::find_opt(conn, key).await?.map(|row| row.project_id),
        Subject::Build => builds::find_opt(conn, key).await?.map(|row| row.project_id),
        Subject::Schedule => match schedules::find_opt(conn, key).await? {
            Some(row) => match row.of {
                ScheduleOf::Stack(stack) => {
                    stacks::find_opt(conn, stack.as_str()).await?.map(|row| row.project_id)
                }
                ScheduleOf::Job(job) => return ci_job(conn, job.as_str()).await,
            },
            None => None,
        },
        Subject::Event => return event(conn, key).await,
        Subject::Channel => return channel(conn, key).await,
        Subject::Provider => return provider(conn, key).await,
        Subject::CiJob => return ci_job(conn, key).await,
        Subject::CiBuild => return ci_build(conn, key).await,
        Subject::Task => match tasks::find_opt(conn, key).await? {
            Some(row) => return of_task(conn, &row.task).await,
            None => None,
        },
    };
    match project {
        Some(id) => of_project(conn, &id).await,
        None => Ok(None),
    }
}

/// Whose the thing is that a task is about; `None` if there is none any more.
pub async fn of_task(conn: &mut Conn, task: &Task) -> Result<Option<Owner>> {
    let subject = task.subject().as_str();
    let project = match task {
        Task::Webhook { .. } => return event(conn, subject).await,
        Task::Build { .. } => builds::find_opt(conn, subject).await?.map(|row| row.project_id),
        Task::Deploy { .. } => deployments::find_opt(conn, subject).await?.map(|row| row.project_id),
        Task::CommitStatus { repository_id, .. } | Task::ForgeHook { repository_id } => {
            return repository(conn, repository_id).await;
        }
        Task::Notify { delivery_id } => {
            let delivery = notification_deliveries::find_opt(conn, delivery_id).await?;
            let Some(delivery) = delivery else { return Ok(Some(Owner::Installation)) };
            return channel(conn, delivery.channel_id.as_str()).await;
        }
        Task::CiBuild { .. } => return ci_build(conn, subject).await,
        Task::CiJob { .. } => return ci_job(conn, subject).await,
        Task::RotateKeys { .. } | Task::Backup { .. } => return Ok(Some(Owner::Installation)),
    };
    match project {
        Some(id) => of_project(conn, &id).await,
        None => Ok(None),
    }
}

async fn channel(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    let channel = notification_channels::find_opt(conn, key).await?;
    Ok(channel.map(|row| Owner::Team { team: row.team_id, project: None }))
}

async fn provider(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    let Some(row) = cicd_providers::find_opt(conn, key).await? else { return Ok(None) };
    let team = match &row.team_id {
        Some(team) => teams::find_opt(conn, team).await?,
        None => None,
    };
    Ok(Some(team.map_or(Owner::Installation, |team| Owner::Team { team: team.id, project: None })))
}

/// Jobs, and their builds, are whose their provider is.
async fn ci_job(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    match cicd_jobs::find_opt(conn, key).await? {
        Some(job) => provider(conn, job.provider_id.as_str()).await,
        None => Ok(None),
    }
}

async fn ci_build(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    match ci_builds::find_opt(conn, key).await? {
        Some(build) => ci_job(conn, build.job_id.as_str()).await,
        None => Ok(None),
    }
}

/// A delivery is its repository's. Of one to an address that many share, nobody knows whose it is.
async fn event(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    let Some(event) = webhook_events::find_opt(conn, key).await? else { return Ok(None) };
    match &event.repository_id {
        Some(id) => repository(conn, id).await,
        None => Ok(Some(Owner::Installation)),
    }
}

async fn repository(conn: &mut Conn, id: &Id) -> Result<Option<Owner>> {
    let Some(repository) = repositories::find_opt(conn, id).await? else { return Ok(None) };
    match stacks::find_opt(conn, repository.stack_id.as_str()).await? {
        Some(stack) => of_project(conn, &stack.project_id).await,
        None => Ok(None),
    }
}

async fn of_project(conn: &mut Conn, id: &Id) -> Result<Option<Owner>> {
    let project = projects::find_opt(conn, id.as_str()).await?;
    Ok(project.map(|row| Owner::Team { team: row.team_id, project: Some(row.id) }))
}
