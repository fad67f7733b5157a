//! A million lines of a real container, to the disk and to ten viewers, over HTTP. Viewers, server and container share the
//! machine's processors.

use std::sync::Arc;
use std::time::Instant;

use windlass_tests::log_rig::{Chatter, LogRig, checking_viewer};

use crate::machine::load;
use crate::report::{Goal, Report};

const LINES: u64 = 1_000_000;
const VIEWERS: usize = 10;
const STALLED: usize = 3;
const GOAL_SECONDS: f64 = 10.0;
const ROUNDS: usize = 3;

pub async fn a_million_lines(report: &mut Report) {
    report.section("1,000,000 lines of a container, to disk and ten viewers");
    let (mut disk, mut all) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (to_disk, to_viewers) = one_round().await;
        disk.push(to_disk);
        all.push(to_viewers);
    }
    report.spread("the container's end, every line on disk", &disk, "s", Goal::None);
    report.spread("every line at every viewer", &all, "s", Goal::AtMost(GOAL_SECONDS));
    report.note(&format!(
        "{STALLED} more viewers stalled all the time; one secret was looked for; load average {}",
        load()
    ));
}

/// Seconds until all lines are on disk, and until all viewers have seen them in their order.
async fn one_round() -> (f64, f64) {
    let rig = Arc::new(LogRig::start().await);
    let chatter = Chatter::of_lines(LINES).await;
    let log = rig.writer(&["a-secret-that-is-not-there"]);
    let viewers: Vec<_> = (0..VIEWERS).map(|_| checking_viewer(&rig)).collect();
    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        stalled.push(rig.watch("0:0").await);
    }
    let started = Instant::now();
    chatter.pour_into(&log).await;
    drop(log);
    let to_disk = started.elapsed().as_secs_f64();
    rig.end_build().await;
    for viewer in viewers {
        assert_eq!(viewer.await.unwrap(), LINES);
    }
    let to_viewers = started.elapsed().as_secs_f64();
    drop(stalled);
    (to_disk, to_viewers)
}
