//! Mirror: a forge with every optional interface, on a small API of its own. The server's side is `tests/src/anvil.rs`.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use windlass_sdk::forge::{
    CommitStatus, Delivery, Deployment, DeploymentState, Deployments, Event, Forge, Hook, Page, PullRequest,
    PullRequestState, PullRequests, Repositories, RepositoryDetails, State, Status, WebhookAdmin,
};
use windlass_sdk::http::{Request, Response, segment};
use windlass_sdk::{Connection, Failure, Manifest, WebhookContract, WebhookScheme};

pub struct Mirror;

#[derive(Deserialize)]
struct Repository {
    name: String,
    branch: Option<String>,
    clone: Vec<String>,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    title: String,
    open: bool,
    head: String,
    commit: String,
}

fn path(repository: &str, rest: &str) -> String {
    format!("/repos/{}{rest}", segment(repository))
}

fn sent(request: Request, missing: &str) -> Result<Response, Failure> {
    let response = request.credential("token").send()?;
    if response.status == 404 {
        return Err(Failure::permanent(missing, "Mirror does not know it."));
    }
    response.success()
}

fn repository(name: &str) -> Result<Repository, Failure> {
    sent(Request::get(path(name, "")), "no-such-repository")?.json()
}

fn pull_request(pull: Pull) -> PullRequest {
    PullRequest {
        number: pull.number,
        title: pull.title,
        state: if pull.open { PullRequestState::Open } else { PullRequestState::Merged },
        author: "ada".to_owned(),
        head_branch: pull.head,
        head_commit: pull.commit,
        base_branch: "main".to_owned(),
        from_fork: false,
        url: "https://mirror.example/pull".to_owned(),
        extras: Vec::new(),
    }
}

impl Forge for Mirror {
    fn describe() -> Manifest {
        let schemes = vec![WebhookScheme::hmac_sha256_hex("x-mirror-signature", "")];
        Manifest::new("mirror", env!("CARGO_PKG_VERSION"), "Reads the tests' own forge")
            .credential("token", "A token of Mirror", "header:x-mirror-token", true)
            .permission(&[], "/repos/**", "reads repositories, sets hooks and statuses")
            .webhooks(WebhookContract::new(schemes, &[], &[]))
    }

    fn parse_webhook(delivery: Delivery) -> Result<Event, Failure> {
        delivery.json::<Map<String, Value>>()?;
        Ok(Event::Unsupported("mirror sends no events".to_owned()))
    }
}

impl Repositories for Mirror {
    fn get_default_branch(_: Connection, name: &str) -> Result<String, Failure> {
        let empty = || Failure::permanent("empty-repository", "The repository has no branch yet.");
        repository(name)?.branch.ok_or_else(empty)
    }

    fn get_repository_details(_: Connection, name: &str) -> Result<RepositoryDetails, Failure> {
        let found = repository(name)?;
        Ok(RepositoryDetails {
            full_name: found.name,
            default_branch: found.branch.unwrap_or_default(),
            clone_urls: found.clone,
            web_url: Some("javascript:alert(1)".to_owned()),
            description: String::new(),
            private: true,
            archived: false,
            extras: Vec::new(),
        })
    }
}

impl WebhookAdmin for Mirror {
    fn register(_: Connection, hook: Hook) -> Result<String, Failure> {
        let body = json!({ "url": hook.url, "secret": hook.secret_placeholder });
        let request = Request::post(path(&hook.repository, "/hooks")).json(&body)?;
        let id = sent(request, "no-such-repository")?.text();
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let said = "Mirror's answer is no id of a hook.";
            return Err(Failure::permanent("malformed-response", said).after_sending());
        }
        Ok(id)
    }

    fn unregister(_: Connection, name: &str, hook_id: &str) -> Result<(), Failure> {
        let request = Request::delete(path(name, &format!("/hooks/{}", segment(hook_id))));
        match sent(request, "gone") {
            Err(failure) if failure.code == "gone" => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

impl CommitStatus for Mirror {
    fn set_commit_status(_: Connection, status: Status) -> Result<(), Failure> {
        let state = match status.state {
            State::Pending | State::Running => "wait",
            State::Success => "good",
            State::Failure | State::Cancelled | State::Other(_) => "bad",
        };
        let body = json!({ "state": state, "context": status.context, "text": status.description });
        let rest = format!("/commits/{}/status", segment(&status.commit));
        sent(Request::post(path(&status.repository, &rest)).json(&body)?, "no-such-commit").map(|_| ())
    }
}

impl Deployments for Mirror {
    /// Mirror's own id of a deployment is the key that it was told.
    fn set_deployment(_: Connection, deployment: Deployment) -> Result<String, Failure> {
        let state = match deployment.state {
            DeploymentState::Queued | DeploymentState::InProgress => "wait",
            DeploymentState::Success => "good",
            _ => "bad",
        };
        let body = json!({ "commit": deployment.commit, "place": deployment.environment, "state": state });
        let id = deployment.id.unwrap_or(deployment.key);
        let request = Request::put(path(&deployment.repository, &format!("/places/{}", segment(&id))));
        let told = sent(request.json(&body)?, "no-such-deployment")?.json::<Map<String, Value>>()?;
        match told.get("id").and_then(Value::as_str) {
            Some(id) => Ok(id.to_owned()),
            None => {
                let said = "Mirror's answer has no id of a deployment.";
                Err(Failure::permanent("malformed-response", said).after_sending())
            }
        }
    }
}

impl PullRequests for Mirror {
    fn list_open(_: Connection, name: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let request = Request::get(path(name, "/pulls")).query("page", cursor.unwrap_or("1"));
        let response = sent(request, "no-such-repository")?;
        let cursor = response.header("x-next").map(str::to_owned);
        let items: Vec<Pull> = response.json()?;
        Ok(Page { items: items.into_iter().map(pull_request).collect(), cursor })
    }

    fn get_pull_request(_: Connection, name: &str, number: u64) -> Result<PullRequest, Failure> {
        let request = Request::get(path(name, &format!("/pulls/{number}")));
        Ok(pull_request(sent(request, "no-such-pull-request")?.json()?))
    }

    fn set_comment(_: Connection, name: &str, number: u64, key: &str, markdown: &str) -> Result<(), Failure> {
        let rest = format!("/pulls/{number}/comments/{}", segment(key));
        let request = Request::new("PUT", path(name, &rest)).json(&json!({ "text": markdown }))?;
        sent(request, "no-such-pull-request").map(|_| ())
    }
}

windlass_sdk::export_forge!(Mirror, repository, webhook_admin, commit_status, pull_requests, deployments);
