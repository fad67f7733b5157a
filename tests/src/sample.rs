//! Rows to begin with: a project, a stack, and what hangs on it.

use serde_json::json;
use windlass::{
    domain::{
        Id,
        build::{Build, BuildStatus},
        build_config::{BuildArg, BuildConfig, BuildSettings, EnvVar},
        cicd::{AuthType, CicdProvider, ProviderHealth},
        deployment::{Deployment, DeploymentStatus, RolloutState, TriggerType},
        event::{EventKind, NewEvent},
        forge::{Placement, PlacementState},
        health::HealthCheck,
        log::LogSummary,
        people::DEFAULT_ID,
        project::Project,
        release::{Release, ReleaseSpec, ReleaseState},
        repository::{GitAuthType, GitRepository},
        rollout::{ReleaseFacts, Situation, StackFacts},
        stack::{RunSpec, Stack},
        task::{NewTask, Task, TaskRow},
        template::{PipelineTemplate, TemplateContent},
        traffic::Traffic,
        webhook::{MatchedSecret, Origin},
    },
    queue,
    store::{Db, deployments, new_id, now, projects, repositories, stacks, tasks, webhooks::NewDelivery},
};

pub fn project(name: &str) -> Project {
    let team_id = Id::from_text(DEFAULT_ID);
    Project { id: new_id(), seq: 0, name: name.into(), team_id, created_at: now(), updated_at: now() }
}

pub fn stack(project: &Project, name: &str) -> Stack {
    Stack {
        id: new_id(),
        seq: 0,
        project_id: project.id.clone(),
        name: name.into(),
        description: "a \"sample\" with ünïcode".into(),
        run: RunSpec { replicas: 2, ..RunSpec::default() },
        traffic: Traffic { hosts: vec![format!("{name}.example.org")], ..Traffic::default() },
        strategy: "blue-green".into(),
        strategy_params: json!({ "bake": 5, "z": 1, "a": 2 }),
        target: None,
        active_release_id: None,
        created_at: now(),
        updated_at: now(),
    }
}

pub fn repository(stack: &Stack) -> GitRepository {
    GitRepository {
        id: new_id(),
        stack_id: stack.id.clone(),
        url: "https://git.example/app.git".into(),
        branch: "main".into(),
        auth_type: GitAuthType::HttpToken,
        credentials: Some("sealed".into()),
        webhook_secret: Some("sealed too".into()),
        previous_webhook_secret: None,
        previous_webhook_secret_until: None,
        webhook_url: None,
        provider: "forge".into(),
        auto_sync: true,
        commit_status: true,
        commit_status_error: None,
        hook_id: None,
        hook_error: None,
        last_synced_at: None,
        last_synced_commit: None,
        created_at: now(),
        updated_at: now(),
    }
}

pub fn build_config(stack: &Stack, repository: Option<&GitRepository>) -> BuildConfig {
    let variable =
        |n: usize| EnvVar { name: format!("V{n}"), value: format!("value {n}"), secret: n.is_multiple_of(2) };
    BuildConfig {
        id: new_id(),
        stack_id: stack.id.clone(),
        repository_id: repository.map(|repository| repository.id.clone()),
        settings: BuildSettings {
            build_args: vec![BuildArg { name: "A".into(), value: "1".into() }],
            // More than one statement takes.
            environment_variables: (0..40).map(variable).collect(),
            pre_build_commands: vec!["make \"it\"".into()],
            auto_deploy_branches: vec!["release/.*".into()],
            auto_deploy_tags: vec!["v*".into()],
            auto_deploy_paths: vec!["src/**".into(), "!src/*.md".into()],
            health_check_path: Some("/health".into()),
            health_check_timeout: Some(7),
            ..BuildSettings::default()
        },
        created_at: now(),
        updated_at: now(),
    }
}

pub fn build(stack: &Stack, deployment: Option<&Id>) -> Build {
    Build {
        id: new_id(),
        seq: 0,
        project_id: stack.project_id.clone(),
        stack_id: stack.id.clone(),
        deployment_id: deployment.cloned(),
        git_url: "https://git.example/app.git".into(),
        git_ref: "main".into(),
        commit_sha: String::new(),
        context_path: ".".into(),
        dockerfile: "Dockerfile".into(),
        image_tag: String::new(),
        image_digest: String::new(),
        status: BuildStatus::Queued,
        error: None,
        log_path: None,
        log_size: 0,
        planner: "docker-build".into(),
        planner_digest: "sha256:1".into(),
        started_at: None,
        finished_at: None,
        created_at: now(),
        pushed: Vec::new(),
    }
}

/// What is known of a log that is complete.
pub fn log(path: &str) -> LogSummary {
    let tail = "12:00:00.000 a line\n".to_owned();
    LogSummary { path: path.to_owned(), bytes: 700, lines: 20, sha256: "ab".repeat(32), tail }
}

pub fn deployment(stack: &Stack) -> Deployment {
    Deployment {
        id: new_id(),
        seq: 0,
        project_id: stack.project_id.clone(),
        stack_id: stack.id.clone(),
        build_config_id: None,
        repository_id: None,
        build_id: None,
        release_id: None,
        stable_release_id: None,
        commit_sha: "c".repeat(40),
        commit_message: Some("a message\nof two lines".into()),
        commit_author: Some("Ada".into()),
        branch: "main".into(),
        tag: None,
        image_tag: String::new(),
        reason: None,
        status: DeploymentStatus::Pending,
        error: None,
        triggered_by: TriggerType::Webhook,
        triggered_by_user: None,
        previous_deployment_id: None,
        rollout: RolloutState {
            strategy: "blue-green".into(),
            strategy_params: json!({ "bake": 5 }),
            memory: vec![0, 159, 146, 150],
            ..RolloutState::default()
        },
        started_at: now(),
        completed_at: None,
    }
}

pub fn release(stack: &Stack, deployment: Option<&Id>) -> Release {
    Release {
        id: new_id(),
        seq: 0,
        stack_id: stack.id.clone(),
        deployment_id: deployment.cloned(),
        build_id: None,
        image_tag: "app:main".into(),
        image_digest: "sha256:2".into(),
        commit_sha: "c".repeat(40),
        spec: ReleaseSpec {
            run: RunSpec::default(),
            health: HealthCheck { path: None, timeout_secs: 5 },
            sealed_environment: Some("sealed".into()),
            compose: None,
        },
        config_hash: "3".into(),
        plugin_digests: json!({ "docker-build": "sha256:1" }),
        state: ReleaseState::Candidate,
        created_at: now(),
    }
}

pub fn event(stack: Option<&Id>) -> NewEvent {
    NewEvent {
        kind: EventKind::StackChanged,
        stack_id: stack.cloned(),
        subject_id: None,
        data: json!({ "n": 1 }),
    }
}

/// Of all projects; stored as its next version.
pub fn template(name: &str) -> PipelineTemplate {
    let mut content = TemplateContent { description: "for a test".into(), ..TemplateContent::default() };
    content.model = json!({ "name": "{{level}}" });
    content.parameters = json!({ "properties": { "level": { "type": "string" } } });
    content.texts.insert("some".into(), "@{jobs}\n".into());
    PipelineTemplate {
        id: new_id(),
        seq: 0,
        project_id: None,
        name: name.to_owned(),
        version: 0,
        content,
        created_by: "admin".into(),
        created_at: now(),
    }
}

/// A task about something that need not exist.
pub fn task(subject: &str) -> NewTask {
    NewTask {
        id: new_id(),
        task: Task::Webhook { event_id: Id::from_text(subject) },
        priority: 0,
        unique_key: None,
        concurrency_key: None,
        run_at: None,
        trace: None,
    }
}

pub fn delivery(id: &str) -> NewDelivery {
    NewDelivery {
        repository_id: None,
        provider: "forge".into(),
        event_type: "push".into(),
        payload: format!("{{\"delivery\":\"{id}\"}}").into_bytes(),
        headers: vec![("content-type".into(), "application/json".into())],
        signature: Some("sha256=abc".into()),
        delivery_id: Some(id.into()),
        verified: true,
        matched_secret: Some(MatchedSecret::Current),
        replay_of: None,
        origin: Origin::Delivery,
    }
}

/// A project with one stack that has a repository.
pub struct Sample {
    pub project: Project,
    pub stack: Stack,
    pub repository: GitRepository,
}

/// Stores a project with one stack, named `name`, that has a repository.
pub async fn store(db: &Db, name: &str) -> Sample {
    let name = name.to_owned();
    db.write(move |tx| {
        Box::pin(async move {
            let project = projects::insert(tx, project(&name)).await?;
            let stack = stacks::insert(tx, stack(&project, &name)).await?;
            let repository = repository(&stack);
            repositories::insert(tx, &repository).await?;
            Ok(Sample { project, stack, repository })
        })
    })
    .await
    .expect("the sample is stored")
}

/// Stores `count` deployments of the stack, oldest first.
pub async fn store_deployments(db: &Db, stack: &Stack, count: usize) -> Vec<Deployment> {
    let stack = stack.clone();
    db.write(move |tx| {
        Box::pin(async move {
            let mut stored = Vec::new();
            for _ in 0..count {
                stored.push(deployments::insert(tx, deployment(&stack)).await?);
            }
            Ok(stored)
        })
    })
    .await
    .expect("the deployments are stored")
}

/// Enqueues a task in a transaction of its own.
pub async fn enqueue(db: &Db, new: NewTask) -> Id {
    let id = new.id.clone();
    let added = db
        .write(move |tx| Box::pin(async move { queue::enqueue(tx, &new).await }))
        .await
        .expect("enqueuing works");
    assert!(added);
    id
}

/// The task's row as it is now.
pub async fn find_task(db: &Db, id: &Id) -> TaskRow {
    tasks::find(&mut db.read().await.expect("a connection"), id.as_str()).await.expect("the task is there")
}

/// A rollout of one release that has just begun.
pub fn situation() -> Situation {
    Situation {
        stack: StackFacts {
            name: "shop".into(),
            run: RunSpec::default(),
            health_timeout_ms: 60_000,
            rollback_on_failure: true,
            can_split: false,
            can_preview: false,
        },
        target: ReleaseFacts {
            id: Id::from_text("r1"),
            image: "shop@sha256:00".into(),
            commit: String::new(),
            created: 1,
        },
        stable: None,
        params: "{}".into(),
        now: 2,
        started: 1,
        step_started: 1,
        fleet: Vec::new(),
        traffic: Vec::new(),
        samples: Vec::new(),
        approval: None,
        abort_requested: false,
    }
}

/// A connection to a CI/CD provider.
pub fn provider(name: &str) -> CicdProvider {
    CicdProvider {
        id: new_id(),
        seq: 0,
        kind: "anvil".into(),
        name: name.into(),
        url: "https://ci.example".into(),
        port: Some(8443),
        auth_type: AuthType::Basic,
        credentials: Some("sealed".into()),
        webhook_secret: Some("sealed too".into()),
        settings: json!({ "a": [1, "ü"] }),
        private_network: true,
        certificates: None,
        tenant_id: Some("default".into()),
        team_id: None,
        creator_id: Some("ada".into()),
        is_active: true,
        health: ProviderHealth::default(),
        created_at: now(),
        updated_at: now(),
    }
}

/// A deployment of a commit that the forge has not heard of, and that serves.
pub fn placement(repository: &str, commit: &str) -> Placement {
    Placement {
        repository: repository.into(),
        commit: commit.into(),
        ref_name: "main".into(),
        is_tag: false,
        environment: "shop".into(),
        transient: false,
        key: "0190f7c2-7a3b-7c4d-8e5f-0123456789ab".into(),
        id: None,
        state: PlacementState::Success,
        url: Some("https://shop.example/".into()),
        log_url: Some("https://windlass.example/deployments/7".into()),
    }
}
