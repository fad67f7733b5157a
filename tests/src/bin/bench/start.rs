//! Start to listening, and what an idle server holds in memory.

use std::time::Duration;

use crate::machine::{cpu_time, load, status_mb};
use crate::process::Server;
use crate::report::{Goal, Report, milliseconds};

const WARM_STARTS: usize = 10;
const COLD_STARTS: usize = 3;
const START_GOAL_MS: f64 = 300.0;
const MEMORY_GOAL_MB: f64 = 40.0;
/// After this long nothing of the start goes on any more.
const SETTLED: Duration = Duration::from_secs(5);

pub async fn starts(report: &mut Report) {
    report.section("Start to listening");
    let mut cold = Vec::new();
    for _ in 0..COLD_STARTS {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::launch(folder.path());
        cold.push(milliseconds(server.took));
        server.stop();
    }
    let folder = tempfile::tempdir().unwrap();
    Server::launch(folder.path()).stop();
    let (mut warm, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..WARM_STARTS {
        let server = Server::launch(folder.path());
        cpu.push(milliseconds(cpu_time(server.pid())));
        warm.push(milliseconds(server.took));
        server.stop();
    }
    report.spread("with compiled plugins", &warm, "ms", Goal::AtMost(START_GOAL_MS));
    report.spread("  of that on the processor (10 ms steps)", &cpu, "ms", Goal::None);
    report.spread("first start, plugins are compiled", &cold, "ms", Goal::None);
    report.note(&format!("load average {}", load()));
}

pub async fn memory(report: &mut Report) {
    report.section("Idle memory, 5 s after a start with all plugins mapped");
    let folder = tempfile::tempdir().unwrap();
    Server::launch(folder.path()).stop();
    let server = Server::launch(folder.path());
    let pid = server.pid();
    tokio::time::sleep(SETTLED).await;
    report.row("resident (VmRSS)", status_mb(pid, "VmRSS"), "MB", Goal::AtMost(MEMORY_GOAL_MB), "");
    report.row(
        "  of that its own (RssAnon)",
        status_mb(pid, "RssAnon"),
        "MB",
        Goal::None,
        "heap, stacks, caches",
    );
    report.row(
        "  of that mapped files (RssFile)",
        status_mb(pid, "RssFile"),
        "MB",
        Goal::None,
        "program and plugins",
    );
    server.stop();
}
