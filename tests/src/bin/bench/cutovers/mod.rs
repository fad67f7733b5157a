//! What a load notices of cutovers: of the server's deployments in every way there is, and of the same switch by the router,
//! nginx, haproxy and caddy beside each other.

mod peers;

use std::time::Duration;

use windlass_tests::crossing::{Load, Outcome};
use windlass_tests::cutover::{CUTOVERS, Rig};

use crate::machine::load as load_average;
use crate::report::{Goal, Report, milliseconds};

/// Four hundred small requests a second, besides the long ones.
const LOAD: Load = Load { visitors: 20, pause: Duration::from_millis(50), download_mib: 100 };
const WANTED: usize = 100;
const REQUESTS: usize = 100_000;
/// Without cutovers, for the baseline.
const REST: Duration = Duration::from_secs(20);
/// What is this near to a cutover belongs to it.
const AROUND: Duration = Duration::from_secs(1);
const SLOWER_MS: f64 = 50.0;
const TO_NEW_MS: f64 = 100.0;
const BACK_MS: f64 = 300.0;

pub async fn cutovers(report: &mut Report) {
    report.section(
        "Cutovers under load: 20 clients, WebSockets, answers of 2 s and downloads of 100 MiB, all the time",
    );
    report.note(&format!("load average before {}", load_average()));
    let mut rig = Rig::start(LOAD).await;
    rig.rest(REST).await;
    let mut rounds = 0;
    while rounds * CUTOVERS < WANTED || rig.answered() < REQUESTS {
        rounds += 1;
        rig.round(rounds).await;
    }
    let measured = rig.end().await;
    let outcome = &measured.outcome;
    let found = outcome.cutovers.len() as f64;
    report.row(
        "cutovers",
        found,
        "",
        Goal::AtLeast(WANTED as f64),
        "overlap, blue-green, canary, rollback, switch-back",
    );
    tell(report, "windlass", outcome);
    report.row(
        "  cutovers that not all kinds crossed",
        outcome.uncrossed() as f64,
        "",
        Goal::AtMost(0.0),
        "",
    );
    for (name, times, goal) in [
        ("healthy → all new requests on it", &measured.to_new, TO_NEW_MS),
        ("ordered → switched back", &measured.back, BACK_MS),
    ] {
        let times: Vec<f64> = times.iter().copied().map(milliseconds).collect();
        let worst = times.iter().copied().fold(0.0, f64::max);
        report.spread(&format!("  {name}"), &times, "ms", Goal::None);
        report.row(
            &format!("  {name}, the longest"),
            worst,
            "ms",
            Goal::AtMost(goal),
            "p99 of so few is the longest",
        );
    }
    peers::beside(report, LOAD).await;
    report.note(&format!("load average after {}", load_average()));
}

/// What every load is asked about.
fn tell(report: &mut Report, name: &str, outcome: &Outcome) {
    let goal = if name.starts_with("windlass") { Goal::AtMost(0.0) } else { Goal::None };
    report.row(&format!("{name}: requests"), outcome.requests as f64, "", Goal::None, "");
    let first = outcome.failed.first().map_or("", String::as_str);
    report.row(&format!("{name}: failed"), outcome.failed.len() as f64, "", goal, first);
    let why = "a kept connection was closed just then";
    report.row(&format!("{name}: had to be sent twice"), outcome.repeated as f64, "", goal, why);
    let (near, far) = outcome.slowest(AROUND);
    report.row(
        &format!("{name}: slowest without a cutover"),
        milliseconds(far),
        "ms",
        Goal::None,
        "the baseline",
    );
    let slower = milliseconds(near) - milliseconds(far);
    let goal = if name.starts_with("windlass") { Goal::AtMost(SLOWER_MS) } else { Goal::None };
    report.row(&format!("{name}: slowest around one, above that"), slower, "ms", goal, "");
}
