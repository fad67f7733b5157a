//! The form of a stack: what was typed, what it means, and what stands against it, field by field.

use serde_json::Value;

use super::form::{Fields, lines};
use crate::app::stack::{RepositoryInput, StackInput, StackView};
use crate::domain::build_config::{BuildArg, BuildSettings, EnvVar};
use crate::domain::repository::{GitAuthType, GitCredentials};
use crate::domain::stack::{Port, RunSpec, Volume};
use crate::error::{Error, Result};

/// Empty rows that a form offers beyond those in use.
const SPARE_ROWS: usize = 1;

/// Everything as text, so that nothing that was typed is lost on the way to a valid value.
#[derive(Default, Clone)]
pub struct StackForm {
    pub name: String,
    pub description: String,
    pub project: String,
    pub url: String,
    pub branch: String,
    pub provider: String,
    pub auth: String,
    pub username: String,
    pub token: String,
    pub private_key: String,
    pub passphrase: String,
    pub webhook_secret: String,
    pub build_type: String,
    pub context_path: String,
    pub dockerfile_path: String,
    pub target: String,
    pub timeout: String,
    pub args: Vec<ArgRow>,
    pub env: Vec<EnvRow>,
    pub ports: Vec<PortRow>,
    pub volumes: Vec<VolumeRow>,
    pub replicas: String,
    pub command: String,
    pub stop_timeout: String,
    pub allow_downtime: bool,
    pub health_path: String,
    pub health_timeout: String,
    pub auto_deploy: bool,
    pub branches: String,
    pub rollback_on_failure: bool,
    pub strategy: String,
    pub strategy_params: String,
    /// Credentials are stored that the form does not show.
    pub has_credentials: bool,
    pub has_webhook_secret: bool,
    pub errors: Vec<FieldError>,
}

#[derive(Clone)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

#[derive(Default, Clone)]
pub struct ArgRow {
    pub name: String,
    pub value: String,
}

#[derive(Default, Clone)]
pub struct EnvRow {
    pub name: String,
    pub value: String,
    pub secret: bool,
    /// A secret value is stored that the form does not show.
    pub stored: bool,
}

#[derive(Default, Clone)]
pub struct PortRow {
    pub container: String,
    pub host: String,
    pub address: String,
}

#[derive(Default, Clone)]
pub struct VolumeRow {
    pub name: String,
    pub path: String,
    pub read_only: bool,
}

impl StackForm {
    /// The form of a stack that does not exist yet.
    pub fn empty() -> Self {
        Self {
            project: "default".into(),
            branch: "main".into(),
            provider: "generic".into(),
            auth: "none".into(),
            replicas: "1".into(),
            auto_deploy: true,
            rollback_on_failure: true,
            ports: vec![PortRow { address: "127.0.0.1".into(), ..PortRow::default() }],
            ..Self::default()
        }
        .with_spare_rows()
    }

    /// What is stored, without the secrets.
    pub fn of(view: &StackView, project: &str) -> Self {
        let (settings, run) = (&view.build.settings, &view.stack.run);
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        let number = |value: Option<u32>| value.map_or(String::new(), |value| value.to_string());
        let params = match &view.stack.strategy_params {
            Value::Object(map) if map.is_empty() => String::new(),
            value => serde_json::to_string_pretty(value).unwrap_or_default(),
        };
        let mut form = Self {
            name: view.stack.name.clone(),
            description: view.stack.description.clone(),
            project: project.to_string(),
            build_type: settings.build_type.clone(),
            context_path: optional(&settings.context_path),
            dockerfile_path: optional(&settings.dockerfile_path),
            target: optional(&settings.target),
            timeout: settings.timeout.to_string(),
            args: settings.build_args.iter().map(ArgRow::from).collect(),
            env: settings.environment_variables.iter().map(EnvRow::from).collect(),
            ports: run.ports.iter().map(PortRow::from).collect(),
            volumes: run.volumes.iter().map(VolumeRow::from).collect(),
            replicas: run.replicas.to_string(),
            command: run.command.as_ref().map_or(String::new(), |words| words.join("\n")),
            stop_timeout: run.stop_timeout_secs.to_string(),
            allow_downtime: run.allow_downtime,
            health_path: optional(&settings.health_check_path),
            health_timeout: number(settings.health_check_timeout),
            auto_deploy: settings.auto_deploy_on_push,
            branches: settings.auto_deploy_branches.join("\n"),
            rollback_on_failure: settings.rollback_on_failure,
            strategy: view.stack.strategy.clone(),
            strategy_params: params,
            branch: "main".into(),
            provider: "generic".into(),
            auth: "none".into(),
            ..Self::default()
        };
        if let Some(row) = &view.repository {
            form.url = row.url.clone();
            form.branch = row.branch.clone();
            form.provider = row.provider.clone();
            form.auth = row.auth_type.as_str().into();
        }
        form.remember_stored(view);
        form.with_spare_rows()
    }

    pub fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.trimmed(name);
        Self {
            name: text("name"),
            description: text("description"),
            project: text("project"),
            url: text("url"),
            branch: text("branch"),
            provider: text("provider"),
            auth: text("auth"),
            username: text("username"),
            token: text("token"),
            private_key: fields.text("private_key"),
            passphrase: fields.text("passphrase"),
            webhook_secret: text("webhook_secret"),
            build_type: text("build_type"),
            context_path: text("context_path"),
            dockerfile_path: text("dockerfile_path"),
            target: text("target"),
            timeout: text("timeout"),
            args: fields.rows("args").iter().map(ArgRow::read).collect(),
            env: fields.rows("env").iter().map(EnvRow::read).collect(),
            ports: fields.rows("ports").iter().map(PortRow::read).collect(),
            volumes: fields.rows("volumes").iter().map(VolumeRow::read).collect(),
            replicas: text("replicas"),
            command: fields.text("command"),
            stop_timeout: text("stop_timeout"),
            allow_downtime: fields.ticked("allow_downtime"),
            health_path: text("health_path"),
            health_timeout: text("health_timeout"),
            auto_deploy: fields.ticked("auto_deploy"),
            branches: fields.text("branches"),
            rollback_on_failure: fields.ticked("rollback_on_failure"),
            strategy: text("strategy"),
            strategy_params: fields.text("strategy_params"),
            ..Self::default()
        }
    }

    /// Which secrets are there already, so that an empty field means "as it is".
    pub fn remember_stored(&mut self, view: &StackView) {
        self.has_credentials = view.repository.as_ref().is_some_and(|row| row.credentials.is_some());
        self.has_webhook_secret = view.repository.as_ref().is_some_and(|row| row.webhook_secret.is_some());
        for row in &mut self.env {
            row.stored = row.secret && stored_secret(Some(view), &row.name).is_some();
        }
    }

    pub fn with_spare_rows(mut self) -> Self {
        for _ in 0..SPARE_ROWS {
            self.args.push(ArgRow::default());
            self.env.push(EnvRow::default());
            self.volumes.push(VolumeRow::default());
        }
        if self.ports.is_empty() {
            self.ports.push(PortRow { address: "127.0.0.1".into(), ..PortRow::default() });
        }
        self
    }

    /// What stands against a field; `run.ports` also answers for `run.ports.0`.
    pub fn error(&self, field: &str) -> Option<&str> {
        let fits = |found: &&FieldError| {
            found.field.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.errors.iter().find(fits).map(|found| found.message.as_str())
    }

    pub fn refuse(&mut self, error: &Error) {
        let field = match error {
            Error::Invalid { field, .. } if field == "ref" => "repository.branch".into(),
            Error::Invalid { field, .. } => field.clone(),
            Error::Conflict(_) => "name".into(),
            Error::Plugin(error) if error.plugin == self.provider => "repository.provider".into(),
            Error::Plugin(_) => "strategy".into(),
            _ => String::new(),
        };
        self.errors.push(FieldError { field, message: error.to_string() });
    }

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
            description: self.description.clone(),
            repository: self.repository(old)?,
            build: self.settings(old)?,
            run: self.run()?,
            strategy: self.strategy.clone(),
            strategy_params: params,
        })
    }

    fn repository(&self, old: Option<&StackView>) -> Result<Option<RepositoryInput>> {
        let old = old.and_then(|view| view.repository.as_ref());
        if self.url.is_empty() {
            if old.is_some() {
                return Err(Error::invalid("repository.url", "a repository can be changed, but not taken away"));
            }
            return Ok(None);
        }
        let auth_type = GitAuthType::parse(&self.auth).unwrap_or(GitAuthType::None);
        let is_kept = old.is_some_and(|row| row.auth_type == auth_type && row.credentials.is_some());
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.trim().is_empty());
        let credentials = GitCredentials {
            username: some(&self.username),
            token: some(&self.token).filter(|_| auth_type == GitAuthType::HttpToken),
            private_key: some(&self.private_key).filter(|_| auth_type == GitAuthType::SshKey),
            passphrase: some(&self.passphrase).filter(|_| auth_type == GitAuthType::SshKey),
        };
        let typed = credentials.token.is_some() || credentials.private_key.is_some();
        let credentials = match auth_type {
            GitAuthType::None => None,
            _ if is_kept && !typed => None,
            _ => Some(credentials),
        };
        Ok(Some(RepositoryInput {
            url: self.url.clone(),
            branch: if self.branch.is_empty() { "main".into() } else { self.branch.clone() },
            provider: self.provider.clone(),
            auth_type,
            credentials,
            webhook_secret: some(&self.webhook_secret),
            auto_sync: old.is_some_and(|row| row.auto_sync),
        }))
    }

    fn settings(&self, old: Option<&StackView>) -> Result<BuildSettings> {
        let base = old.map_or_else(BuildSettings::default, |view| view.build.settings.clone());
        let some = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
        let variable = |row: &EnvRow| {
            let kept = stored_secret(old, &row.name).filter(|_| row.secret && row.value.is_empty());
            EnvVar { name: row.name.clone(), value: kept.unwrap_or_else(|| row.value.clone()), secret: row.secret }
        };
        Ok(BuildSettings {
            build_type: if self.build_type.is_empty() { base.build_type } else { self.build_type.clone() },
            context_path: some(&self.context_path),
            dockerfile_path: some(&self.dockerfile_path),
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
            health_check_path: some(&self.health_path),
            health_check_timeout: number("build.healthCheckTimeout", &self.health_timeout)?,
            rollback_on_failure: self.rollback_on_failure,
            ..base
        })
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
                .map(|row| Volume { name: row.name.clone(), path: row.path.clone(), read_only: row.read_only })
                .collect(),
            command: if command.is_empty() { None } else { Some(command) },
            stop_timeout_secs: number("run.stopTimeoutSecs", &self.stop_timeout)?.unwrap_or(base.stop_timeout_secs),
            allow_downtime: self.allow_downtime,
        })
    }
}

fn stored_secret(old: Option<&StackView>, name: &str) -> Option<String> {
    let variables = &old?.build.settings.environment_variables;
    variables.iter().find(|variable| variable.secret && variable.name == name).map(|variable| variable.value.clone())
}

/// A whole number, or nothing if the field is empty.
fn number<T: std::str::FromStr>(field: &str, text: &str) -> Result<Option<T>> {
    if text.is_empty() {
        return Ok(None);
    }
    let unfit = |_| Error::invalid(field, format!("`{}` is not a number that fits here", text.escape_debug()));
    text.parse().map(Some).map_err(unfit)
}

impl From<&BuildArg> for ArgRow {
    fn from(arg: &BuildArg) -> Self {
        Self { name: arg.name.clone(), value: arg.value.clone() }
    }
}

impl From<&EnvVar> for EnvRow {
    fn from(variable: &EnvVar) -> Self {
        let value = if variable.secret { String::new() } else { variable.value.clone() };
        Self { name: variable.name.clone(), value, secret: variable.secret, stored: variable.secret }
    }
}

impl From<&Port> for PortRow {
    fn from(port: &Port) -> Self {
        let host = port.host.map_or(String::new(), |host| host.to_string());
        Self { container: port.container.to_string(), host, address: port.address.clone() }
    }
}

impl From<&Volume> for VolumeRow {
    fn from(volume: &Volume) -> Self {
        Self { name: volume.name.clone(), path: volume.path.clone(), read_only: volume.read_only }
    }
}

impl ArgRow {
    fn read(fields: &Fields) -> Self {
        Self { name: fields.trimmed("name"), value: fields.text("value") }
    }
}

impl EnvRow {
    fn read(fields: &Fields) -> Self {
        let (name, value) = (fields.trimmed("name"), fields.text("value"));
        Self { name, value, secret: fields.ticked("secret"), stored: false }
    }
}

impl PortRow {
    fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.trimmed(name);
        Self { container: text("container"), host: text("host"), address: text("address") }
    }

    fn port(&self) -> Result<Port> {
        let container = number("run.ports", &self.container)?
            .ok_or_else(|| Error::invalid("run.ports", "a port needs its number inside the container"))?;
        let address = if self.address.is_empty() { "127.0.0.1".into() } else { self.address.clone() };
        Ok(Port { container, host: number("run.ports", &self.host)?, address })
    }
}

impl VolumeRow {
    fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.trimmed(name);
        Self { name: text("name"), path: text("path"), read_only: fields.ticked("read_only") }
    }
}
