//! Jenkins' words → ours.

use windlass_sdk::provider::{Build, BuildStatus, Job};

use crate::parse;
use crate::path::{BuildRef, JobPath};

/// `hudson.model.Result`. `UNSTABLE` is a build whose tests failed: nothing that may be deployed.
pub fn result(word: &str) -> BuildStatus {
    match word {
        "SUCCESS" => BuildStatus::Success,
        "FAILURE" | "UNSTABLE" => BuildStatus::Failure,
        "ABORTED" | "NOT_BUILT" => BuildStatus::Cancelled,
        other => BuildStatus::Other(other.to_owned()),
    }
}

pub fn build(build: &parse::Build) -> Build {
    let status = match &build.result {
        _ if build.building => BuildStatus::Running,
        Some(word) => result(word),
        // It has ended, and Jenkins does not know how: the server was stopped in the middle.
        None => BuildStatus::Other("no result".to_owned()),
    };
    let mut ours = Build::new(BuildRef::Number(build.number).id(), status);
    ours.number = build.number.to_string();
    ours.url.clone_from(&build.url);
    ours.started = build.timestamp;
    if !build.building {
        ours.finished = build.timestamp.map(|started| started.saturating_add(build.duration));
    }
    // `UNSTABLE` and `NOT_BUILT` stay visible behind the word that stands for them.
    ours.extras.extend(build.result.clone().map(|word| ("result".to_owned(), word)));
    ours
}

/// A build that has no number yet.
pub fn queued(item: &parse::QueueItem) -> Build {
    let status = if item.cancelled { BuildStatus::Cancelled } else { BuildStatus::Pending };
    let mut build = Build::new(BuildRef::Queued(item.id).id(), status);
    build.extras.extend(item.why.clone().map(|why| ("why".to_owned(), why)));
    build
}

pub fn job(path: &JobPath, item: &parse::Item) -> Job {
    let mut job = Job::new(path.id(), path.name());
    job.url.clone_from(&item.url);
    let verb = if item.definitions().is_empty() { "build" } else { "buildWithParameters" };
    job.trigger_url = item.url.as_ref().map(|url| format!("{}/{verb}", url.trim_end_matches('/')));
    job.buildable = item.buildable.unwrap_or(false);
    job.last_build = item.last_build.as_ref().map(build);
    job.extras.extend(item.color.clone().map(|color| ("color".to_owned(), color)));
    job
}
