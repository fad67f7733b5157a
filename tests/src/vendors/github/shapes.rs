//! GitHub's objects with everything that its document requires of them.

use serde_json::{Map, Value, json};

use super::deployments::Placed;
use super::{COMMIT, Job, REPOSITORY, Run, World};

const CREATED: &str = "2026-03-04T05:06:07Z";

fn links(base: &str, names: &str) -> Map<String, Value> {
    let link = |name: &str| (format!("{name}_url"), json!(format!("{base}/{name}")));
    names.split_whitespace().map(link).collect()
}

fn merged(all: impl IntoIterator<Item = Value>) -> Value {
    let objects = all.into_iter().filter_map(|value| match value {
        Value::Object(map) => Some(map),
        _ => None,
    });
    Value::Object(objects.flatten().collect())
}

pub fn user(url: &str) -> Value {
    let base = format!("{url}/users/octo");
    let names = "avatar events followers following gists html organizations received_events repos starred subscriptions";
    merged([
        Value::Object(links(&base, names)),
        json!({ "login": "octo", "id": 1, "node_id": "U_1", "gravatar_id": "", "url": base, "type": "User", "site_admin": false }),
    ])
}

pub fn whole_user(url: &str) -> Value {
    merged([
        user(url),
        json!({
            "name": "Octo", "company": null, "blog": null, "location": null, "email": null, "hireable": null, "bio": null,
            "public_repos": 1, "public_gists": 0, "followers": 0, "following": 0, "created_at": CREATED,
            "updated_at": CREATED, "user_view_type": "public",
        }),
    ])
}

pub fn minimal_repository(url: &str) -> Value {
    let base = format!("{url}/repos/{REPOSITORY}");
    let names = "archive assignees blobs branches collaborators comments commits compare contents contributors \
                 deployments downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues \
                 keys labels languages merges milestones notifications pulls releases stargazers statuses subscribers \
                 subscription tags teams trees";
    merged([
        Value::Object(links(&base, names)),
        json!({
            "id": 5, "node_id": "R_5", "name": "app", "full_name": REPOSITORY, "private": true, "owner": user(url),
            "html_url": "https://github.com/octo/app", "description": "An application", "fork": false, "url": base,
        }),
    ])
}

pub fn repository(url: &str) -> Value {
    merged([
        minimal_repository(url),
        json!({
            "clone_url": "https://github.com/octo/app.git", "git_url": "git://github.com/octo/app.git",
            "ssh_url": "git@github.com:octo/app.git", "svn_url": "https://github.com/octo/app", "mirror_url": null,
            "homepage": null, "language": null, "forks_count": 0, "forks": 0, "stargazers_count": 0, "watchers_count": 0,
            "watchers": 0, "size": 7, "default_branch": "main", "open_issues_count": 0, "open_issues": 0,
            "has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_downloads": true,
            "has_discussions": false, "archived": false, "disabled": false, "pushed_at": CREATED, "created_at": CREATED,
            "updated_at": CREATED, "license": null, "network_count": 0, "subscribers_count": 0,
        }),
    ])
}

pub fn workflow(world: &World, file: &str) -> Value {
    let state = world.disabled.as_deref().unwrap_or("active");
    json!({
        "id": 71, "node_id": "W_71", "name": "Deploy", "path": format!(".github/workflows/{file}"), "state": state,
        "created_at": CREATED, "updated_at": CREATED, "url": format!("{}/repos/{REPOSITORY}/actions/workflows/71", world.url),
        "html_url": format!("https://github.com/{REPOSITORY}/blob/main/.github/workflows/{file}"),
        "badge_url": format!("https://github.com/{REPOSITORY}/workflows/Deploy/badge.svg"),
    })
}

pub fn run(world: &World, run: &Run) -> Value {
    let base = format!("{}/repos/{REPOSITORY}/actions/runs/{}", world.url, run.id);
    merged([
        Value::Object(links(&base, "jobs logs check_suite cancel rerun artifacts workflow")),
        json!({
            "id": run.id, "node_id": "WFR_1", "name": "Deploy", "head_branch": run.branch, "head_sha": COMMIT,
            "path": format!(".github/workflows/{}", run.workflow), "run_number": run.id - 900, "run_attempt": run.attempt,
            "display_title": run.title, "event": "workflow_dispatch", "status": run.status, "conclusion": run.conclusion,
            "workflow_id": 71, "url": base, "html_url": format!("https://github.com/{REPOSITORY}/actions/runs/{}", run.id),
            "pull_requests": [], "created_at": CREATED, "updated_at": "2026-03-04T05:09:07Z", "run_started_at": CREATED,
            "head_commit": null, "repository": minimal_repository(&world.url),
            "head_repository": minimal_repository(&world.url),
        }),
    ])
}

pub fn job(world: &World, run: &Run, job: &Job) -> Value {
    let base = format!("{}/repos/{REPOSITORY}/actions/jobs/{}", world.url, job.id);
    let step = json!({ "name": "all", "status": job.status, "conclusion": job.conclusion, "number": 1 });
    let steps = if job.log.is_some() { vec![step] } else { Vec::new() };
    let ended = (job.status == "completed").then_some("2026-03-04T05:09:07Z");
    json!({
        "id": job.id, "run_id": run.id, "run_url": format!("{}/repos/{REPOSITORY}/actions/runs/{}", world.url, run.id),
        "node_id": "J_1", "head_sha": COMMIT, "url": base, "html_url": format!("https://github.com/{REPOSITORY}/job/{}", job.id),
        "status": job.status, "conclusion": job.conclusion, "created_at": CREATED, "started_at": CREATED,
        "completed_at": ended, "name": job.name, "steps": steps, "check_run_url": format!("{base}/check"), "labels": [],
        "runner_id": 1, "runner_name": "r", "runner_group_id": 1, "runner_group_name": "g", "workflow_name": "Deploy",
        "head_branch": run.branch, "run_attempt": run.attempt,
    })
}

pub fn hook(url: &str, id: u64, asked: &Value) -> Value {
    let base = format!("{url}/repos/{REPOSITORY}/hooks/{id}");
    let mut config = asked["config"].clone();
    // It is never told again.
    if config.get("secret").is_some() {
        config["secret"] = json!("********");
    }
    json!({
        "type": "Repository", "id": id, "name": "web", "active": true, "events": asked["events"], "config": config,
        "updated_at": CREATED, "created_at": CREATED, "url": base, "test_url": format!("{base}/test"),
        "ping_url": format!("{base}/pings"), "deliveries_url": format!("{base}/deliveries"),
        "last_response": { "code": null, "status": "unused", "message": null },
    })
}

pub fn status(url: &str, asked: &Value) -> Value {
    json!({
        "url": format!("{url}/repos/{REPOSITORY}/statuses/{COMMIT}"), "avatar_url": null, "id": 1, "node_id": "S_1",
        "state": asked["state"], "description": asked["description"], "target_url": asked["target_url"],
        "context": asked["context"], "created_at": CREATED, "updated_at": CREATED, "creator": user(url),
    })
}

pub fn deployment(url: &str, one: &Placed) -> Value {
    let repository = format!("{url}/repos/{REPOSITORY}");
    let base = format!("{repository}/deployments/{}", one.id);
    json!({
        "url": base, "id": one.id, "node_id": "D_1", "sha": one.asked["ref"], "ref": one.asked["ref"], "task": "deploy",
        "payload": one.asked["payload"], "environment": one.environment(), "description": one.asked["description"],
        "creator": user(url), "created_at": CREATED, "updated_at": CREATED, "statuses_url": format!("{base}/statuses"),
        "repository_url": repository, "transient_environment": one.asked["transient_environment"] == true,
    })
}

pub fn deployment_status(url: &str, deployment: u64, asked: &Value) -> Value {
    let repository = format!("{url}/repos/{REPOSITORY}");
    let base = format!("{repository}/deployments/{deployment}");
    let link = |name: &str| asked[name].as_str().unwrap_or_default();
    json!({
        "url": format!("{base}/statuses/1"), "id": 1, "node_id": "DS_1", "state": asked["state"], "creator": user(url),
        "description": asked["description"], "deployment_url": base, "repository_url": repository,
        "target_url": link("log_url"), "log_url": link("log_url"), "environment_url": link("environment_url"),
        "created_at": CREATED, "updated_at": CREATED,
    })
}

pub fn artifact(world: &World, run: u64, size: usize) -> Value {
    let base = format!("{}/repos/{REPOSITORY}/actions/artifacts/9", world.url);
    json!({
        "id": 9, "node_id": "A_9", "name": "report", "size_in_bytes": size, "url": base,
        "archive_download_url": format!("{base}/zip"), "expired": false, "created_at": CREATED, "updated_at": CREATED,
        "expires_at": "2026-06-04T05:06:07Z", "workflow_run": { "id": run },
    })
}

pub fn pull(url: &str, number: u64) -> Value {
    let side = |branch: &str, full_name: &str| json!({ "ref": branch, "sha": COMMIT, "repo": { "full_name": full_name } });
    json!({
        "number": number, "title": format!("Change {number}"), "state": if number > 1 { "open" } else { "closed" },
        "merged_at": if number > 1 { Value::Null } else { json!(CREATED) }, "user": user(url),
        "head": side("feature", if number == 3 { "stranger/app" } else { REPOSITORY }), "base": side("main", REPOSITORY),
        "html_url": format!("https://github.com/{REPOSITORY}/pull/{number}"),
    })
}
