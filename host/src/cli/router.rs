//! `router`: runs it (which `main` does), or shows what it does.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::table::{Cell, Table, cells};
use crate::app::router::{RouterStatus, router_status};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass router                      run it; `windlass serve` does so with router.enabled = true
  windlass router status               routes, weights, counts and latencies of the one that runs

A router that runs already hands its sockets over to a new one of the same data folder and ends when its
requests have ended; nothing is dropped. SIGHUP does the same with the program's newest version.")]
pub struct RouterArgs {
    /// Configuration file, as for `windlass serve`.
    #[arg(short, long, global = true, value_name = "FILE", env = "WINDLASS_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data folder, in place of the configured one.
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<RouterCommand>,
}

#[derive(Debug, Subcommand)]
pub enum RouterCommand {
    /// Show routes with weights, counts and latencies.
    Status {
        /// Seconds that latencies are about, at most 900.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        window: usize,
    },
}

pub async fn router(out: &Output, args: &RouterArgs) -> Outcome<u8> {
    let Some(RouterCommand::Status { window }) = &args.command else {
        return Err(Failure::usage("`router` is not run from here."));
    };
    let status =
        router_status(args.config.as_deref(), args.data_dir.as_deref(), *window).await.map_err(|error| {
            Failure::local(
                error.for_log(),
                "Name its data folder with --data-dir, or start it with `windlass router`.",
            )
        })?;
    if out.is_json() {
        let value = serde_json::to_value(&status).map_err(|error| Failure::local(error.to_string(), ""))?;
        out.json(&value);
    } else {
        show(out, &status);
    }
    Ok(exit::SUCCESS)
}

fn show(out: &Output, status: &RouterStatus) {
    let health = &status.stats.health;
    out.line(&format!("router process {}, table version {}", health.pid, health.version));
    if status.table.routes.is_empty() {
        out.line("There are no routes yet.");
    }
    let mut table = Table::new(&[
        "ROUTE",
        "FOR",
        "RELEASE",
        "WEIGHT",
        "IN FLIGHT",
        "REQUESTS",
        "5XX",
        "P50",
        "P95",
        "P99",
        "TARGETS",
    ]);
    for report in &status.stats.releases {
        let route = status.table.routes.iter().find(|route| route.name == report.route);
        let scope = route.map_or_else(String::new, |route| match route.hosts.as_slice() {
            [] => format!("*{}", route.path),
            hosts => format!("{}{}", hosts.join(","), route.path),
        });
        let healthy = report.targets.iter().filter(|target| target.healthy).count();
        let targets = format!("{healthy}/{} healthy", report.targets.len());
        let tone = if healthy == report.targets.len() { Tone::Good } else { Tone::Bad };
        let latency = |ms: f64| if report.window.requests == 0 { "-".into() } else { format!("{ms:.1} ms") };
        table.row(cells![
            &report.route,
            scope,
            &report.release,
            report.weight.map_or_else(|| "leaving".into(), |weight| format!("{weight} %")),
            report.in_flight,
            report.window.requests,
            report.window.errors_5xx,
            latency(report.window.p50_ms),
            latency(report.window.p95_ms),
            latency(report.window.p99_ms),
            Cell::toned(targets, tone),
        ]);
    }
    table.print(out);
    for held in status.stats.routes.iter().filter(|route| route.held > 0) {
        out.line(&format!("{} requests for {} are held", held.held, held.route));
    }
}
