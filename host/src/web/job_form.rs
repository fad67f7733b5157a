//! The form of a job at a provider: what it builds, where to, and what happens if it does not begin. As texts with a line for
//! each thing, so that they can be typed.

use serde_json::{Map, Value};

use super::form::Fields;
use super::stack_form::FieldError;
use crate::domain::cicd::{CicdProvider, Failover, Host, JobParams, JobRepository, JobScript};
use crate::error::{Error, Result};

#[derive(Default)]
pub struct JobForm {
    pub name: String,
    pub description: String,
    pub url: String,
    pub branch: String,
    /// `generated`, `committed`, or `files`: those that the job has stay.
    pub pipeline: String,
    pub has_files: bool,
    pub scripts: String,
    pub hosts: String,
    pub parameters: String,
    pub folder: String,
    pub retries: String,
    pub retry_delay: String,
    /// Number of the second provider; empty without one.
    pub second: String,
    pub after: String,
    pub second_committed: bool,
    pub watch: bool,
    pub errors: Vec<FieldError>,
}

impl JobForm {
    pub fn empty() -> Self {
        Self { pipeline: "generated".into(), branch: "main".into(), ..Self::default() }
    }

    /// What is stored. `providers` tell the second one's number.
    pub fn of(job: &JobParams, providers: &[CicdProvider]) -> Self {
        let repository = job.repository.as_ref();
        let other = job.failover.as_ref();
        let second = other.and_then(|other| providers.iter().find(|row| row.id.as_str() == other.provider));
        let pipeline = match job {
            _ if job.committed => "committed",
            _ if !job.files.is_empty() => "files",
            _ => "generated",
        };
        Self {
            name: job.name.clone(),
            description: job.description.clone(),
            url: repository.map_or(String::new(), |one| one.url.clone()),
            branch: repository.map_or(String::new(), |one| one.branch.clone()),
            pipeline: pipeline.to_owned(),
            has_files: !job.files.is_empty(),
            scripts: job.scripts.iter().map(script_text).collect(),
            hosts: job
                .hosts
                .iter()
                .map(|host| format!("{} {} {}\n", host.name, host.ip, host.environment))
                .collect(),
            parameters: pairs_text(&job.parameters, ""),
            folder: job.folder.clone().unwrap_or_default(),
            retries: shown(job.retries),
            retry_delay: shown(job.retry_delay_secs),
            second: second.map_or(String::new(), |row| row.seq.to_string()),
            after: other.map_or(String::new(), |other| shown(other.after_secs)),
            second_committed: other.is_some_and(|other| other.committed),
            watch: job.watch,
            errors: Vec::new(),
        }
    }

    pub fn read(fields: &Fields, stored: Option<&JobParams>) -> Self {
        Self {
            name: fields.trimmed("name"),
            description: fields.trimmed("description"),
            url: fields.trimmed("url"),
            branch: fields.trimmed("branch"),
            pipeline: fields.trimmed("pipeline"),
            has_files: stored.is_some_and(|job| !job.files.is_empty()),
            scripts: fields.text("scripts"),
            hosts: fields.text("hosts"),
            parameters: fields.text("parameters"),
            folder: fields.trimmed("folder"),
            retries: fields.trimmed("retries"),
            retry_delay: fields.trimmed("retry_delay"),
            second: fields.trimmed("second"),
            after: fields.trimmed("after"),
            second_committed: fields.ticked("second_committed"),
            watch: fields.ticked("watch"),
            errors: Vec::new(),
        }
    }

    /// What was typed, over what the form does not show of the stored one.
    pub fn params(&self, stored: Option<&JobParams>) -> Result<JobParams> {
        let kept = stored.cloned().unwrap_or_default();
        let is_generated = self.pipeline == "generated";
        let repository = (!self.url.is_empty())
            .then(|| JobRepository { url: self.url.clone(), branch: self.branch.clone() });
        Ok(JobParams {
            name: self.name.clone(),
            description: self.description.clone(),
            repository,
            hosts: hosts(&self.hosts)?,
            scripts: if is_generated { scripts(&self.scripts)? } else { Vec::new() },
            folder: Some(self.folder.clone()).filter(|folder| !folder.is_empty()),
            parameters: pairs("parameters", &self.parameters)?,
            files: if self.pipeline == "files" { kept.files.clone() } else { Vec::new() },
            committed: self.pipeline == "committed",
            retries: number("retries", &self.retries, 0)?,
            retry_delay_secs: number("retry_delay_secs", &self.retry_delay, 0)?,
            failover: self.failover(kept.failover.as_ref())?,
            watch: self.watch,
            ..kept
        })
    }

    fn failover(&self, kept: Option<&Failover>) -> Result<Option<Failover>> {
        if self.second.is_empty() {
            return Ok(None);
        }
        let after_secs = number("failover.after_secs", &self.after, 600)?;
        let (provider, committed) = (self.second.clone(), self.second_committed);
        let rest = kept.cloned().filter(|_| !committed);
        Ok(Some(match rest {
            Some(rest) => Failover { provider, after_secs, committed, ..rest },
            None => Failover {
                provider,
                after_secs,
                committed,
                folder: kept.and_then(|kept| kept.folder.clone()),
                generator: None,
                settings: Map::new(),
                files: Vec::new(),
            },
        }))
    }

    pub fn error(&self, field: &str) -> Option<&str> {
        let fits = |of: &str| {
            of.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '/']))
        };
        self.errors.iter().find(|found| fits(&found.field)).map(|found| found.message.as_str())
    }

    pub fn refuse(&mut self, error: &Error) {
        let field = if let Error::Invalid { field, .. } = error { field.clone() } else { String::new() };
        self.errors.push(FieldError { field, message: error.to_string() });
    }
}

fn shown(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

/// A number of a form; what counts if nothing was typed.
pub fn number(field: &str, text: &str, empty: u32) -> Result<u32> {
    if text.is_empty() {
        return Ok(empty);
    }
    let wrong = |_| Error::invalid(field, format!("`{}` is no whole number", text.escape_debug()));
    text.parse().map_err(wrong)
}

/// `NAME=VALUE`, one a line.
pub fn pairs(field: &str, text: &str) -> Result<Map<String, Value>> {
    let read = |line: &str| match line.trim().split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), Value::from(value.trim())))
        }
        _ => Err(Error::invalid(field, format!("`{}` has to read NAME=VALUE", line.trim().escape_debug()))),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

pub fn pairs_text(pairs: &Map<String, Value>, indent: &str) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    pairs.iter().map(|(name, value)| format!("{indent}{name}={}\n", text(value))).collect()
}

fn script_text(script: &JobScript) -> String {
    format!("{}\n{}", script.path, pairs_text(&script.parameters, "  "))
}

/// A path a line; the parameters of a script stand below it, indented.
fn scripts(text: &str) -> Result<Vec<JobScript>> {
    let mut found: Vec<JobScript> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match found.last_mut().filter(|_| line.starts_with([' ', '\t'])) {
            Some(script) => script.parameters.extend(pairs("scripts", line)?),
            None => found.push(JobScript { path: line.trim().to_owned(), parameters: Map::new() }),
        }
    }
    Ok(found)
}

/// Name, address and environment, one host a line.
fn hosts(text: &str) -> Result<Vec<Host>> {
    let read = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [name, ip, environment] => {
            Ok(Host { name: name.to_owned(), ip: ip.to_owned(), environment: environment.to_owned() })
        }
        _ => Err(Error::invalid(
            "hosts",
            format!("`{}` has to be a name, an address and an environment", line.trim().escape_debug()),
        )),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_job_comes_back_from_its_form_as_it_went_in() {
        let job: JobParams = serde_json::from_value(serde_json::json!({
            "name": "shop", "repository": { "url": "https://git.example/shop.git", "branch": "main" },
            "hosts": [{ "name": "a", "ip": "192.0.2.1", "environment": "prod" }],
            "scripts": [{ "path": "deploy.sh", "parameters": { "LEVEL": "a = b", "DRY": "no" } }, { "path": "x.sh" }],
            "parameters": { "TARGET": "staging" }, "settings": { "kept": true }, "retries": 2, "watch": true,
        }))
        .unwrap();
        let form = JobForm::of(&job, &[]);
        assert_eq!(form.params(Some(&job)).unwrap(), job);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_told_at_its_field() {
        let refused = |change: fn(&mut JobForm)| {
            let mut form = JobForm::empty();
            change(&mut form);
            let error = form.params(None).unwrap_err();
            form.refuse(&error);
            ["scripts", "hosts", "parameters", "retries"]
                .into_iter()
                .find(|field| form.error(field).is_some())
        };
        assert_eq!(refused(|form| form.hosts = "only-a-name".into()), Some("hosts"));
        assert_eq!(refused(|form| form.scripts = "a.sh\n  NOVALUE".into()), Some("scripts"));
        assert_eq!(refused(|form| form.parameters = "NOVALUE".into()), Some("parameters"));
        assert_eq!(refused(|form| form.retries = "many".into()), Some("retries"));
    }
}
