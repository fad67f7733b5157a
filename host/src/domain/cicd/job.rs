//! A job at a provider, and what it is made from (seed 0, `CreateCICDJobParams`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::failover::Failover;
use crate::domain::ci::{CiJobSpec, CiParameter, CiStatus};
use crate::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use crate::domain::{Id, UnixMs, path};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq)]
pub struct CicdJob {
    pub id: Id,
    pub seq: i64,
    pub provider_id: Id,
    /// The provider's own name for it; the row's id until it has been made.
    pub external_id: String,
    pub name: String,
    pub description: Option<String>,
    /// What a build takes if nothing else is said.
    pub parameters: Map<String, Value>,
    pub trigger_token: Option<String>,
    pub trigger_url: Option<String>,
    pub job_url: Option<String>,
    /// Of its newest build.
    pub status: Option<CiStatus>,
    pub last_build_number: Option<String>,
    pub last_synced_at: Option<UnixMs>,
    pub spec: JobParams,
    /// When the provider had it.
    pub made_at: Option<UnixMs>,
    /// When the provider is next asked whether somebody else has started a build; never for a job that nobody watches.
    pub look_at: Option<UnixMs>,
    pub creator_id: Option<String>,
    pub team_id: Option<String>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a job is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct JobParams {
    pub name: String,
    pub description: String,
    pub repository: Option<JobRepository>,
    pub hosts: Vec<Host>,
    pub scripts: Vec<JobScript>,
    /// Where the provider has folders.
    pub folder: Option<String>,
    /// What a build takes, with defaults.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// Plugin that writes the pipeline; the provider's own if left out.
    pub generator: Option<String>,
    /// The generator's.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// The pipeline's files by path instead of generated ones; the first one is where the provider starts from.
    pub files: Vec<JobFile>,
    /// The repository has the pipeline already: nothing is written.
    pub committed: bool,
    /// The pipeline tells this server of its end, signed with the provider's webhook secret.
    pub report: bool,
    /// How often a build that failed is started again, unless something else is said when it is started. At most 10.
    pub retries: u32,
    /// Seconds before that; each time twice as many. At most 3600.
    pub retry_delay_secs: u32,
    /// Builds that others start at the provider are found without its reports. The job of a stack is watched anyway.
    pub watch: bool,
    /// A second provider, for builds that do not begin.
    pub failover: Option<Failover>,
}

/// How often a build may be started again.
pub const MOST_RETRIES: u32 = 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRepository {
    pub url: String,
    pub branch: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub name: String,
    pub ip: String,
    pub environment: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobScript {
    pub path: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    pub path: String,
    pub content: String,
}

impl JobParams {
    /// Checks what can be checked without a provider.
    pub fn check(&self) -> Result<()> {
        let is_line = |text: &str| text.len() <= 255 && !text.chars().any(char::is_control);
        if self.name.is_empty() || !is_line(&self.name) {
            return Err(Error::invalid("name", "a job needs a name of at most 255 bytes, on one line"));
        }
        match &self.repository {
            None => {
                return Err(Error::invalid(
                    "repository",
                    "a job needs the repository that it builds: its url and branch",
                ));
            }
            Some(repository) => {
                crate::domain::repository::check_url(&repository.url)?;
                crate::domain::reference::check_name(&repository.branch)?;
            }
        }
        if self.committed && !(self.files.is_empty() && self.scripts.is_empty()) {
            let message = "a pipeline that the repository has already takes neither `files` nor `scripts`";
            return Err(Error::invalid("committed", message));
        }
        if !self.files.is_empty() && !self.scripts.is_empty() {
            return Err(Error::invalid("files", "give either `files`, or `scripts` to generate them from"));
        }
        if !self.committed && self.files.is_empty() && self.scripts.is_empty() {
            let message = "a job has to do something: give `scripts`, or `files` of a pipeline, or say `committed` if the \
                           repository has its pipeline already";
            return Err(Error::invalid("scripts", message));
        }
        for (i, file) in self.files.iter().enumerate() {
            path::check_relative(&format!("files/{i}/path"), &file.path)?;
        }
        values("parameters", &self.parameters)?;
        check_retries("retries", self.retries)?;
        if self.retry_delay_secs > 3600 {
            return Err(Error::invalid(
                "retry_delay_secs",
                "retry_delay_secs has to be at most 3600, an hour",
            ));
        }
        self.check_failover()
    }

    /// Milliseconds before the attempt of this number, the second one being the first that is started again.
    pub fn retry_delay_ms(&self, attempt: i64) -> UnixMs {
        let doublings = u32::try_from(attempt - 2).unwrap_or(0).min(MOST_RETRIES);
        i64::from(self.retry_delay_secs) * 1000 * (1 << doublings)
    }

    /// What a generator writes the pipeline from.
    pub fn model(&self, report_url: Option<String>) -> Result<PipelineModel> {
        let mut environments: Vec<Environment> = Vec::new();
        for host in &self.hosts {
            if environments.iter().all(|one| one.name != host.environment) {
                let name = host.environment.clone();
                environments.push(Environment { name, variables: Vec::new(), approval: false });
            }
        }
        let host = |host: &Host| PipelineHost {
            name: host.name.clone(),
            address: host.ip.clone(),
            environment: host.environment.clone(),
        };
        let script = |script: &JobScript| {
            let parameters = parameters("scripts", &script.parameters)?;
            Ok(Script { path: script.path.clone(), parameters })
        };
        let repository =
            self.repository.clone().unwrap_or(JobRepository { url: String::new(), branch: String::new() });
        let model = PipelineModel {
            name: self.name.clone(),
            description: self.description.clone(),
            repository: PipelineRepository { url: repository.url, branch: repository.branch },
            environments,
            hosts: self.hosts.iter().map(host).collect(),
            scripts: self.scripts.iter().map(script).collect::<Result<_>>()?,
            parameters: parameters("parameters", &self.parameters)?,
            report_url,
            template: None,
        };
        model.check()?;
        Ok(model)
    }

    /// What the provider is asked to make, with the files of the pipeline.
    pub fn spec(&self, pipeline: Vec<(String, String)>) -> Result<CiJobSpec> {
        let repository =
            self.repository.clone().unwrap_or(JobRepository { url: String::new(), branch: String::new() });
        let parameter =
            |(name, default): (String, String)| CiParameter { name, default, description: String::new() };
        Ok(CiJobSpec {
            name: self.name.clone(),
            description: self.description.clone(),
            folder: self.folder.clone(),
            repository_url: repository.url,
            branch: repository.branch,
            pipeline,
            parameters: values("parameters", &self.parameters)?.into_iter().map(parameter).collect(),
        })
    }
}

/// # Errors
/// `Invalid`, naming the field.
pub fn check_retries(field: &str, retries: u32) -> Result<()> {
    if retries <= MOST_RETRIES {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{field} has to be at most {MOST_RETRIES}")))
}

/// The texts that providers take: numbers and truth values are written out.
pub fn values(field: &str, given: &Map<String, Value>) -> Result<Vec<(String, String)>> {
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        _ => Err(Error::invalid(
            format!("{field}.{name}"),
            format!("`{name}` has to be a text, a number, true or false"),
        )),
    };
    given.iter().map(text).collect()
}

fn parameters(field: &str, given: &Map<String, Value>) -> Result<Vec<Parameter>> {
    Ok(values(field, given)?.into_iter().map(|(name, value)| Parameter { name, value }).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_parameters_become_a_model_with_an_environment_for_each_that_hosts_name() {
        let params: JobParams = serde_json::from_value(serde_json::json!({
            "name": "shop", "repository": { "url": "https://git.example/shop.git", "branch": "main" },
            "hosts": [{ "name": "a", "ip": "192.0.2.1", "environment": "prod" },
                      { "name": "b", "ip": "192.0.2.2", "environment": "prod" }],
            "scripts": [{ "path": "deploy.sh", "parameters": { "LEVEL": 3, "DRY": false } }],
        }))
        .unwrap();
        params.check().unwrap();
        let model = params.model(None).unwrap();
        assert_eq!((model.environments.len(), model.hosts[1].address.as_str()), (1, "192.0.2.2"));
        let values: Vec<&str> = model.scripts[0].parameters.iter().map(|one| one.value.as_str()).collect();
        assert_eq!(values, ["3", "false"]);
    }

    #[test]
    fn each_attempt_waits_twice_as_long_as_the_one_before() {
        let job = JobParams { retry_delay_secs: 5, ..JobParams::default() };
        let delays: Vec<i64> = (2..5).map(|attempt| job.retry_delay_ms(attempt)).collect();
        assert_eq!(delays, [5_000, 10_000, 20_000]);
    }

    #[test]
    fn a_job_that_does_nothing_or_two_things_is_refused_with_the_field() {
        let field = |change: fn(&mut JobParams)| {
            let repository = JobRepository { url: "https://git.example/a.git".into(), branch: "main".into() };
            let mut params = JobParams {
                name: "a".into(),
                repository: Some(repository),
                committed: true,
                ..JobParams::default()
            };
            change(&mut params);
            match params.check() {
                Err(Error::Invalid { field, .. }) => field,
                other => format!("{other:?}"),
            }
        };
        assert_eq!(field(|_| ()), "Ok(())");
        assert_eq!(field(|params| params.committed = false), "scripts");
        assert_eq!(field(|params| params.name = String::new()), "name");
        assert_eq!(field(|params| params.repository = None), "repository");
        assert_eq!(
            field(|params| params.files.push(JobFile { path: "x".into(), content: String::new() })),
            "committed"
        );
        let outside = |params: &mut JobParams| {
            let file = JobFile { path: "../x".into(), content: String::new() };
            (params.committed, params.files) = (false, vec![file]);
        };
        assert_eq!(field(outside), "files/0/path");
        let list = |params: &mut JobParams| {
            params.parameters.insert("A".into(), Value::Array(Vec::new()));
        };
        assert_eq!(field(list), "parameters.A");
    }
}
