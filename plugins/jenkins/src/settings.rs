//! What an operator may set for a connection.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::{Connection, Failure};

#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    pub pipeline_from: PipelineFrom,
    pub repository_credentials: String,
    pub ref_parameter: String,
}

/// Where the job has its pipeline from.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum PipelineFrom {
    /// The script stands in the job.
    #[default]
    Job,
    /// Jenkins reads the file from the repository at each build.
    Repository,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            pipeline_from: PipelineFrom::Job,
            repository_credentials: String::new(),
            ref_parameter: "BRANCH".to_owned(),
        }
    }
}

pub fn schema() -> String {
    let defaults = Settings::default();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "pipeline_from": {
                "enum": ["job", "repository"], "default": "job",
                "description": "Whether the pipeline stands in the job, or Jenkins reads it from the repository",
            },
            "repository_credentials": {
                "type": "string", "pattern": "^[A-Za-z0-9_.-]{0,255}$", "default": defaults.repository_credentials,
                "description": "Id of the credentials in Jenkins with which it reads the repository",
            },
            "ref_parameter": {
                "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,63}$", "default": defaults.ref_parameter,
                "description": "The job's parameter that says which branch or tag to build",
            },
        },
    })
    .to_string()
}

pub fn read(connection: &Connection) -> Result<Settings, Failure> {
    serde_json::from_str(&connection.settings).map_err(|error| {
        Failure::permanent("invalid-settings", format!("The connection's settings cannot be read: {error}."))
    })
}
