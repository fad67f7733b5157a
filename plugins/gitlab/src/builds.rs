//! Builds: pipelines.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::forge::unix_ms;
use windlass_sdk::http::Request;
use windlass_sdk::provider::{Build, BuildStatus, Trigger};
use windlass_sdk::{Failure, UnixMs};

use crate::api::{Api, Codes, complaint};
use crate::definition::{Definition, KEY_VARIABLE, Values};
use crate::names::{self, Job};
use crate::project::Project;
use crate::{files, words};

/// Pipelines among which an earlier attempt is looked for.
const RECENT: &str = "5";
const NO_BUILD: Codes = &[(404, "no-such-build")];

/// A pipeline, in answers of the API and in webhooks.
#[derive(Debug, Deserialize)]
pub struct Pipeline {
    pub id: u64,
    pub iid: Option<u64>,
    pub status: String,
    #[serde(rename = "ref")]
    pub ref_name: Option<String>,
    pub sha: Option<String>,
    pub source: Option<String>,
    #[serde(alias = "url")]
    pub web_url: Option<String>,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    /// What is wrong with the file, for a pipeline that never came to run.
    pub yaml_errors: Option<String>,
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    value: Option<String>,
}

/// Webhooks write `2016-08-12 15:23:28 UTC`.
fn at(text: Option<&String>) -> Option<UnixMs> {
    unix_ms(&text?.replace(" UTC", "Z"))
}

/// As [`to_build`], of a list: there GitLab tells of a pipeline only when it was made and when it last changed.
pub fn listed(pipeline: &Pipeline) -> Build {
    let build = to_build(pipeline);
    let has_begun = build.status != BuildStatus::Pending;
    let (made, changed) = (at(pipeline.created_at.as_ref()), at(pipeline.updated_at.as_ref()));
    Build {
        started: build.started.or(made.filter(|_| has_begun)),
        finished: build.finished.or(changed.filter(|_| words::is_over(&pipeline.status))),
        ..build
    }
}

pub fn to_build(pipeline: &Pipeline) -> Build {
    let extras = [
        ("commit", &pipeline.sha),
        ("ref", &pipeline.ref_name),
        ("source", &pipeline.source),
        ("errors", &pipeline.yaml_errors),
    ];
    let extras = extras.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    Build {
        number: pipeline.iid.map(|iid| iid.to_string()).unwrap_or_default(),
        url: pipeline.web_url.clone(),
        started: at(pipeline.started_at.as_ref()),
        finished: at(pipeline.finished_at.as_ref()).filter(|_| words::is_over(&pipeline.status)),
        extras: extras.collect(),
        ..Build::new(pipeline.id.to_string(), words::status(&pipeline.status))
    }
}

pub fn trigger(id: &str, trigger: &Trigger) -> Result<Build, Failure> {
    let (api, job) = (Api::default(), Job::read(id)?);
    let project = Project::get(&api, &job.project, "no-such-job")?;
    let no_job = |said: String| Failure::permanent("no-such-job", said);
    let ref_name = trigger.ref_name.as_ref().or(job.branch.as_ref()).or(project.default_branch.as_ref());
    let ref_name =
        ref_name.ok_or_else(|| no_job(format!("The repository of `{}` is empty.", job.project)))?;
    // Tags come by their full names, and GitLab lists pipelines by the short ones.
    let ref_name = ref_name.strip_prefix("refs/tags/").unwrap_or(ref_name);
    let path = project.pipeline_path();
    // The file may also be in another project or at a URL; then only GitLab can check the values.
    let is_elsewhere = path.contains('@') || path.contains("://");
    let values = match files::find(&api, &job.project, path, ref_name)? {
        Some(file) => Definition::read(&file.text().unwrap_or_default())?.values_of(trigger)?,
        None if is_elsewhere => Values { variables: trigger.parameters.clone(), ..Values::default() },
        None => return Err(no_job(format!("`{}` has no file {path} at `{ref_name}`.", job.project))),
    };
    if let Some(build) = earlier(&api, &job, ref_name, &trigger.idempotency_key)? {
        return Ok(build);
    }
    start(&api, &job, ref_name, &values, &trigger.idempotency_key)
}

/// The pipeline of an earlier attempt at the same build.
fn earlier(api: &Api, job: &Job, ref_name: &str, key: &str) -> Result<Option<Build>, Failure> {
    let request = Request::get(format!("{}/pipelines", job.address()))
        .query("ref", ref_name)
        .query("source", "api")
        .query("per_page", RECENT);
    let recent: Vec<Pipeline> = api.get(&request.path, &[(404, "no-such-job")])?;
    for pipeline in recent {
        let path = format!("{}/pipelines/{}/variables", job.address(), pipeline.id);
        let response = api.look(Request::get(path))?;
        // Who may not read variables may not set them either.
        if matches!(response.status, 403 | 404) {
            return Ok(None);
        }
        let variables: Vec<Variable> = api.checked(response, &[]).and_then(|response| api.json(&response))?;
        let ours =
            |variable: &Variable| variable.key == KEY_VARIABLE && variable.value.as_deref() == Some(key);
        if variables.iter().any(ours) {
            return Ok(Some(listed(&pipeline)));
        }
    }
    Ok(None)
}

fn start(api: &Api, job: &Job, ref_name: &str, values: &Values, key: &str) -> Result<Build, Failure> {
    let variable =
        |(key, value): &(String, String)| json!({ "key": key, "value": value, "variable_type": "env_var" });
    let mut variables: Vec<serde_json::Value> = values.variables.iter().map(variable).collect();
    variables.push(variable(&(KEY_VARIABLE.to_owned(), key.to_owned())));
    let body = |variables: Vec<serde_json::Value>| {
        let mut body = json!({ "ref": ref_name });
        if !variables.is_empty() {
            body["variables"] = variables.into();
        }
        if !values.inputs.is_empty() {
            body["inputs"] = values.inputs.clone().into();
        }
        Request::post(format!("{}/pipeline", job.address())).json(&body)
    };
    let mut response = api.ask(body(variables)?)?;
    // A project may forbid variables. Ours alone is not worth the build.
    if response.status == 400
        && values.variables.is_empty()
        && complaint(&response).contains("set pipeline variables")
    {
        response = api.ask(body(Vec::new())?)?;
    }
    let code = if complaint(&response).contains("Reference not found") {
        "no-such-job"
    } else {
        "invalid-parameters"
    };
    let response = api.checked(response, &[(400, code), (404, "no-such-job"), (422, code)])?;
    api.json::<Pipeline>(&response).map(|pipeline| to_build(&pipeline))
}

pub fn get(api: &Api, job: &Job, build: &str) -> Result<Pipeline, Failure> {
    api.get(&format!("{}/pipelines/{}", job.address(), names::pipeline(build)?), NO_BUILD)
}

pub fn status(job: &str, build: &str) -> Result<Build, Failure> {
    get(&Api::default(), &Job::read(job)?, build).map(|pipeline| to_build(&pipeline))
}

/// GitLab takes the wish for a pipeline that has ended as well.
pub fn cancel(job: &str, build: &str) -> Result<(), Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    let path = format!("{}/pipelines/{}/cancel", job.address(), names::pipeline(build)?);
    api.write(Request::post(path), NO_BUILD).map(|_| ())
}
