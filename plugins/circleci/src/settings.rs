//! What an operator may set for a connection.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::{Connection, Failure};

use crate::name::{Slug, host_and_path};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// By the repository's URL, the project's slug.
    projects: BTreeMap<String, String>,
    /// By the project's slug, the id of its pipeline definition.
    definitions: BTreeMap<String, String>,
}

impl Settings {
    pub fn of(connection: &Connection) -> Result<Self, Failure> {
        serde_json::from_str(&connection.settings).map_err(|error| {
            let said = format!("The connection's settings cannot be read: {error}.");
            Failure::permanent("invalid-settings", said)
        })
    }

    /// The project that builds a repository: as the operator says, or as its URL tells.
    pub fn project(&self, repository: &str) -> Option<Slug> {
        let wanted = host_and_path(repository);
        let said = self.projects.iter().find(|(url, _)| wanted.is_some() && host_and_path(url) == wanted);
        match said {
            Some((_, slug)) => Slug::of(slug),
            None => Slug::of_repository(repository),
        }
    }

    pub fn definition(&self, slug: &Slug) -> Option<&str> {
        let found = self.definitions.iter().find(|(written, _)| Slug::of(written).as_ref() == Some(slug));
        found.map(|(_, definition)| definition.as_str())
    }
}

pub fn schema() -> String {
    let slug = "^(gh|github|bb|bitbucket|circleci)/[^/:]+/[^/:]+$";
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "projects": {
                "type": "object", "default": {},
                "additionalProperties": { "type": "string", "pattern": slug },
                "description": "By a repository's URL, the slug of its project; github.com and bitbucket.org need none",
            },
            "definitions": {
                "type": "object", "default": {},
                "propertyNames": { "pattern": slug },
                "additionalProperties": {
                    "type": "string", "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
                },
                "description": "By a project's slug, the id of the pipeline definition to start (Project Settings, Pipelines)",
            },
        },
    })
    .to_string()
}
