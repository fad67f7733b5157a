//! From what was typed to what it means.

use serde_json::Value;

use super::form::lines;
use super::stack_form::StackForm;
use super::stack_rows::{EnvRow, PortRow, number};
use crate::app::stack::{StackInput, StackView};
use crate::domain::build_config::{BuildArg, BuildSettings, EnvVar};
use crate::domain::build_options::BuildOptions;
use crate::domain::compose::Grant;
use crate::domain::repository::{GitAuthType, GitCredentials, RepositoryInput};
use crate::domain::stack::{RunSpec, Volume};
use crate::domain::traffic::Traffic;
use crate::error::{Error, Result};

/// What the form calls `http_token` with an app's key, from which tokens are made.
const APP: &str = "app";
/// The same with a refresh token.
const OAUTH: &str = "oauth";

impl StackForm {
    /// The value that the form means; `old` gives what a form does not show.
    pub fn input(&self, old: Option<&StackView>) -> Result<StackInput> {
        let params = match self.strategy_params.trim() {
            "" => Value::Object(serde_json::Map::new()),
            text => serde_json::from_str(text)
                .map_err(|error| Error::invalid("strategyParams", format!("this is not JSON: {error}")))?,
        };
        Ok(StackInput {
            name: self.name.clone(),
            project: if self.project.is_empty() { "default".into() } else { self.project.clone() },
            team: None,
            description: self.description.clone(),
            repository: self.repository(old)?,
            build: self.settings(old)?,
            run: self.run()?,
            traffic: self.traffic(old),
            strategy: self.strategy.clone(),
            strategy_params: params,
            target: Some(self.machine.clone()).filter(|name| !name.is_empty()),
        })
    }

    /// The part about the repository; none if no address was typed.
    pub fn repository(&self, old: Option<&StackView>) -> Result<Option<RepositoryInput>> {
        let old = old.and_then(|view| view.repository.as_ref());
        if self.url.is_empty() {
            if old.is_some() {
                return Err(Error::invalid(
                    "repository.url",
                    "a repository can be changed, but not taken away",
                ));
            }
            return Ok(None);
        }
        let auth_type = match self.auth.as_str() {
            APP | OAUTH => GitAuthType::HttpToken,
            word => GitAuthType::parse(word).unwrap_or(GitAuthType::None),
        };
        let is_kept = old.is_some_and(|row| row.auth_type == auth_type && row.credentials.is_some());
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.trim().is_empty());
        let (is_app, is_oauth) = (self.auth == APP, self.auth == OAUTH);
        let credentials = GitCredentials {
            username: some(&self.username),
            token: some(&self.token).filter(|_| auth_type == GitAuthType::HttpToken && !is_app && !is_oauth),
            private_key: match auth_type {
                GitAuthType::SshKey => some(&self.private_key),
                _ => some(&self.app_key).filter(|_| is_app),
            },
            passphrase: some(&self.passphrase).filter(|_| auth_type == GitAuthType::SshKey),
            app_id: some(&self.app_id).filter(|_| is_app),
            installation_id: some(&self.installation_id).filter(|_| is_app),
            client_id: some(&self.client_id).filter(|_| is_oauth),
            client_secret: some(&self.client_secret).filter(|_| is_oauth),
            refresh_token: some(&self.refresh_token).filter(|_| is_oauth),
        };
        let typed = credentials.token.is_some()
            || credentials.private_key.is_some()
            || credentials.is_app()
            || credentials.is_oauth()
            || credentials.client_secret.is_some();
        let credentials = match auth_type {
            GitAuthType::None => None,
            _ if is_kept && !typed => None,
            _ => Some(credentials),
        };
        Ok(Some(RepositoryInput {
            url: self.url.clone(),
            branch: self.branch.clone(),
            provider: self.provider.clone(),
            auth_type,
            credentials,
            webhook_secret: some(&self.webhook_secret),
            auto_sync: self.auto_sync,
            commit_status: self.commit_status,
        }))
    }

    fn settings(&self, old: Option<&StackView>) -> Result<BuildSettings> {
        let base = old.map_or_else(BuildSettings::default, |view| view.build.settings.clone());
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        let variable = |row: &EnvRow| {
            let kept = stored_secret(old, &row.name).filter(|_| row.secret && row.value.is_empty());
            EnvVar {
                name: row.name.clone(),
                value: kept.unwrap_or_else(|| row.value.clone()),
                secret: row.secret,
            }
        };
        Ok(BuildSettings {
            build_type: if self.build_type.is_empty() { base.build_type } else { self.build_type.clone() },
            context_path: some(&self.context_path),
            dockerfile_path: some(&self.dockerfile_path),
            compose_path: some(&self.compose_path),
            target: some(&self.target),
            timeout: number("build.timeout", &self.timeout)?.unwrap_or(base.timeout),
            build_args: self
                .args
                .iter()
                .filter(|row| !row.name.is_empty() || !row.value.is_empty())
                .map(|row| BuildArg { name: row.name.clone(), value: row.value.clone() })
                .collect(),
            environment_variables: self
                .env
                .iter()
                .filter(|row| !row.name.is_empty() || !row.value.is_empty())
                .map(variable)
                .collect(),
            auto_deploy_on_push: self.auto_deploy,
            auto_deploy_branches: lines(&self.branches),
            auto_deploy_tags: lines(&self.tags),
            auto_deploy_paths: lines(&self.paths),
            health_check_path: some(&self.health_path),
            health_check_timeout: number("build.healthCheckTimeout", &self.health_timeout)?,
            rollback_on_failure: self.rollback_on_failure,
            pre_build_commands: lines(&self.pre_build),
            post_build_commands: lines(&self.post_build),
            options: self.options()?,
        })
    }

    fn options(&self) -> Result<BuildOptions> {
        match self.options.trim() {
            "" => Ok(BuildOptions::default()),
            text => serde_json::from_str(text)
                .map_err(|error| Error::invalid("build.options", format!("this does not fit: {error}"))),
        }
    }

    fn traffic(&self, old: Option<&StackView>) -> Traffic {
        let base = old.map(|view| view.stack.traffic.clone()).unwrap_or_default();
        Traffic {
            hosts: lines(&self.hosts),
            path: if self.path.is_empty() { "/".into() } else { self.path.clone() },
            redirect_https: self.redirect_https,
            ..base
        }
    }

    fn run(&self) -> Result<RunSpec> {
        let base = RunSpec::default();
        let ports = self.ports.iter().filter(|row| !row.container.is_empty() || !row.host.is_empty());
        let volumes = self.volumes.iter().filter(|row| !row.name.is_empty() || !row.path.is_empty());
        let command = lines(&self.command);
        Ok(RunSpec {
            replicas: number("run.replicas", &self.replicas)?.unwrap_or(base.replicas),
            ports: ports.map(PortRow::port).collect::<Result<_>>()?,
            volumes: volumes
                .map(|row| Volume {
                    name: row.name.clone(),
                    path: row.path.clone(),
                    read_only: row.read_only,
                })
                .collect(),
            command: if command.is_empty() { None } else { Some(command) },
            stop_timeout_secs: number("run.stopTimeoutSecs", &self.stop_timeout)?
                .unwrap_or(base.stop_timeout_secs),
            allow_downtime: self.allow_downtime,
            exclusive: Some(self.exclusive.clone()).filter(|why| !why.is_empty()),
            service: Some(self.service.clone()).filter(|name| !name.is_empty()),
            grants: self
                .grants
                .iter()
                .filter(|(_, has)| *has)
                .filter_map(|(name, _)| Grant::parse(name))
                .collect(),
        })
    }
}

/// The value of a secret variable that is stored already.
pub fn stored_secret(old: Option<&StackView>, name: &str) -> Option<String> {
    let variables = &old?.build.settings.environment_variables;
    variables
        .iter()
        .find(|variable| variable.secret && variable.name == name)
        .map(|variable| variable.value.clone())
}
