//! Every function that the host can call of a kind of plugin, once each.

use std::fmt::Debug;

use bytes::Bytes;
use serde_json::json;
use windlass::domain::build_config::BuildSettings;
use windlass::domain::ci::{CiJobSpec, CiTrigger};
use windlass::domain::forge::{CommitState, CommitStatus};
use windlass::domain::notification::{Notification, Severity};
use windlass::domain::pipeline::{PipelineModel, PipelineRepository};
use windlass::domain::plan::PlanContext;
use windlass::domain::plugin::PluginKind;
use windlass::error::{Error, Result};
use windlass::plugins::{Plugins, Secret, Target};

use crate::sample::{placement, situation};

/// The secret of a webhook that is registered; it is sent in a body.
pub const HOOK: &str = "hook-s3cr3t.eight_x";

/// What came of one call.
pub struct Said {
    /// All of it, as a debugger shows it.
    pub text: String,
    pub error: Option<Error>,
}

fn said<T: Debug>(result: Result<T>) -> Said {
    Said { text: format!("{result:?}"), error: result.err() }
}

/// Calls everything, and says what came of each.
pub async fn every_call(plugins: &Plugins, name: &str, kind: PluginKind, target: &Target) -> Vec<Said> {
    match kind {
        PluginKind::CiProvider => of_a_provider(plugins, name, target).await,
        PluginKind::GitForge => of_a_forge(plugins, name, target).await,
        PluginKind::Notifier => of_a_notifier(plugins, name, target).await,
        PluginKind::PipelineGenerator => of_a_generator(plugins, name).await,
        PluginKind::BuildPlanner => of_a_planner(plugins, name).await,
        PluginKind::DeploymentStrategy => vec![
            said(plugins.strategy_validate(name, "{}", &situation().stack).await),
            said(plugins.strategy_decide(name, Vec::new(), &situation()).await),
        ],
    }
}

async fn of_a_provider(plugins: &Plugins, name: &str, target: &Target) -> Vec<Said> {
    let spec = CiJobSpec {
        name: "job".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://forge.example/a.git".into(),
        branch: "main".into(),
        pipeline: vec![("a.txt".into(), "b".into())],
        parameters: Vec::new(),
    };
    let trigger = CiTrigger { ref_name: None, parameters: Vec::new(), idempotency_key: "k-1".into() };
    let (headers, body) = (Vec::new(), Bytes::from_static(b"{}"));
    vec![
        said(plugins.provider_test(name, target).await),
        said(plugins.provider_create_job(name, target, &spec).await),
        said(plugins.provider_trigger(name, target, "job", &trigger).await),
        said(plugins.provider_job_status(name, target, "job").await),
        said(plugins.provider_build_status(name, target, "job", "1").await),
        said(plugins.provider_build_logs(name, target, "job", "1", None).await),
        said(plugins.provider_cancel(name, target, "job", "1").await),
        said(plugins.provider_delete_job(name, target, "job").await),
        said(plugins.provider_parse(name, headers, body).await),
        said(plugins.provider_artifacts(name, target, "job", "1").await),
        said(plugins.provider_artifact(name, target, ("job", "1", "a"), None).await),
    ]
}

async fn of_a_forge(plugins: &Plugins, name: &str, target: &Target) -> Vec<Said> {
    let status = CommitStatus {
        repository: "a/b".into(),
        commit: "0".repeat(40),
        state: CommitState::Success,
        context: "windlass".into(),
        description: "Deployed".into(),
        url: None,
    };
    let headers = vec![("x-github-event".to_owned(), "ping".to_owned())];
    let (body, on) = (Bytes::from_static(b"{}"), Some(target.connection.clone()));
    let hook = ("a/b", "https://windlass.example/hook");
    vec![
        said(plugins.forge_parse_on(name, headers, body, on).await),
        said(plugins.forge_default_branch(name, target, "a/b").await),
        said(plugins.forge_repository(name, target, "a/b").await),
        said(plugins.forge_register_hook(name, target, hook, &Secret::new(HOOK)).await),
        said(plugins.forge_unregister_hook(name, target, "a/b", "1").await),
        said(plugins.forge_set_status(name, target, &status).await),
        said(plugins.forge_set_deployment(name, target, &placement("a/b", &"0".repeat(40))).await),
        said(plugins.forge_open_pull_requests(name, target, "a/b", None).await),
        said(plugins.forge_pull_request(name, target, "a/b", 1).await),
        said(plugins.forge_set_comment(name, target, ("a/b", 1), "k", "text").await),
    ]
}

async fn of_a_notifier(plugins: &Plugins, name: &str, target: &Target) -> Vec<Said> {
    let event = Notification {
        id: "e1".into(),
        kind: "deployment.successful".into(),
        at: 1,
        severity: Severity::Success,
        title: "shop is out".into(),
        text: String::new(),
        stack: None,
        url: None,
        data: json!({}),
    };
    match plugins.notifier_render(name, target, &event).await {
        Err(error) => vec![said::<()>(Err(error))],
        Ok(requests) => {
            let mut all = vec![Said { text: format!("{requests:?}"), error: None }];
            for request in requests {
                all.push(said(plugins.notifier_send(name, target, &request, "k-1").await));
            }
            all
        }
    }
}

async fn of_a_generator(plugins: &Plugins, name: &str) -> Vec<Said> {
    let repository = PipelineRepository { url: "https://forge.example/a.git".into(), branch: "main".into() };
    let model = PipelineModel { name: "shop".into(), repository, ..PipelineModel::default() };
    vec![
        said(plugins.generator_validate(name, &model, &json!({})).await),
        said(plugins.generator_generate(name, &model, &json!({})).await),
    ]
}

async fn of_a_planner(plugins: &Plugins, name: &str) -> Vec<Said> {
    let settings: BuildSettings = serde_json::from_value(json!({})).unwrap();
    let context = PlanContext {
        stack: "shop".into(),
        ref_name: "main".into(),
        commit: "0".repeat(40),
        files: vec!["Dockerfile".into()],
        settings: settings.clone(),
        contents: Vec::new(),
    };
    vec![
        said(plugins.planner_validate(name, &settings).await),
        said(plugins.planner_plan(name, context).await),
    ]
}
