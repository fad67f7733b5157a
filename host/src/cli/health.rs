//! `health`: the instances of a release, asked now.

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::status::{Found, find};
use super::table::{Cell, Table, cells};
use super::text::clean;
use super::view::{Deployment, Stack};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass health web     what serves the stack now
  windlass health 12      the release of deployment 12, also while it is rolled out

Every instance is asked once, as its health gate asks it. The exit code is 1 unless something runs and all of it
is well.")]
pub struct HealthArgs {
    /// A stack's name, or a deployment's number or id. A number always means a deployment.
    #[arg(value_name = "STACK|DEPLOYMENT")]
    target: String,
}

#[derive(Deserialize)]
struct Health {
    deployment: i64,
    healthy: bool,
    path: Option<String>,
    instances: Vec<Checked>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    name: String,
    healthy: bool,
    #[serde(default)]
    reason: String,
    took_ms: u64,
    restarts: u32,
}

pub async fn health(session: &Session, args: &HealthArgs) -> Outcome<u8> {
    let out = &session.out;
    let value = match find(session, &args.target).await? {
        Found::Deployment(value) => {
            let number = read::<Deployment>(&value)?.seq.to_string();
            session.client.post(&["deployments", &number, "health-check"], &json!({})).await?
        }
        Found::Stack(value) => {
            let name = read::<Stack>(&value)?.name;
            session.client.post(&["stacks", &name, "health-check"], &json!({})).await?
        }
    };
    let health: Health = read(&value)?;
    let code = if health.healthy { exit::SUCCESS } else { exit::FAILED };
    if out.is_json() {
        out.json(&value);
        return Ok(code);
    }
    if health.instances.is_empty() {
        out.line(&format!("No instance of the release of deployment {} runs.", health.deployment));
        return Ok(code);
    }
    let mut table = Table::new(&["INSTANCE", "HEALTH", "TOOK", "RESTARTS", "WHY"]);
    for one in &health.instances {
        let (word, tone) = if one.healthy { ("healthy", Tone::Good) } else { ("unhealthy", Tone::Bad) };
        table.row(cells![
            one.name.clone(),
            Cell::toned(word, tone),
            format!("{} ms", one.took_ms),
            one.restarts,
            clean(&one.reason)
        ]);
    }
    table.print(out);
    let well = health.instances.iter().filter(|one| one.healthy).count();
    let asked = health.path.as_deref().map_or(String::new(), |path| format!(", asked for {}", clean(path)));
    out.line(&format!(
        "Deployment {}: {well} of {} instances are healthy{asked}.",
        health.deployment,
        health.instances.len()
    ));
    Ok(code)
}
