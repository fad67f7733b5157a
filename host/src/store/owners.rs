//! Whose a row is. A new kind of thing becomes a line in [`owner`].

use super::{
    Conn, builds, cicd_providers, deployments, notification_channels, notification_deliveries, projects,
    rows::{Entity, Row, as_seq, fetch_opt, plain, query},
    schedules, stacks, tasks, teams, tokens, users, webhook_events,
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

/// Jobs, and their builds, are whose their provider is. Asked at each look at a build, so in one statement.
macro_rules! of_provider {
    ($tail:literal) => {
        query(concat!(
            "SELECT t.id AS team_id, CAST(NULL AS TEXT) AS project_id FROM cicd_jobs j JOIN cicd_providers p ON p.id = j.provider_id \
             LEFT JOIN teams t ON t.id = p.team_id ",
            $tail
        ))
    };
}

async fn ci_job(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    let statement = match as_seq(key) {
        Some(seq) => of_provider!("WHERE j.seq = $1").bind(seq),
        None => of_provider!("WHERE j.id = $1").bind(plain(key)),
    };
    fetch_opt(conn, statement).await
}

async fn ci_build(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    let statement = match as_seq(key) {
        Some(seq) => of_provider!("JOIN ci_builds b ON b.job_id = j.id WHERE b.seq = $1").bind(seq),
        None => of_provider!("JOIN ci_builds b ON b.job_id = j.id WHERE b.id = $1").bind(plain(key)),
    };
    fetch_opt(conn, statement).await
}

/// The row of the team `team_id`, if any, and of its project `project_id`, if any. What has no team is the installation's.
impl Entity for Owner {
    const WHAT: &'static str = "owner";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        let project = row.id_opt("project_id")?;
        Ok(row.id_opt("team_id")?.map_or(Self::Installation, |team| Self::Team { team, project }))
    }
}

/// A delivery is its repository's. Of one to an address that many share, nobody knows whose it is.
async fn event(conn: &mut Conn, key: &str) -> Result<Option<Owner>> {
    match webhook_events::repository_opt(conn, key).await? {
        Some(Some(id)) => repository(conn, &id).await,
        Some(None) => Ok(Some(Owner::Installation)),
        None => Ok(None),
    }
}

/// Asked for each delivery, so in one statement.
async fn repository(conn: &mut Conn, id: &Id) -> Result<Option<Owner>> {
    let statement = query(
        "SELECT p.team_id, p.id AS project_id FROM git_repositories r JOIN stacks s ON s.id = r.stack_id \
         JOIN projects p ON p.id = s.project_id WHERE r.id = $1",
    );
    fetch_opt(conn, statement.bind(id.as_str())).await
}

async fn of_project(conn: &mut Conn, id: &Id) -> Result<Option<Owner>> {
    let project = projects::find_opt(conn, id.as_str()).await?;
    Ok(project.map(|row| Owner::Team { team: row.team_id, project: Some(row.id) }))
}
