//! What a call into a plugin costs, each with a fresh instance.

use bytes::Bytes;
use windlass::plugins::measure::{self, Percentiles};
use windlass::plugins::{Plugins, Settings};

use crate::load::push_body;
use crate::report::{Goal, Report};

const ROUNDS: usize = 2000;

pub async fn calls(report: &mut Report) {
    report.section("Plugin calls, each with a fresh instance");
    let folder = tempfile::tempdir().unwrap();
    let plugins = Plugins::start(Settings::new(folder.path())).await.unwrap();
    let decide = measure::strategy_decide(&plugins, "standard", ROUNDS).await.unwrap();
    show(report, "standard: decide", decide);
    let headers = [("x-github-event".to_string(), "push".to_string())];
    let body = Bytes::from(push_body());
    let name = format!("github: parse a push of {} bytes", body.len());
    let parse = measure::forge_parse(&plugins, "github", &headers, &body, ROUNDS).await.unwrap();
    show(report, &name, parse);
}

fn show(report: &mut Report, name: &str, took: Percentiles) {
    let note = format!("p99 {:.0} µs, n {ROUNDS}", took.p99.as_secs_f64() * 1e6);
    report.row(&format!("{name} (p50)"), took.p50.as_secs_f64() * 1e6, "µs", Goal::None, &note);
}
