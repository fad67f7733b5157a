//! The input of a stack, with what counts where something is left out.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::build_config::BuildSettings;
use crate::domain::repository::RepositoryInput;
use crate::domain::server_file::{default_project, empty_object};
use crate::domain::stack::RunSpec;
use crate::domain::traffic::Traffic;

/// What a person writes to create or change a stack. Unknown fields are refused.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StackInput {
    pub name: String,
    #[serde(default = "default_project")]
    pub project: String,
    /// Of a project that this makes: whose it is, by id or name. If left out, the only team that you are a developer of.
    #[serde(default)]
    pub team: Option<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub repository: Option<RepositoryInput>,
    #[serde(default)]
    pub build: BuildSettings,
    #[serde(default)]
    pub run: RunSpec,
    #[serde(default)]
    pub traffic: Traffic,
    #[serde(default)]
    pub strategy: String,
    #[serde(default = "empty_object")]
    pub strategy_params: Value,
    /// Name of the target that it runs on, `local` for this server's engine. Left out: the local one for a new stack, and where it
    /// runs for one that is changed.
    #[serde(default)]
    pub target: Option<String>,
}
