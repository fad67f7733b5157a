//! `approve`, `reject`, `promote`, `pause` and `resume`: what people say to a rollout.

use clap::Args;
use serde_json::{Map, Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::text;
use super::view::{Approval, Deployment};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass approve 12
  windlass approve 12 --comment 'looked at the error rate'
  windlass reject 12 --comment 'not on a Friday'

What is answered is the question that the rollout asks now; it is printed. With --plan the answer only
counts if the rollout still asks about that.")]
pub struct AnswerArgs {
    /// Number or id of the deployment.
    deployment: String,
    /// Plan hash of the question, as `-o json` shows it.
    #[arg(long, value_name = "HASH")]
    plan: Option<String>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass promote 12              the pause, timer or bake that it is in ends now
  windlass promote 12 --share 10   only if the new release gets 10 % of the requests still

If the rollout asks a question, the answer is yes. What is not healthy yet is waited for all the same.")]
pub struct PromoteArgs {
    /// Number or id of the deployment.
    deployment: String,
    /// The new release's share of the requests that you saw, in percent.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    share: Option<u32>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass pause 12      nothing changes until it is resumed; what serves goes on serving
  windlass resume 12")]
pub struct HoldArgs {
    /// Number or id of the deployment.
    deployment: String,
}

pub async fn answer(session: &Session, args: &AnswerArgs, verb: &str) -> Outcome<u8> {
    let out = &session.out;
    let asked = session.client.get(&["deployments", &args.deployment, "approvals"]).await?;
    let asked: Vec<Approval> = read(&asked)?;
    let Some(question) = asked.last().filter(|last| last.state == "open") else {
        return Err(Failure::local(
            format!("Deployment {} does not wait for an answer.", text::clean(&args.deployment)),
            format!("`windlass status {}` shows what it does.", text::clean(&args.deployment)),
        ));
    };
    let mut body = Map::new();
    // What was shown is what is answered, even if the rollout asks something else by now.
    let plan = args.plan.as_ref().unwrap_or(&question.plan_hash);
    body.insert("planHash".into(), plan.as_str().into());
    if let Some(comment) = &args.comment {
        body.insert("comment".into(), comment.as_str().into());
    }
    let path = ["deployments", args.deployment.as_str(), verb];
    let value = session.client.post(&path, &Value::Object(body)).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let number = read::<Deployment>(&value)?.seq;
    let done = if verb == "approve" { "approved" } else { "rejected" };
    out.line(&format!("Deployment {number}, {done}: {}", text::clean(&question.prompt)));
    Ok(exit::SUCCESS)
}

pub async fn promote(session: &Session, args: &PromoteArgs) -> Outcome<u8> {
    let out = &session.out;
    let mut body = Map::new();
    if let Some(share) = args.share {
        body.insert("share".into(), share.into());
    }
    if let Some(comment) = &args.comment {
        body.insert("comment".into(), comment.as_str().into());
    }
    let path = ["deployments", args.deployment.as_str(), "promote"];
    let value = session.client.post(&path, &Value::Object(body)).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let number = read::<Deployment>(&value)?.seq;
    out.line(&format!("Deployment {number} goes on at once. Watch it with: windlass status {number}"));
    Ok(exit::SUCCESS)
}

pub async fn hold(session: &Session, args: &HoldArgs, verb: &str) -> Outcome<u8> {
    let out = &session.out;
    let value = session.client.post(&["deployments", &args.deployment, verb], &json!({})).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let number = read::<Deployment>(&value)?.seq;
    out.line(&if verb == "pause" {
        format!(
            "Deployment {number} is paused; what serves goes on serving. Go on with: windlass resume {number}"
        )
    } else {
        format!("Deployment {number} goes on.")
    });
    Ok(exit::SUCCESS)
}
