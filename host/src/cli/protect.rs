//! `protect`: what deployments of a stack have to wait for.

use clap::Args;
use serde_json::Value;

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::table::{Cell, details};
use crate::domain::protection::{Protection, Window};
use crate::error::Error;

#[derive(Debug, Args)]
#[command(
    after_help = "What is not given stays as it is; without any option it is only shown. Times are in UTC. Examples:
  windlass protect shop --approvals 2
  windlass protect shop --window 'mon,tue,wed,thu 09:00-16:00'
  windlass protect shop --freeze 'the sale runs' --previews true
  windlass protect shop --none"
)]
pub struct ProtectArgs {
    /// Name, number or id of a stack.
    stack: String,
    /// People who have to approve a deployment before its rollout begins.
    #[arg(long, value_name = "N")]
    approvals: Option<u32>,
    /// Whether whoever asked for a deployment may approve it.
    #[arg(long, value_name = "YES")]
    self_approval: Option<bool>,
    /// When rollouts may begin: days, or none for every day, and a time. Several replace what there was.
    #[arg(long, value_name = "WINDOW")]
    window: Vec<String>,
    /// Nothing is rolled out until further notice; say why.
    #[arg(long, value_name = "WHY")]
    freeze: Option<String>,
    /// The freeze is over.
    #[arg(long, conflicts_with = "freeze")]
    thaw: bool,
    /// Whether all this holds for the previews of the stack's pull requests as well.
    #[arg(long, value_name = "YES")]
    previews: Option<bool>,
    /// Deployments have to wait for nothing any more.
    #[arg(long, conflicts_with_all = ["approvals", "self_approval", "window", "freeze", "thaw", "previews"])]
    none: bool,
}

impl ProtectArgs {
    fn changes(&self) -> bool {
        self.approvals.is_some()
            || self.self_approval.is_some()
            || !self.window.is_empty()
            || self.freeze.is_some()
            || self.thaw
            || self.previews.is_some()
            || self.none
    }

    fn apply(&self, mut now: Protection) -> Outcome<Protection> {
        if self.none {
            return Ok(Protection::default());
        }
        now.approvals = self.approvals.unwrap_or(now.approvals);
        now.self_approval = self.self_approval.unwrap_or(now.self_approval);
        if !self.window.is_empty() {
            let windows: Result<_, Error> = self.window.iter().map(|text| Window::parse(text)).collect();
            now.windows = windows.map_err(|error| Failure::usage(error.to_string()))?;
        }
        if self.freeze.is_some() || self.thaw {
            now.freeze = self.freeze.clone();
        }
        now.previews = self.previews.unwrap_or(now.previews);
        Ok(now)
    }
}

pub async fn protect(session: &Session, args: &ProtectArgs) -> Outcome<u8> {
    let path = ["stacks", args.stack.as_str(), "protection"];
    let mut value = session.client.get(&path).await?;
    if args.changes() {
        let new = args.apply(read(&value)?)?;
        let body = serde_json::to_value(&new).unwrap_or(Value::Null);
        value = session.client.put(&path, &body).await?;
    }
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let now: Protection = read(&value)?;
    let windows: Vec<String> = now.windows.iter().map(Window::to_string).collect();
    let windows = if windows.is_empty() { "at any time".to_owned() } else { windows.join("; ") };
    let people = if now.self_approval { "also who asked for it" } else { "not who asked for it" };
    details(
        &session.out,
        vec![
            ("Approvals", Cell::from(format!("{} ({people})", now.approvals))),
            ("Windows", Cell::from(windows)),
            ("Freeze", Cell::from(now.freeze.unwrap_or_else(|| "none".into()))),
            ("Previews", Cell::from(if now.previews { "covered" } else { "not covered" })),
        ],
    );
    Ok(exit::SUCCESS)
}
