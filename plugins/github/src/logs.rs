//! Logs: GitHub has one for each job of a run, and hands it out once the job has ended. The log of a build is that of its
//! jobs, one after the other.

use serde::Deserialize;
use serde::de::IgnoredAny;
use windlass_sdk::Failure;
use windlass_sdk::forge::unix_ms;
use windlass_sdk::http::{Request, Response};
use windlass_sdk::provider::LogChunk;

use crate::api::{Api, Codes};
use crate::names::{self, Job, Started};
use crate::{builds, time};

/// Most bytes of one piece, some of them for headings.
const PIECE: usize = (1 << 20) - 4096;
/// GitHub has no log for a moment after a job has ended.
const LATE_MS: u64 = 60_000;
const PAGE: usize = 100;
/// Logs are large, and may come from a slow store.
pub const DOWNLOAD_MS: u32 = 20_000;
const NO_BUILD: Codes = &[(404, "no-such-build")];

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Part>,
}

/// A job of the run.
#[derive(Deserialize)]
struct Part {
    id: u64,
    name: String,
    status: String,
    conclusion: Option<String>,
    completed_at: Option<String>,
    html_url: Option<String>,
    #[serde(default)]
    steps: Vec<IgnoredAny>,
}

/// `<attempt>.<jobs that are through>.<bytes of the next one>`
#[derive(Clone, Copy, PartialEq)]
struct Cursor {
    attempt: u64,
    through: usize,
    bytes: usize,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let cursor = Self {
            attempt: numbers.next()?.parse().ok()?,
            through: numbers.next()?.parse().ok()?,
            bytes: numbers.next()?.parse().ok()?,
        };
        numbers.next().is_none().then_some(cursor)
    }

    fn chunk(self, text: String, complete: bool) -> LogChunk {
        LogChunk { text, cursor: format!("{}.{}.{}", self.attempt, self.through, self.bytes), complete }
    }
}

pub fn read(job: &str, build: &str, cursor: Option<&str>) -> Result<LogChunk, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    if Started::read(build).is_some() {
        return Ok(Cursor { attempt: 0, through: 0, bytes: 0 }.chunk(String::new(), false));
    }
    let run = builds::get(&api, &job, names::run(build)?)?;
    let attempt = run.run_attempt.unwrap_or(1);
    // A run that was started again has a new log.
    let start = cursor.and_then(Cursor::read).filter(|cursor| cursor.attempt == attempt);
    let mut at = start.unwrap_or(Cursor { attempt, through: 0, bytes: 0 });
    let is_over = run.status.as_deref() == Some("completed");
    let mut text = String::new();
    loop {
        let (page, first) = (at.through / PAGE + 1, at.through % PAGE);
        let parts = parts(&api, &job, run.id, page)?;
        let is_full = parts.len() == PAGE;
        for part in parts.iter().skip(first) {
            if part.status != "completed" && !is_over {
                return Ok(at.chunk(text, false));
            }
            if !add(&api, &job, part, &mut at, &mut text)? {
                return Ok(at.chunk(text, false));
            }
        }
        if !is_full {
            return Ok(at.chunk(text, is_over));
        }
    }
}

fn parts(api: &Api, job: &Job, run: u64, page: usize) -> Result<Vec<Part>, Failure> {
    let request = Request::get(format!("/repos/{}/actions/runs/{run}/jobs", job.repository))
        .query("filter", "latest")
        .query("per_page", &PAGE.to_string())
        .query("page", &page.to_string());
    Ok(api.get::<Jobs>(request.path, NO_BUILD)?.jobs)
}

/// Adds what fits of a job's log, and moves the cursor. False if the piece is full, or the log not there yet.
fn add(api: &Api, job: &Job, part: &Part, at: &mut Cursor, text: &mut String) -> Result<bool, Failure> {
    let name: String = part.name.chars().take(200).collect();
    if part.conclusion.as_deref() == Some("skipped") {
        text.push_str(&format!("--- {name}: skipped ---\n"));
    } else {
        let Some(log) = log_of(api, job, part)? else { return Ok(false) };
        if at.bytes == 0 {
            text.push_str(&format!("--- {name} ---\n"));
        }
        let rest = log.get(at.bytes..).unwrap_or_default();
        let room = PIECE.saturating_sub(text.len());
        if rest.len() > room {
            let end = rest.floor_char_boundary(room);
            text.push_str(&rest[..end]);
            at.bytes += end;
            return Ok(false);
        }
        text.push_str(rest);
        if !rest.is_empty() && !rest.ends_with('\n') {
            text.push('\n');
        }
    }
    (at.through, at.bytes) = (at.through + 1, 0);
    // Each log is a request, and a call has a bounded number of them.
    Ok(text.len() < PIECE / 2 && !at.through.is_multiple_of(8))
}

/// A job's log; nothing as long as there is none.
fn log_of(api: &Api, job: &Job, part: &Part) -> Result<Option<String>, Failure> {
    let request = Request::get(format!("/repos/{}/actions/jobs/{}/logs", job.repository, part.id))
        .timeout_ms(DOWNLOAD_MS);
    match api.look(request) {
        Ok(response) if matches!(response.status, 404 | 410) && part.steps.is_empty() => {
            Ok(Some("(this job was never started)\n".to_owned()))
        }
        Ok(response) if response.status == 404 && has_just_ended(&response, part) => Ok(None),
        Ok(response) => {
            let response = api.checked(response, &[(404, "log-gone"), (410, "log-gone")])?;
            Ok(Some(response.text().trim_start_matches('\u{feff}').to_owned()))
        }
        Err(failure) if failure.code == "too-large" => {
            let place = part.html_url.clone().unwrap_or_default();
            Ok(Some(format!("(this log is too large to be fetched; it is at {place})\n")))
        }
        Err(failure) => Err(failure),
    }
}

fn has_just_ended(response: &Response, part: &Part) -> bool {
    let now = response.header("date").and_then(time::of_date);
    let ended = part.completed_at.as_deref().and_then(unix_ms);
    matches!((now, ended), (Some(now), Some(ended)) if now < ended + LATE_MS)
}
