//! From a delivery to the exact commit's files on the disk, beside what a CI system without a mirror does: a clone.
//!
//! All of them come from the same git server over smart HTTP, in turns. The server's part is from the moment at which the
//! delivery is stored; the clones write a working tree as well.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use windlass_tests::fixture::Fixture;
use windlass_tests::git_server::{git, git_with_input};

use crate::deploy::{between, clock, field};
use crate::machine::load;
use crate::report::{Goal, Report, median, milliseconds};

const FILES: usize = 1200;
const COMMITS: usize = 2000;
/// Files that each commit changes.
const CHANGED: usize = 10;
/// Blocks of 64 digits in each file.
const BLOCKS: usize = 64;
const ROUNDS: usize = 10;
const GOAL_MS: f64 = 250.0;
const GOAL_FULL: f64 = 20.0;
const GOAL_SHALLOW: f64 = 2.0;

pub async fn checkouts(report: &mut Report) {
    report.section(&format!("Delivery to checkout of {FILES} files, after {COMMITS} commits, warm mirror"));
    let fixture = Fixture::start_with(false, &[], json!({})).await;
    let path = fixture.repo.path();
    git_with_input(path, &["fast-import", "--quiet", "--force"], history().as_bytes());
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut full, mut shallow) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let parent = git(path, &["rev-parse", "main"]);
        git_with_input(path, &["fast-import", "--quiet"], commit(COMMITS + round, &parent).as_bytes());
        let sha = git(path, &["rev-parse", "main"]);
        let mine = to_checkout(&fixture, &sha).await;
        let url = fixture.git.url("app");
        let whole = clone(&url, &[], &folder.path().join(format!("full-{round}")));
        let newest = clone(&url, &["--depth", "1"], &folder.path().join(format!("newest-{round}")));
        // The first delivery fills the mirror.
        if round == 0 {
            report.row("first delivery, which fills the mirror", mine, "ms", Goal::None, "");
            continue;
        }
        ours.push(mine);
        full.push(milliseconds(whole));
        shallow.push(milliseconds(newest));
    }
    report.spread("delivery stored → files are on the disk", &ours, "ms", Goal::AtMost(GOAL_MS));
    report.spread("git clone", &full, "ms", Goal::None);
    report.spread("git clone --depth 1", &shallow, "ms", Goal::None);
    let times = |other: &[f64]| median(other) / median(&ours);
    report.row("faster than the clone", times(&full), "x", Goal::AtLeast(GOAL_FULL), "");
    report.row("faster than the clone of depth 1", times(&shallow), "x", Goal::AtLeast(GOAL_SHALLOW), "");
    report.note(&format!("load average {}", load()));
}

/// Milliseconds from the stored delivery to the log's line that the files are there.
async fn to_checkout(fixture: &Fixture, sha: &str) -> f64 {
    let (server, url) = (&fixture.server, fixture.git.url("app"));
    let event = server.push_webhook(&fixture.webhook, &fixture.secret, &url, "main", sha).await;
    let event = server.wait_webhook(&event).await;
    let deployment = server.wait_deployment(event["deploymentId"].as_str().unwrap()).await;
    let log = server.log_of(&deployment["seq"].to_string()).await;
    let done = log.lines().find(|line| line.contains(&format!(" Checked out {}: {FILES} files", &sha[..12])));
    between(field(&event, "receivedAt"), clock(done.unwrap_or_else(|| panic!("no checkout:\n{log}"))))
}

fn clone(url: &str, options: &[&str], to: &Path) -> Duration {
    let began = Instant::now();
    let to_text = to.to_str().unwrap();
    git(Path::new("/"), &[&["clone", "--quiet"], options, &[url, to_text]].concat());
    let took = began.elapsed();
    std::fs::remove_dir_all(to).unwrap();
    took
}

/// The whole history as `git fast-import` reads it.
fn history() -> String {
    let mut stream = String::new();
    for number in 0..COMMITS {
        stream.push_str(&commit(number, ""));
    }
    stream
}

/// The first commit has all files, the others change some. After its build file there is nothing to build.
fn commit(number: usize, parent: &str) -> String {
    let mut stream = format!(
        "commit refs/heads/main\ncommitter Ada <ada@example.org> {} +0000\ndata 1\nx\n",
        1_700_000_000 + number * 60
    );
    if !parent.is_empty() {
        writeln!(stream, "from {parent}").unwrap();
    }
    let changed = match number {
        0 => 0..FILES - 1,
        _ => number * CHANGED..(number + 1) * CHANGED,
    };
    if number == 0 {
        let build = "FROM scratch\nCOPY what-is-not-there /\n";
        writeln!(stream, "M 100644 inline Dockerfile\ndata {}\n{build}", build.len()).unwrap();
    }
    for file in changed {
        let (file, content) = (file % (FILES - 1), content(file, number));
        let path = format!("src/part-{}/file-{file}.txt", file % 40);
        writeln!(stream, "M 100644 inline {path}\ndata {}\n{content}", content.len()).unwrap();
    }
    stream.push('\n');
    stream
}

/// Text of which half can be compressed away, as of source code.
fn content(file: usize, number: usize) -> String {
    let line = |block: usize| hex::encode(Sha256::digest(format!("{file} {number} {block}"))) + "\n";
    (0..BLOCKS).map(line).collect()
}
