//! `deploy`, `retry`, `rollback` and `cancel`.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::follow::{self, WaitArgs, describe};
use super::text::{self, status_word};
use super::view::{Deployment, Readiness};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass deploy web                     the repository's default branch
  windlass deploy web --ref v1.4.0 -w     a tag, waiting for the outcome
  windlass deploy web --image web:main-3f2a1bc --reason 'hot fix' -f

With -w or -f the exit code is the outcome: 0 successful, 1 failed or rolled back, 3 cancelled,
4 not ended in time, 5 server not reachable or token refused.")]
pub struct DeployArgs {
    /// Name, number or id of the stack.
    stack: String,
    /// Branch, tag or commit to build; the repository's branch if left out.
    #[arg(long = "ref", value_name = "REF", conflicts_with = "image")]
    git_ref: Option<String>,
    /// Image that the Docker engine has already; nothing is built.
    #[arg(long, value_name = "TAG")]
    image: Option<String>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass rollback web --check     only say whether it would work, and to what
  windlass rollback web -w          to the last successful deployment before the current one
  windlass rollback web --to 12")]
pub struct RollbackArgs {
    /// Name, number or id of the stack.
    stack: String,
    /// Number or id of the deployment to go back to; the last successful one before the current if left out.
    #[arg(long, value_name = "DEPLOYMENT")]
    to: Option<String>,
    /// Only say whether a rollback would work now, and to what: exit code 0 if it would, 1 if not.
    #[arg(long, conflicts_with_all = ["to", "wait", "follow"])]
    check: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass cancel 12")]
pub struct CancelArgs {
    /// Number or id of the deployment.
    deployment: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass retry 12 -w     the same commit or image once more, waiting for the outcome")]
pub struct RetryArgs {
    /// Number or id of a deployment that failed, was rolled back or was cancelled.
    deployment: String,
    #[command(flatten)]
    wait: WaitArgs,
}

pub async fn deploy(session: &Session, args: &DeployArgs) -> Outcome<u8> {
    let mut body = Map::new();
    for (key, value) in [("gitRef", &args.git_ref), ("imageTag", &args.image), ("reason", &args.reason)] {
        if let Some(value) = value {
            body.insert(key.into(), value.as_str().into());
        }
    }
    let path = ["stacks", args.stack.as_str(), "deploy"];
    let value = session
        .client
        .post(&path, &Value::Object(body))
        .await
        .map_err(|failure| unknown_stack(failure, &args.stack))?;
    started(session, value, &format!("of stack `{}` started", text::clean(&args.stack)), &args.wait).await
}

pub async fn rollback(session: &Session, args: &RollbackArgs) -> Outcome<u8> {
    let out = &session.out;
    let path = ["stacks", args.stack.as_str(), "rollback"];
    let target = match &args.to {
        Some(to) => read::<Deployment>(&session.client.get(&["deployments", to]).await?)?,
        None => {
            let value =
                session.client.get(&path).await.map_err(|failure| unknown_stack(failure, &args.stack))?;
            let readiness: Readiness = read(&value)?;
            if args.check && out.is_json() {
                out.json(&value);
                return Ok(if readiness.ready { exit::SUCCESS } else { exit::FAILED });
            }
            match readiness.target.filter(|_| readiness.ready) {
                Some(target) => target,
                None => return Err(not_ready(&args.stack, readiness.reason.as_deref())),
            }
        }
    };
    if args.check {
        out.line(&format!("A rollback is ready: to {}.", describe(out, &target)));
        return Ok(exit::SUCCESS);
    }
    if !out.is_json() {
        out.line(&format!("Going back to {}.", describe(out, &target)));
    }
    // What was said is what is asked for, even if another deployment has succeeded meanwhile.
    let body = json!({ "deployment": target.seq.to_string() });
    let value =
        session.client.post(&path, &body).await.map_err(|failure| unknown_stack(failure, &args.stack))?;
    started(session, value, &format!("rolls stack `{}` back", text::clean(&args.stack)), &args.wait).await
}

pub async fn retry(session: &Session, args: &RetryArgs) -> Outcome<u8> {
    let value = session.client.post(&["deployments", &args.deployment, "retry"], &json!({})).await?;
    let how = format!("tries deployment {} again", text::clean(&args.deployment));
    started(session, value, &how, &args.wait).await
}

pub async fn cancel(session: &Session, args: &CancelArgs) -> Outcome<u8> {
    let out = &session.out;
    let value = session.client.post(&["deployments", &args.deployment, "cancel"], &json!({})).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let deployment: Deployment = read(&value)?;
    let number = deployment.seq;
    out.line(&if deployment.status.is_terminal() {
        format!("Deployment {number} is {}.", status_word(deployment.status))
    } else {
        format!("Deployment {number} is being cancelled; what served before goes on serving.")
    });
    Ok(exit::SUCCESS)
}

/// Says that a deployment is there, and follows it if that is wanted.
async fn started(session: &Session, value: Value, how: &str, wait: &WaitArgs) -> Outcome<u8> {
    let out = &session.out;
    let number = read::<Deployment>(&value)?.seq;
    if !out.is_json() {
        out.line(&format!("Deployment {number} {how}."));
    }
    if wait.waits() {
        return follow::follow(session, value, wait).await;
    }
    if out.is_json() {
        out.json(&value);
    } else {
        out.line(&format!("Watch it with: windlass status {number} -w"));
    }
    Ok(exit::SUCCESS)
}

fn not_ready(stack: &str, reason: Option<&str>) -> Failure {
    let reason = text::clean(reason.unwrap_or("the server gave no reason"));
    Failure::local(
        format!("Stack `{}` cannot be rolled back: {reason}.", text::clean(stack)),
        format!("`windlass deploy {} --ref COMMIT` builds an earlier commit again.", text::clean(stack)),
    )
}

/// A missing stack is most often a slip of the keys. An image or a deployment may be missing as well.
pub fn unknown_stack(failure: Failure, stack: &str) -> Failure {
    if failure.is_not_found() && failure.what.starts_with("stack ") {
        let what = format!("There is no stack `{}`.", text::clean(stack));
        return Failure { what, ..failure }.advise("`windlass stack list` shows what there is.");
    }
    failure
}
