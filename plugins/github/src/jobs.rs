//! Jobs: workflow files of a repository.

use serde::Deserialize;
use windlass_sdk::http::Request;
use windlass_sdk::params::{self, Param};
use windlass_sdk::provider::{Account, Job, JobSpec};
use windlass_sdk::{Connection, Failure};

use crate::api::Api;
use crate::builds::{self, Runs};
use crate::definition::Definition;
use crate::files;
use crate::names::{self, WORKFLOWS};
use crate::repository::{self, Repository};

/// What the operator may choose.
pub const SETTINGS: &[Param] = &[
    Param::flag(
        "commit_files",
        true,
        "Whether Windlass commits the workflow files of its jobs; otherwise they have to be in the repository",
    ),
    Param::text("app_id", "", 64, "Id, or client id, of the GitHub App whose key is the credential `app`"),
    Param::text("installation_id", "", 20, "Id of the installation of that app"),
];

/// Most files of one pipeline, so that they fit into one call's requests on two branches.
const FILES: usize = 6;

#[derive(Deserialize)]
struct User {
    login: String,
}

#[derive(Deserialize)]
pub struct Workflow {
    name: String,
    /// `active`, `disabled_manually`, `disabled_inactivity`, `disabled_fork` or `deleted`.
    state: String,
    html_url: Option<String>,
}

#[derive(Deserialize)]
struct Installation {
    total_count: u64,
    repositories: Vec<Installed>,
}

#[derive(Deserialize)]
struct Installed {
    owner: User,
}

pub fn test_connection(connection: &Connection) -> Result<Account, Failure> {
    let settings = params::required(SETTINGS, &connection.settings)?;
    let api = Api::default();
    if !settings.text("app_id").is_empty() {
        return test_installation(&api);
    }
    let response = api.read(Request::get("/user"), &[])?;
    let scopes = response.header("x-oauth-scopes").map(str::to_owned);
    let mut extras = Vec::new();
    // Only classic tokens say what they may do.
    if let Some(scopes) = scopes.filter(|scopes| !scopes.is_empty()) {
        let has = |right: &str| scopes.split(',').any(|scope| scope.trim() == right);
        if let Some(missing) = ["repo", "workflow"].into_iter().find(|right| !has(right)) {
            let said = format!(
                "The token lacks the scope `{missing}`; it has: {scopes}. Please give it both `repo` and `workflow`."
            );
            return Err(Failure::auth_required("missing-scope", said));
        }
        extras.push(("scopes".to_owned(), scopes));
    }
    let version = response.header("x-github-enterprise-version").unwrap_or_default().to_owned();
    let user: User = api.json(&response)?;
    Ok(Account { name: user.login, server_version: version, extras })
}

/// An installation's token is nobody's, so it cannot be asked whose it is, but what it may see.
fn test_installation(api: &Api) -> Result<Account, Failure> {
    let response = api.read(Request::get("/installation/repositories").query("per_page", "1"), &[])?;
    let version = response.header("x-github-enterprise-version").unwrap_or_default().to_owned();
    let found: Installation = api.json(&response)?;
    let Some(first) = found.repositories.into_iter().next() else {
        let said =
            "The app is installed, and may see no repository there. Please choose some in its installation.";
        return Err(Failure::auth_required("no-repositories", said));
    };
    let extras = vec![("repositories".to_owned(), found.total_count.to_string())];
    Ok(Account { name: first.owner.login, server_version: version, extras })
}

pub fn create(connection: &Connection, spec: JobSpec) -> Result<Job, Failure> {
    let settings = params::required(SETTINGS, &connection.settings)?;
    let repository = names::repository(&spec.repository_url).map_err(|failure| invalid(failure.message))?;
    check_files(&spec)?;
    let api = Api::default();
    let found: Repository = repository::get(&api, &repository, "invalid-job")?;
    if found.archived {
        return Err(invalid(format!("The repository `{repository}` is archived, so nothing can run in it.")));
    }
    let branch = (spec.branch != found.default_branch).then(|| spec.branch.clone());
    let file = spec.pipeline[0].path.trim_start_matches(WORKFLOWS).to_owned();
    let job = names::Job { repository, file, branch };
    if settings.flag("commit_files") {
        commit_files(&api, &job, &spec, &found.default_branch)?;
    }
    enabled(&api, &job)
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::permanent("invalid-job", message)
}

/// Everything about the files that can be wrong before GitHub is asked.
fn check_files(spec: &JobSpec) -> Result<(), Failure> {
    let Some(first) = spec.pipeline.first() else {
        return Err(invalid("The job has no pipeline; it needs a workflow file."));
    };
    if !first.path.strip_prefix(WORKFLOWS).is_some_and(names::is_workflow_file) {
        let said =
            format!("`{}` is no workflow: it has to be a .yml file directly in {WORKFLOWS}.", first.path);
        return Err(invalid(said));
    }
    if spec.pipeline.len() > FILES {
        return Err(invalid(format!(
            "The pipeline has {} files; {FILES} are possible.",
            spec.pipeline.len()
        )));
    }
    Definition::read(&first.content).map(|_| ())
}

/// GitHub starts a workflow by hand only if its file is on the default branch as well, whichever branch it runs on. What is
/// there already is not touched: it may be a job of its own.
fn commit_files(api: &Api, job: &names::Job, spec: &JobSpec, default: &str) -> Result<(), Failure> {
    let name: String = spec.name.chars().filter(|c| !c.is_control()).take(100).collect();
    let message = format!("Workflow of the job {name} [skip ci]");
    for file in &spec.pipeline {
        files::put(api, &job.repository, &spec.branch, (&file.path, &file.content), &message)?;
    }
    if job.branch.is_some() && files::find(api, &job.repository, &job.path(), default)?.is_none() {
        let content = &spec.pipeline[0].content;
        files::put(api, &job.repository, default, (&job.path(), content), &message)?;
    }
    Ok(())
}

/// The job, enabled. GitHub needs a moment to notice a new file, and until then it cannot be started.
fn enabled(api: &Api, job: &names::Job) -> Result<Job, Failure> {
    let Some(mut workflow) = api.find::<Workflow>(job.workflow())? else {
        return Ok(Job { buildable: false, ..Job::new(job.id(), &job.file) });
    };
    if workflow.state.starts_with("disabled") {
        api.write(Request::put(format!("{}/enable", job.workflow())), &[])?;
        workflow.state = "active".to_owned();
    }
    Ok(to_job(job, workflow))
}

fn to_job(job: &names::Job, workflow: Workflow) -> Job {
    Job {
        url: workflow.html_url,
        buildable: workflow.state == "active",
        extras: vec![("state".to_owned(), workflow.state)],
        ..Job::new(job.id(), workflow.name)
    }
}

pub fn status(id: &str) -> Result<Job, Failure> {
    let (api, job) = (Api::default(), names::Job::read(id)?);
    let workflow: Workflow = api.get(job.workflow(), &[(404, "no-such-job")])?;
    let mut request = Request::get(format!("{}/runs", job.workflow())).query("per_page", "1");
    if let Some(branch) = &job.branch {
        request = request.query("branch", branch);
    }
    let runs: Runs = api.get(request.path, &[(404, "no-such-job")])?;
    let last_build = runs.workflow_runs.first().map(builds::to_build);
    Ok(Job { last_build, ..to_job(&job, workflow) })
}

/// Removes the file from the job's branch. Runs and their logs stay.
pub fn delete(connection: &Connection, id: &str) -> Result<(), Failure> {
    let settings = params::required(SETTINGS, &connection.settings)?;
    let (api, job) = (Api::default(), names::Job::read(id)?);
    if !settings.flag("commit_files") {
        return Ok(());
    }
    let Some(found) = api.find::<Repository>(format!("/repos/{}", job.repository))? else { return Ok(()) };
    let branch = job.branch.as_deref().unwrap_or(&found.default_branch);
    let message = format!("The job {} is gone [skip ci]", job.file);
    files::delete(&api, &job.repository, branch, &job.path(), &message)
}
