//! A job that is to be another one: what would differ is told first, and its builds and their history stay.

use super::job::{active, files, job_and_provider, job_view, make};
use super::successor;
use crate::app::App;
use crate::domain::cicd::{CicdJob, CicdProvider, JobParams, Start};
use crate::domain::difference::{DiffLine, difference};
use crate::error::{Error, Result};
use crate::store::{self, Conn, ci_builds, cicd_jobs, stack_ci, stacks};

/// What a change comes to.
#[derive(Debug)]
pub struct JobChange {
    /// Of what the job is asked to be, as JSON and without its files.
    pub definition: Vec<DiffLine>,
    /// The files of the pipeline, as they are written today from what the job was and is to be.
    pub files: Vec<FileChange>,
}

#[derive(Debug)]
pub struct FileChange {
    pub path: String,
    pub lines: Vec<DiffLine>,
}

struct Planned {
    job: CicdJob,
    provider: CicdProvider,
    params: JobParams,
    change: JobChange,
}

/// Tells what [`job_update`] would change. Nothing is sent to the provider.
pub async fn job_difference(app: &App, key: &str, params: JobParams) -> Result<JobChange> {
    Ok(plan(app, key, params).await?.change)
}

/// Brings a job into another state, at the provider as well. Name, folder and repository may be left out: they stay.
///
/// # Errors
/// `Conflict` for the job of a stack, which follows the stack, while a build waits to be started, and if somebody else changes
/// it at the same time; `Invalid` for what would be another job; the provider's if it refuses.
pub async fn job_update(app: &App, key: &str, params: JobParams) -> Result<CicdJob> {
    let Planned { job, provider, params, .. } = plan(app, key, params).await?;
    let said = make(app, &provider, &params).await?;
    let is_known = job.external_id != job.id.as_str();
    if is_known && said.id != job.external_id {
        return Err(Error::conflict(format!(
            "the provider has made another job of it, `{}`, and `{}` is as it was; make that one known with `windlass job make`, \
             or remove it there",
            said.id, job.external_id
        )));
    }
    let name = job.name.clone();
    let write = app.db.write(move |tx| {
        Box::pin(async move {
            let stored = cicd_jobs::hold(tx, &job.id).await?;
            if let Some(why) = changed(&job, &stored).or(obstacle(tx, &stored).await?) {
                // The provider has the new one already, so what is stored is made again before the next build.
                cicd_jobs::respecify(tx, &stored, store::now()).await?;
                return Ok(Err(Error::conflict(why)));
            }
            let row = successor::respecify(tx, &provider, stored, params).await?;
            cicd_jobs::made(tx, &row, &said, store::now()).await.map(Ok)
        })
    });
    let id = write.await??;
    tracing::info!("[@service:cicd:job] job {name} is changed at its provider");
    job_view(app, id.as_str()).await
}

async fn plan(app: &App, key: &str, params: JobParams) -> Result<Planned> {
    let job = job_view(app, key).await?;
    let (job, provider) = job_and_provider(app, &job.id).await?;
    active(&provider)?;
    if let Some(why) = obstacle(&mut *app.db.read().await?, &job).await? {
        return Err(Error::conflict(why));
    }
    let mut params = same(&job, params)?;
    params.check()?;
    let second = successor::check(app, &provider, &mut params).await?;
    successor::try_out(app, second.as_ref(), &params).await?;
    let new = files(app, &provider, &params).await?;
    // What cannot be written any more is nothing to compare with.
    let old = files(app, &provider, &job.spec).await.unwrap_or_default();
    if let (Some((old, _)), Some((new, _))) = (old.first(), new.first())
        && old != new
    {
        let message = format!(
            "the job starts from the file `{old}`; from `{new}` it would be another job. Make that one, and delete this one"
        );
        return Err(Error::invalid("files", message));
    }
    let change = JobChange {
        definition: difference(&text(&job.spec)?, &text(&params)?),
        files: file_changes(&old, &new),
    };
    Ok(Planned { job, provider, params, change })
}

/// What others are about to do with it, which keeps it from being changed.
async fn obstacle(conn: &mut Conn, job: &CicdJob) -> Result<Option<String>> {
    if let Some(row) = stack_ci::by_job(conn, &job.id).await? {
        let stack = stacks::find(conn, row.stack_id.as_str()).await?.name;
        return Ok(Some(format!(
            "job `{}` deploys stack `{stack}` and follows what is said there; change it with `windlass provider assign {stack}`, \
             and the next deployment has it made anew",
            job.name
        )));
    }
    let open = ci_builds::list_open(conn).await?;
    let waiting = open.iter().find(|build| build.job_id == job.id && build.start != Start::Known);
    Ok(waiting.map(|build| {
        format!(
            "build {} of job `{}` waits to be started, and was asked for as the job is now; wait for it, or cancel it first",
            build.seq, job.name
        )
    }))
}

/// Whether it is another one by now than the one that the change was planned for.
fn changed(planned: &CicdJob, stored: &CicdJob) -> Option<String> {
    (planned.spec != stored.spec).then(|| {
        format!(
            "job `{}` was changed by somebody else in the meantime; look at it, and change it once more",
            stored.name
        )
    })
}

/// With what stays as it is: by it the provider knows the job.
fn same(job: &CicdJob, params: JobParams) -> Result<JobParams> {
    let was = &job.spec;
    let name = if params.name.is_empty() { was.name.clone() } else { params.name };
    let folder = params.folder.or_else(|| was.folder.clone());
    let repository = params.repository.or_else(|| was.repository.clone());
    let changed = [
        ("name", name != was.name),
        ("folder", folder != was.folder),
        ("repository", repository != was.repository),
    ];
    if let Some((field, _)) = changed.into_iter().find(|(_, is_changed)| *is_changed) {
        let message = format!(
            "with another {field} it would be another job, and what was built before is not its own; make that one, and delete \
             this one"
        );
        return Err(Error::invalid(field, message));
    }
    Ok(JobParams { name, folder, repository, ..params })
}

fn text(params: &JobParams) -> Result<String> {
    let bare = JobParams { files: Vec::new(), ..params.clone() };
    serde_json::to_string_pretty(&bare).map_err(Error::internal)
}

/// Those that are to be in their order, and then those that are not to be any more.
fn file_changes(old: &[(String, String)], new: &[(String, String)]) -> Vec<FileChange> {
    let content = |all: &[(String, String)], path: &str| {
        all.iter().find(|(of, _)| of == path).map_or_else(String::new, |(_, content)| content.clone())
    };
    let gone = old.iter().filter(|(path, _)| new.iter().all(|(other, _)| other != path));
    let paths = new.iter().chain(gone).map(|(path, _)| path);
    let change = |path: &String| FileChange {
        path: path.clone(),
        lines: difference(&content(old, path), &content(new, path)),
    };
    paths.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::difference::Change;

    #[test]
    fn files_that_come_and_go_are_told_as_a_whole() {
        let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let changes =
            file_changes(&[file("a", "1\n2"), file("gone", "x")], &[file("a", "1\n3"), file("b", "y")]);
        let told: Vec<(&str, Vec<Change>)> = changes
            .iter()
            .map(|file| (file.path.as_str(), file.lines.iter().map(|line| line.change).collect()))
            .collect();
        let (same, removed, added) = (Change::Same, Change::Removed, Change::Added);
        let wanted = [("a", vec![same, removed, added]), ("b", vec![added]), ("gone", vec![removed])];
        assert_eq!(told, wanted);
    }
}
