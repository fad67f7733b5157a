//! What Jenkins reports by itself, in two forms:
//!
//! - that of Windlass, which pipelines post: `{"jobId", "status", "buildNumber", "timestamp"}`, signed or not;
//! - that of the Notification plugin, which signs nothing (`FINALIZED` is its last word about a build).

use serde::Deserialize;
use windlass_sdk::forge::unix_ms;
use windlass_sdk::provider::{Build, BuildReport, BuildStatus, Delivery, Event, malformed};
use windlass_sdk::{Failure, UnixMs};

use crate::convert;
use crate::path::{BuildRef, JobPath};

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "jobId")]
    job: Option<String>,
    status: Option<String>,
    #[serde(rename = "buildNumber")]
    number: Option<Number>,
    timestamp: Option<String>,
    /// In our own form the build's page; in the plugin's the job's path from the server's root.
    url: Option<String>,
    build: Option<Notified>,
}

/// The seed writes it as a text, others as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Digits(u64),
    Text(String),
}

/// `build` of the Notification plugin's JSON.
#[derive(Deserialize)]
struct Notified {
    full_url: Option<String>,
    number: u64,
    phase: String,
    /// Absent as long as there is no result.
    status: Option<String>,
    /// When it started, in Unix milliseconds.
    timestamp: Option<u64>,
    duration: Option<u64>,
}

pub fn parse(delivery: &Delivery) -> Result<Event, Failure> {
    let payload: Payload = delivery.json()?;
    let report = match (payload.job.clone(), &payload.build) {
        (Some(job), _) => own(job, payload)?,
        (None, Some(build)) => notified(payload.url.as_deref().unwrap_or_default(), build)?,
        (None, None) => {
            return Err(malformed(
                "The body is neither what a pipeline of Windlass posts (it has no `jobId`) nor what Jenkins' Notification \
                 plugin posts (it has no `build`).",
            ));
        }
    };
    Ok(Event::Builds(vec![report]))
}

fn own(job: String, payload: Payload) -> Result<BuildReport, Failure> {
    let number = match payload.number {
        Some(Number::Digits(number)) => number,
        Some(Number::Text(text)) => text
            .trim()
            .parse()
            .map_err(|_| malformed(format!("`buildNumber` has to be a number, but is `{text}`.")))?,
        None => return Err(malformed("`buildNumber` is missing.")),
    };
    let word = payload.status.ok_or_else(|| malformed("`status` is missing."))?;
    if job.is_empty() {
        return Err(malformed("`jobId` is empty."));
    }
    let mut build = build(number, said(&word), payload.url);
    let at = payload.timestamp.as_deref().and_then(unix_ms);
    match build.status {
        BuildStatus::Running => build.started = at,
        BuildStatus::Pending => {}
        _ => build.finished = at,
    }
    Ok(BuildReport { job, build })
}

fn notified(url: &str, notified: &Notified) -> Result<BuildReport, Failure> {
    let status = match (notified.phase.as_str(), notified.status.as_deref()) {
        ("QUEUED", _) => BuildStatus::Pending,
        ("STARTED", _) => BuildStatus::Running,
        ("COMPLETED" | "FINALIZED", Some(word)) => convert::result(word),
        (phase, _) => BuildStatus::Other(phase.to_owned()),
    };
    let is_over = !matches!(status, BuildStatus::Pending | BuildStatus::Running);
    let mut build = build(notified.number, status, notified.full_url.clone());
    build.started = notified.timestamp;
    build.finished = ended(notified).filter(|_| is_over);
    Ok(BuildReport { job: job_of(url)?, build })
}

fn ended(notified: &Notified) -> Option<UnixMs> {
    notified.timestamp?.checked_add(notified.duration?)
}

fn build(number: u64, status: BuildStatus, url: Option<String>) -> Build {
    let mut build = Build::new(BuildRef::Number(number).id(), status);
    build.number = number.to_string();
    build.url = url;
    build
}

/// The words of our own form in whatever case, and Jenkins' results.
fn said(word: &str) -> BuildStatus {
    match word.to_ascii_uppercase().as_str() {
        "RUNNING" | "STARTED" => BuildStatus::Running,
        "PENDING" | "QUEUED" => BuildStatus::Pending,
        upper => match convert::result(upper) {
            BuildStatus::Other(_) => BuildStatus::Other(word.to_owned()),
            known => known,
        },
    }
}

/// `job/a/job/b%20c/` → `a/b c`.
fn job_of(url: &str) -> Result<String, Failure> {
    let odd =
        || malformed(format!("`url` has to be a job's path such as `job/folder/job/name/`, but is `{url}`."));
    let pieces: Vec<&str> = url.trim_matches('/').split('/').collect();
    let mut names = Vec::new();
    for pair in pieces.chunks(2) {
        match pair {
            ["job", name] => names.push(decoded(name).ok_or_else(odd)?),
            _ => return Err(odd()),
        }
    }
    let job = names.join("/");
    JobPath::of(&job).map_err(|_| odd())?;
    Ok(job)
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}
