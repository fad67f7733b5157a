//! Starts pipelines, in the form that the project's kind takes.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use windlass_sdk::http::Request;
use windlass_sdk::provider::{Build, BuildStatus, Trigger};
use windlass_sdk::{Connection, Failure};

use crate::name::JobName;
use crate::settings::Settings;
use crate::{ask, convert, definition};

/// What CircleCI takes at most: parameters, and characters of a name and of a value.
const PARAMETERS: usize = 100;
const NAME: usize = 128;
const VALUE: usize = 512;

#[derive(Deserialize)]
struct Created {
    id: String,
    number: u64,
}

pub fn trigger(connection: &Connection, job: &JobName, trigger: &Trigger) -> Result<Build, Failure> {
    let settings = Settings::of(connection)?;
    let parameters = parameters(job, trigger)?;
    let target = target(trigger.ref_name.as_deref().unwrap_or(&job.branch));
    let definition = settings.definition(&job.slug);
    let (path, mut body) = if definition.is_some() || job.slug.needs_definition() {
        let mut body = json!({ "config": target, "checkout": target });
        if let Some(definition) = definition {
            body["definition_id"] = json!(definition);
        }
        ("pipeline/run", body)
    } else {
        ("pipeline", target)
    };
    if !parameters.is_empty() {
        body["parameters"] = Value::Object(parameters);
    }
    let request = Request::post(format!("{}/{path}", job.slug.path()))
        .idempotency_key(trigger.idempotency_key.clone())
        .json(&body)?;
    let response = ask::change(request).map_err(|failure| refused(job, failure))?;
    // Whatever is wrong with the answer, the pipeline may have begun.
    let created: Created = response.json()?;
    let mut build = Build::new(created.id, BuildStatus::Pending);
    build.number = created.number.to_string();
    build.url = Some(convert::page(connection, &job.slug, created.number));
    Ok(build)
}

/// `refs/tags/v1` is a tag; all else is a branch.
fn target(name: &str) -> Value {
    match name.strip_prefix("refs/tags/") {
        Some(tag) => json!({ "tag": tag }),
        None => json!({ "branch": name.strip_prefix("refs/heads/").unwrap_or(name) }),
    }
}

/// The parameters with the types that the branch's configuration declares.
fn parameters(job: &JobName, trigger: &Trigger) -> Result<Map<String, Value>, Failure> {
    let given = &trigger.parameters;
    if given.is_empty() {
        return Ok(Map::new());
    }
    if given.len() > PARAMETERS {
        return Err(invalid(format!(
            "CircleCI takes {PARAMETERS} parameters, and {} were given.",
            given.len()
        )));
    }
    for (name, value) in given {
        if name.chars().count() > NAME || value.chars().count() > VALUE {
            let said = format!(
                "CircleCI takes names of {NAME} and values of {VALUE} characters; the parameter `{name}` is longer."
            );
            return Err(invalid(said));
        }
    }
    let definitions = definition::source(job)?.as_deref().and_then(definition::read);
    let value = |(name, value): &(String, String)| {
        let name = definition::name(definitions.as_ref(), name);
        let value = match &definitions {
            Some(definitions) => definition::typed(definitions, &name, value).map_err(invalid)?,
            None => Value::from(value.as_str()),
        };
        Ok((name, value))
    };
    given.iter().map(value).collect()
}

fn refused(job: &JobName, failure: Failure) -> Failure {
    match failure.code.as_str() {
        "status-404" => ask::no_such_project(&job.slug.short()),
        "status-400" | "status-422" => Failure { code: "invalid-parameters".to_owned(), ..failure },
        _ => failure,
    }
}

fn invalid(said: String) -> Failure {
    Failure::permanent("invalid-parameters", said)
}
