//! The form of a stack: what was typed, what it means, and what stands against it, field by field.

use serde_json::Value;

use super::form::Fields;
use super::stack_input::stored_secret;
use super::stack_rows::{ArgRow, EnvRow, PortRow, VolumeRow};
use crate::app::stack::StackView;
use crate::domain::build_options::BuildOptions;
use crate::domain::compose::Grant;
use crate::error::Error;

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
    pub app_id: String,
    pub installation_id: String,
    /// The app's.
    pub app_key: String,
    pub client_id: String,
    pub client_secret: String,
    pub refresh_token: String,
    pub webhook_secret: String,
    pub build_type: String,
    /// A command a line.
    pub pre_build: String,
    pub post_build: String,
    /// JSON.
    pub options: String,
    pub context_path: String,
    pub dockerfile_path: String,
    pub compose_path: String,
    pub service: String,
    pub exclusive: String,
    /// Each grant there is, and whether the stack has it.
    pub grants: Vec<(&'static str, bool)>,
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
    pub hosts: String,
    pub path: String,
    pub redirect_https: bool,
    pub health_path: String,
    pub health_timeout: String,
    pub auto_deploy: bool,
    /// Whether the git server is looked at regularly.
    pub auto_sync: bool,
    /// Whether the forge is shown what becomes of its commits.
    pub commit_status: bool,
    pub branches: String,
    pub tags: String,
    pub paths: String,
    pub rollback_on_failure: bool,
    pub strategy: String,
    pub strategy_params: String,
    /// Name of the deploy target; `target` is the Dockerfile's.
    pub machine: String,
    /// Those to choose from.
    pub machines: Vec<String>,
    /// Credentials are stored that the form does not show.
    pub has_credentials: bool,
    pub has_webhook_secret: bool,
    pub errors: Vec<FieldError>,
}

fn grants(has: impl Fn(Grant) -> bool) -> Vec<(&'static str, bool)> {
    Grant::ALL.map(|grant| (grant.as_str(), has(grant))).to_vec()
}

#[derive(Clone)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl StackForm {
    /// The form of a stack that does not exist yet.
    pub fn empty() -> Self {
        Self {
            project: "default".into(),
            provider: "generic".into(),
            auth: "none".into(),
            replicas: "1".into(),
            path: "/".into(),
            grants: grants(|_| false),
            auto_deploy: true,
            commit_status: true,
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
            pre_build: settings.pre_build_commands.join("\n"),
            post_build: settings.post_build_commands.join("\n"),
            options: options_text(&settings.options),
            context_path: optional(&settings.context_path),
            dockerfile_path: optional(&settings.dockerfile_path),
            compose_path: optional(&settings.compose_path),
            service: optional(&run.service),
            exclusive: optional(&run.exclusive),
            grants: grants(|grant| run.grants.contains(&grant)),
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
            hosts: view.stack.traffic.hosts.join("\n"),
            path: view.stack.traffic.path.clone(),
            redirect_https: view.stack.traffic.redirect_https,
            health_path: optional(&settings.health_check_path),
            health_timeout: number(settings.health_check_timeout),
            auto_deploy: settings.auto_deploy_on_push,
            branches: settings.auto_deploy_branches.join("\n"),
            tags: settings.auto_deploy_tags.join("\n"),
            paths: settings.auto_deploy_paths.join("\n"),
            rollback_on_failure: settings.rollback_on_failure,
            strategy: view.stack.strategy.clone(),
            strategy_params: params,
            machine: optional(&view.stack.target),
            provider: "generic".into(),
            auth: "none".into(),
            commit_status: true,
            ..Self::default()
        };
        if let Some(row) = &view.repository {
            form.url = row.url.clone();
            form.branch = row.branch.clone();
            form.provider = row.provider.clone();
            form.auth = row.auth_type.as_str().into();
            form.auto_sync = row.auto_sync;
            form.commit_status = row.commit_status;
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
            app_id: text("app_id"),
            installation_id: text("installation_id"),
            app_key: fields.text("app_key"),
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            refresh_token: text("refresh_token"),
            webhook_secret: text("webhook_secret"),
            build_type: text("build_type"),
            pre_build: text("pre_build"),
            post_build: text("post_build"),
            options: text("options"),
            context_path: text("context_path"),
            dockerfile_path: text("dockerfile_path"),
            compose_path: text("compose_path"),
            service: text("service"),
            exclusive: text("exclusive"),
            grants: grants(|grant| fields.ticked(&format!("grant.{}", grant.as_str()))),
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
            hosts: fields.text("hosts"),
            path: text("path"),
            redirect_https: fields.ticked("redirect_https"),
            health_path: text("health_path"),
            health_timeout: text("health_timeout"),
            auto_deploy: fields.ticked("auto_deploy"),
            auto_sync: fields.ticked("auto_sync"),
            commit_status: fields.ticked("commit_status"),
            branches: fields.text("branches"),
            tags: fields.text("tags"),
            paths: fields.text("paths"),
            rollback_on_failure: fields.ticked("rollback_on_failure"),
            strategy: text("strategy"),
            strategy_params: fields.text("strategy_params"),
            machine: text("machine"),
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
}

/// Nothing where everything is as usual.
fn options_text(options: &BuildOptions) -> String {
    if *options == BuildOptions::default() {
        return String::new();
    }
    // Options are made of texts, numbers and lists, which can always be written.
    serde_json::to_string_pretty(options).unwrap_or_default()
}
