//! Jobs: the pipeline of a project. GitLab has one for each project, in a file that the project names.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::http::Request;
use windlass_sdk::params::{self, Param};
use windlass_sdk::provider::{Account, Job, JobSpec};
use windlass_sdk::{Connection, Failure};

use crate::api::Api;
use crate::builds::{self, Pipeline};
use crate::definition::Definition;
use crate::project::Project;
use crate::{files, names};

/// What the operator may choose.
pub const SETTINGS: &[Param] = &[
    Param::flag(
        "commit_files",
        true,
        "Whether Windlass commits the pipeline of its jobs; otherwise it has to be in the repository",
    ),
    Param::text(
        "client_id",
        "",
        200,
        "Id of the OAuth application whose refresh token is the credential `oauth`",
    ),
];

/// Most files of one pipeline, so that they fit into one call's requests.
const FILES: usize = 12;

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Token {
    name: String,
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Lint {
    valid: bool,
    #[serde(default)]
    errors: Vec<String>,
}

pub fn test_connection(connection: &Connection) -> Result<Account, Failure> {
    if connection.base_url.ends_with("/api/v4") {
        let said = "The connection's address has to be GitLab's own, without /api/v4. Please shorten it.";
        return Err(Failure::permanent("wrong-address", said));
    }
    let api = Api::default();
    let version: Version = api.get("/version", &[])?;
    // Tokens of OAuth applications cannot be asked about.
    let response = api.look(Request::get("/personal_access_tokens/self"))?;
    let token: Option<Token> = match response.status {
        400..=404 => None,
        _ => Some(api.checked(response, &[]).and_then(|response| api.json(&response))?),
    };
    let Some(token) = token else {
        return Ok(Account { name: String::new(), server_version: version.version, extras: Vec::new() });
    };
    let scopes = token.scopes.join(", ");
    if !token.scopes.iter().any(|scope| scope == "api") {
        let said = format!("The token lacks the scope `api`; it has: {scopes}. Please make one that has it.");
        return Err(Failure::auth_required("missing-scope", said));
    }
    Ok(Account {
        name: token.name,
        server_version: version.version,
        extras: vec![("scopes".to_owned(), scopes)],
    })
}

pub fn create(connection: &Connection, spec: JobSpec) -> Result<Job, Failure> {
    let settings = params::required(SETTINGS, &connection.settings)?;
    let name =
        names::project(connection, &spec.repository_url).map_err(|failure| invalid(failure.message))?;
    let first = match spec.pipeline.as_slice() {
        [] => return Err(invalid("The job has no pipeline; it needs a file such as .gitlab-ci.yml.")),
        files if files.len() > FILES => {
            return Err(invalid(format!("The pipeline has {} files; {FILES} are possible.", files.len())));
        }
        [first, ..] => first,
    };
    Definition::read(&first.content)?;
    let api = Api::default();
    let project = Project::get(&api, &name, "invalid-job")?;
    if !project.can_build() {
        return Err(invalid(format!("The project `{name}` is archived, or its CI/CD is switched off.")));
    }
    if first.path != project.pipeline_path() {
        return Err(invalid(format!(
            "GitLab makes the pipelines of `{name}` of the file {}, and not of {}. Please change one of the two.",
            project.pipeline_path(),
            first.path
        )));
    }
    if settings.flag("commit_files") {
        // What includes other files cannot be judged before they are there.
        if spec.pipeline.len() == 1 {
            lint(&api, &name, &first.content)?;
        }
        let title: String = spec.name.chars().filter(|c| !c.is_control()).take(100).collect();
        let message = format!("Pipeline of the job {title} [skip ci]");
        // The pipeline itself comes last: from then on GitLab runs it.
        for file in spec.pipeline.iter().rev() {
            files::put(&api, &name, &spec.branch, (&file.path, &file.content), &message)?;
        }
    }
    let branch = (project.default_branch.as_deref() != Some(&spec.branch)).then_some(spec.branch);
    Ok(to_job(&names::Job { project: name, branch }, &project))
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::permanent("invalid-job", message)
}

fn lint(api: &Api, project: &str, content: &str) -> Result<(), Failure> {
    let request =
        Request::post(format!("{}/ci/lint", names::address(project))).json(&json!({ "content": content }))?;
    // It is a POST that changes nothing.
    let response = api.read(request, &[(404, "invalid-job")])?;
    let lint: Lint = api.json(&response)?;
    if lint.valid {
        return Ok(());
    }
    Err(invalid(format!("GitLab does not take the pipeline: {}", lint.errors.join("; "))))
}

fn to_job(job: &names::Job, project: &Project) -> Job {
    let url = project.web_url.as_ref().map(|url| format!("{url}/-/pipelines"));
    let extras = vec![("file".to_owned(), project.pipeline_path().to_owned())];
    Job { url, buildable: project.can_build(), extras, ..Job::new(job.id(), &job.project) }
}

pub fn status(id: &str) -> Result<Job, Failure> {
    let (api, job) = (Api::default(), names::Job::read(id)?);
    let project = Project::get(&api, &job.project, "no-such-job")?;
    let mut request = Request::get(format!("{}/pipelines", job.address())).query("per_page", "1");
    if let Some(branch) = &job.branch {
        request = request.query("ref", branch);
    }
    let pipelines: Vec<Pipeline> = api.get(&request.path, &[(404, "no-such-job")])?;
    let last_build = pipelines.first().map(builds::listed);
    Ok(Job { last_build, ..to_job(&job, &project) })
}

/// Removes the pipeline's file from the job's branch. Pipelines that ran stay.
pub fn delete(connection: &Connection, id: &str) -> Result<(), Failure> {
    let settings = params::required(SETTINGS, &connection.settings)?;
    let (api, job) = (Api::default(), names::Job::read(id)?);
    if !settings.flag("commit_files") {
        return Ok(());
    }
    let Some(project) = api.find::<Project>(&job.address())? else { return Ok(()) };
    let Some(branch) = job.branch.as_ref().or(project.default_branch.as_ref()) else { return Ok(()) };
    let message = "The job of this pipeline is gone [skip ci]";
    files::delete(&api, &job.project, branch, project.pipeline_path(), message)
}
