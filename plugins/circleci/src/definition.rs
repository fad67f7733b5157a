//! What a branch's committed configuration says about its parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use windlass_sdk::Failure;
use windlass_sdk::http::{Request, segment};
use windlass_sdk::params::nearest;

use crate::ask;
use crate::name::JobName;
use crate::parse::{Pipeline, PipelineConfig};

/// `parameters:` at the top of a configuration (CircleCI's configuration reference).
#[derive(Debug, Deserialize)]
struct Configuration {
    #[serde(default)]
    parameters: BTreeMap<String, Definition>,
}

#[derive(Debug, Deserialize)]
pub struct Definition {
    /// `string`, `boolean`, `integer` or `enum`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "enum")]
    choices: Vec<String>,
}

pub type Definitions = BTreeMap<String, Definition>;

/// The configuration that the newest pipeline of the branch ran with; none if there was no pipeline yet.
pub fn source(job: &JobName) -> Result<Option<String>, Failure> {
    #[derive(Deserialize)]
    struct Newest {
        items: Vec<Pipeline>,
    }
    let request = Request::get(format!("{}/pipeline", job.slug.path())).query("branch", &job.branch);
    let newest: Newest = ask::missing(ask::read(request), || ask::no_such_project(&job.slug.short()))?;
    let Some(pipeline) = newest.items.first() else {
        return Ok(None);
    };
    let path = format!("/api/v2/pipeline/{}/config", segment(&pipeline.id));
    match ask::read::<PipelineConfig>(Request::get(path)) {
        Ok(config) => Ok(Some(config.source)),
        // CircleCI forgets the configurations of old pipelines.
        Err(failure) if failure.code == "status-404" => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The parameters that a configuration declares; none if it cannot be read, in which case CircleCI is to judge.
pub fn read(source: &str) -> Option<Definitions> {
    serde_saphyr::from_str::<Configuration>(source).ok().map(|found| found.parameters)
}

/// What a parameter is called at CircleCI, which knows no upper case: generated configurations declare `VERSION` as
/// `version`, and `V`, which is too short, as `param-v`.
pub fn name(definitions: Option<&Definitions>, given: &str) -> String {
    let lower = given.to_ascii_lowercase();
    let is_declared = |name: &str| definitions.is_some_and(|known| known.contains_key(name));
    let long = format!("param-{lower}");
    match definitions {
        Some(known) if known.contains_key(given) => given.to_owned(),
        _ if !is_declared(&lower) && is_declared(&long) => long,
        _ => lower,
    }
}

/// A value as the definition wants it, or what is wrong with it.
pub fn typed(definitions: &Definitions, name: &str, value: &str) -> Result<Value, String> {
    let Some(definition) = definitions.get(name) else {
        let known: Vec<&str> = definitions.keys().map(String::as_str).collect();
        return Err(match nearest(name, known.iter().copied()) {
            Some(near) => format!("The configuration declares no parameter `{name}`; did you mean `{near}`?"),
            None if known.is_empty() => {
                format!("The configuration declares no parameter `{name}`; it declares none.")
            }
            None => format!("The configuration declares no parameter `{name}`, only {}.", known.join(", ")),
        });
    };
    let wrong = |wanted: &str| format!("The parameter `{name}` has to be {wanted}, but is `{value}`.");
    match definition.kind.as_str() {
        "boolean" => value.parse::<bool>().map(Value::from).map_err(|_| wrong("true or false")),
        "integer" => value.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
        "enum" if !definition.choices.iter().any(|choice| choice == value) => {
            Err(wrong(&format!("one of {}", definition.choices.join(", "))))
        }
        _ => Ok(Value::from(value)),
    }
}
