//! Jenkins' JSON, as far as it matters.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Server {
    #[serde(default, rename = "quietingDown")]
    pub quieting_down: bool,
}

#[derive(Deserialize)]
pub struct User {
    pub id: String,
    #[serde(rename = "fullName")]
    pub full_name: Option<String>,
}

/// A job, or a folder.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    #[serde(default, rename = "_class")]
    pub class: String,
    pub url: Option<String>,
    /// `blue`, `red`, …, `disabled`, each with `_anime` behind it while a build runs.
    pub color: Option<String>,
    /// Folders have none.
    pub buildable: Option<bool>,
    pub last_build: Option<Build>,
    /// The newest first.
    #[serde(default)]
    pub builds: Vec<Build>,
    #[serde(default)]
    pub property: Vec<Option<Property>>,
    #[serde(default)]
    pub actions: Vec<Option<Property>>,
}

/// One of a job's properties; older servers have the definitions among the actions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Property {
    #[serde(default)]
    pub parameter_definitions: Vec<ParameterDefinition>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ParameterDefinition {
    pub name: String,
    /// `StringParameterDefinition`, `BooleanParameterDefinition`, …
    #[serde(default, rename = "type")]
    pub kind: String,
    pub choices: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    pub number: u64,
    pub queue_id: Option<i64>,
    #[serde(default)]
    pub building: bool,
    pub result: Option<String>,
    /// Unix milliseconds of the start.
    pub timestamp: Option<u64>,
    /// Milliseconds; 0 while it runs.
    #[serde(default)]
    pub duration: u64,
    pub url: Option<String>,
    #[serde(default)]
    pub actions: Vec<Option<Parameters>>,
    #[serde(default)]
    pub artifacts: Vec<Artifact>,
}

/// An action of a build or of an item in the queue; most have no parameters.
#[derive(Deserialize)]
pub struct Parameters {
    #[serde(default)]
    pub parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
pub struct Parameter {
    pub name: String,
    /// A text, a truth value, or nothing at all for what is secret.
    #[serde(default)]
    pub value: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    pub relative_path: String,
}

/// What waits, or has left the queue in the last five minutes.
#[derive(Deserialize)]
pub struct QueueItem {
    pub id: u64,
    pub why: Option<String>,
    #[serde(default)]
    pub cancelled: bool,
    /// The build it became.
    pub executable: Option<Executable>,
    #[serde(default)]
    pub actions: Vec<Option<Parameters>>,
}

#[derive(Deserialize)]
pub struct Executable {
    pub number: u64,
}

#[derive(Deserialize)]
pub struct Queue {
    #[serde(default)]
    pub items: Vec<QueueItem>,
}

impl Item {
    /// The parameters it takes, each once.
    pub fn definitions(&self) -> Vec<ParameterDefinition> {
        let mut found: Vec<ParameterDefinition> = Vec::new();
        let all = self.property.iter().chain(&self.actions).flatten();
        for definition in all.flat_map(|property| &property.parameter_definitions) {
            if !found.iter().any(|known| known.name == definition.name) {
                found.push(definition.clone());
            }
        }
        found
    }

    pub fn is_folder(&self) -> bool {
        self.buildable.is_none() && self.color.is_none()
    }

    pub fn is_disabled(&self) -> bool {
        self.color.as_deref().is_some_and(|color| color.starts_with("disabled"))
    }
}

/// Whether one of the actions has the parameter with this value.
pub fn carries(actions: &[Option<Parameters>], name: &str, value: &str) -> bool {
    let all = actions.iter().flatten().flat_map(|action| &action.parameters);
    all.into_iter().any(|parameter| parameter.name == name && parameter.value.as_str() == Some(value))
}
