//! `doctor`: what this machine, and a server that runs on it, need to work.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::backup::Backups;
use super::certificate::Certificate;
use super::client::{Client, read};
use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::table::Cell;
use super::target::Target;
use super::text::clean;
use super::view::{Items, Plugin};
use crate::app::doctor::{Check, Verdict, local_checks};

/// For one question to the server.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass doctor
  windlass doctor --config /etc/windlass/windlass.toml

Without --config, `windlass serve` and this command use the built-in defaults and the environment.
Exit code 1 if something fails; warnings leave it at 0.")]
pub struct DoctorArgs {
    /// Configuration file, as for `windlass serve`.
    #[arg(short, long, value_name = "FILE", env = "WINDLASS_CONFIG")]
    config: Option<PathBuf>,
}

pub async fn doctor(out: &Output, token: Option<&str>, args: &DoctorArgs) -> Outcome<u8> {
    let report = local_checks(args.config.as_deref(), |name| std::env::var(name).ok()).await;
    let mut checks = report.checks;
    if let Some(address) = report.taken {
        checks.extend(server_checks(address, token).await);
    }
    show(out, &checks)?;
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    Ok(if failed { exit::FAILED } else { exit::SUCCESS })
}

/// Somebody listens on our address: a Windlass that can be asked, or a stranger.
async fn server_checks(address: SocketAddr, token: Option<&str>) -> Vec<Check> {
    let client = match Client::new(&format!("http://{}", reachable(address)), token) {
        Ok(client) => client,
        Err(failure) => return vec![Check::fail("server", failure.what, failure.advice)],
    };
    let (status, health) = match client.probe("readyz", PATIENCE).await {
        Ok(answer) => answer,
        Err(_) => return vec![stranger(address)],
    };
    let Some(parts) = health.get("parts").and_then(Value::as_object) else { return vec![stranger(address)] };
    let version = clean(health.get("version").and_then(Value::as_str).unwrap_or("?"));
    let mut checks = vec![Check::ok(
        "server",
        format!("Windlass {version} answers at {} (HTTP {status})", client.server()),
    )];
    for (part, state) in parts {
        let state = clean(state.as_str().unwrap_or("?"));
        if state != "ok" && part != "plugins" {
            checks.push(Check::fail(
                "server",
                format!("{}: {state}", clean(part)),
                "The server's log has the details.",
            ));
        }
    }
    checks.push(plugins(&client, token.is_some()).await);
    if token.is_some() {
        checks.extend(certificates(&client).await);
        checks.extend(targets(&client).await);
        checks.extend(backups(&client).await);
        checks.extend(security(&client).await);
    }
    checks
}

async fn plugins(client: &Client, has_token: bool) -> Check {
    if !has_token {
        return Check::ok("plugins", "not asked for: that needs WINDLASS_TOKEN or --token");
    }
    let plugins: Outcome<Vec<Plugin>> = match client.get(&["plugins"]).await {
        Ok(value) => read(&value),
        Err(failure) => Err(failure),
    };
    match plugins {
        Ok(plugins) => {
            let broken: Vec<String> = plugins
                .iter()
                .filter_map(|plugin| plugin.error.as_ref().map(|error| format!("{}: {error}", plugin.name)))
                .collect();
            if broken.is_empty() {
                Check::ok("plugins", format!("{} loaded", plugins.len()))
            } else {
                Check::fail("plugins", broken.join("; "), "`windlass plugin inspect NAME` has the details.")
            }
        }
        Err(Failure { what, advice, .. }) => Check::warn("plugins", what.trim_end_matches('.'), advice),
    }
}

/// One check for each certificate that people should look at, or one for all if they are well.
async fn certificates(client: &Client) -> Vec<Check> {
    let found: Outcome<Vec<Certificate>> = match client.get(&["certificates"]).await {
        Ok(value) => read(&value),
        Err(failure) => Err(failure),
    };
    let rows = match found {
        Ok(rows) => rows,
        Err(Failure { what, advice, .. }) => {
            return vec![Check::warn("certs", what.trim_end_matches('.'), advice)];
        }
    };
    let told = |row: &Certificate| {
        let why = row.error.as_deref().map_or(String::new(), |error| format!(": {}", clean(error)));
        format!("{} is {}{why}", clean(&row.host), clean(&row.state).replace('_', " "))
    };
    let advice = "`windlass certificate renew HOST` tries at once; `windlass certificate list` says when it is tried anyhow.";
    let wrong: Vec<Check> = rows
        .iter()
        .filter_map(|row| match row.state.as_str() {
            "failing" | "expired" => Some(Check::fail("certs", told(row), advice)),
            "renewal_failing" => Some(Check::warn("certs", told(row), advice)),
            _ => None,
        })
        .collect();
    if wrong.is_empty() && !rows.is_empty() {
        return vec![Check::ok("certs", format!("{} for hosts of stacks", rows.len()))];
    }
    wrong
}

/// One check for each target that does not answer, or one for all if they do.
async fn targets(client: &Client) -> Vec<Check> {
    let found: Outcome<Items<Target>> = match client.get(&["targets"]).await {
        Ok(value) => read(&value),
        Err(failure) => Err(failure),
    };
    let rows = match found {
        Ok(rows) => rows.items,
        Err(Failure { what, advice, .. }) => {
            return vec![Check::warn("targets", what.trim_end_matches('.'), advice)];
        }
    };
    let advice = "`windlass target test NAME` asks again; stacks on it cannot be deployed meanwhile.";
    let silent: Vec<Check> = rows
        .iter()
        .filter_map(|row| {
            let error = row.health.error.as_deref()?;
            Some(Check::fail("targets", format!("{}: {}", clean(&row.name), clean(error)), advice))
        })
        .collect();
    if silent.is_empty() && !rows.is_empty() {
        let asked = rows.iter().filter(|row| row.health.state == "reachable").count();
        return vec![Check::ok(
            "targets",
            format!("{asked} of {} answered when they were last asked", rows.len()),
        )];
    }
    silent
}

/// How the last backup went; nothing where none are made, or where the token may not know.
async fn backups(client: &Client) -> Option<Check> {
    let all: Backups = read(&client.get(&["backups"]).await.ok()?).ok()?;
    let last = all.items.iter().find(|row| row.status != "running").filter(|_| all.enabled)?;
    let advice = "`windlass backup list` shows all of them, `windlass backup` makes one now.";
    Some(match &last.error {
        None => Check::ok("backup", "the last one went well"),
        Some(error) => Check::fail("backup", format!("the last one failed: {}", clean(error)), advice),
    })
}

#[derive(Deserialize)]
struct Security {
    grade: String,
    points: u32,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    danger: String,
    what: String,
    why: String,
    advice: String,
}

/// The grade, and a check for each thing that could be safer; nothing where the token may not know. The server works all the same.
async fn security(client: &Client) -> Vec<Check> {
    let found = client.get(&["security"]).await.ok().and_then(|value| read::<Security>(&value).ok());
    let Some(found) = found else { return Vec::new() };
    let detail =
        format!("{}: {} of 100 points for how safely it is set up", clean(&found.grade), found.points);
    let grade = match found.findings.is_empty() {
        true => Check::ok("grade", detail),
        false => Check::warn("grade", detail, "docs/grade.md lists what is looked at."),
    };
    let findings = found.findings.iter().map(|one| {
        let detail = format!("{}: {}; {}", clean(&one.danger), clean(&one.what), clean(&one.why));
        Check::warn("security", detail, clean(&one.advice))
    });
    std::iter::once(grade).chain(findings).collect()
}

fn stranger(address: SocketAddr) -> Check {
    Check::fail(
        "port",
        format!("{address} is taken by something that is no Windlass"),
        "Stop that, or set server.listen (WINDLASS_LISTEN) to another address.",
    )
}

/// Nobody can connect to `0.0.0.0`; who listens there listens on the loopback address as well.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn show(out: &Output, checks: &[Check]) -> Outcome<()> {
    if out.is_json() {
        let value = serde_json::to_value(checks).map_err(|error| Failure::local(error.to_string(), ""))?;
        out.json(&value);
        return Ok(());
    }
    for check in checks {
        let (word, tone) = match check.verdict {
            Verdict::Ok => ("ok", Tone::Good),
            Verdict::Warn => ("warn", Tone::Warning),
            Verdict::Fail => ("fail", Tone::Bad),
        };
        let advice = check.advice.as_deref().map_or(String::new(), |advice| format!(". {advice}"));
        let word = Cell::toned(word, tone).render(out, usize::MAX, 4);
        out.line(&format!("{word}  {:<8}  {}{}", check.name, clean(&check.detail), clean(&advice)));
    }
    Ok(())
}
