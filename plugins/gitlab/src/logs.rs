//! Logs: GitLab has one for each job of a pipeline, which grows while the job runs. The log of a build is that of its jobs,
//! one after the other in the order in which they were made; a job that was retried is a job of its own.

use serde::Deserialize;
use windlass_sdk::Failure;
use windlass_sdk::http::Request;
use windlass_sdk::provider::LogChunk;

use crate::api::Api;
use crate::names::Job;
use crate::{builds, words};

/// Most bytes of one piece, some of them for headings.
const PIECE: usize = (1 << 20) - 4096;
const PAGE: usize = 100;
/// Logs are large, and may come from a slow store.
pub const DOWNLOAD_MS: u32 = 20_000;
/// Pages of jobs; GitLab makes at most some hundred for a pipeline.
const PAGES: usize = 8;
/// Each log is a request, and a call has a bounded number of them.
const LOGS: usize = 8;

#[derive(Deserialize)]
pub struct Part {
    pub id: u64,
    pub name: String,
    pub status: String,
    pub web_url: Option<String>,
    pub artifacts_file: Option<File>,
}

#[derive(Deserialize)]
pub struct File {
    pub size: Option<u64>,
}

/// `<id of the last job that is through>.<bytes of the next one>`
#[derive(Clone, Copy, Default)]
struct Cursor {
    through: u64,
    bytes: usize,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (through, bytes) = text.split_once('.')?;
        Some(Self { through: through.parse().ok()?, bytes: bytes.parse().ok()? })
    }

    fn chunk(self, text: String, complete: bool) -> LogChunk {
        LogChunk { text, cursor: format!("{}.{}", self.through, self.bytes), complete }
    }
}

/// All jobs of a pipeline, oldest first.
pub fn parts(api: &Api, job: &Job, pipeline: u64) -> Result<Vec<Part>, Failure> {
    let mut all: Vec<Part> = Vec::new();
    for page in 1..=PAGES {
        let request = Request::get(format!("{}/pipelines/{pipeline}/jobs", job.address()))
            .query("include_retried", "true")
            .query("per_page", &PAGE.to_string())
            .query("page", &page.to_string());
        let parts: Vec<Part> = api.get(&request.path, &[(404, "no-such-build")])?;
        let is_last = parts.len() < PAGE;
        all.extend(parts);
        if is_last {
            break;
        }
    }
    all.sort_by_key(|part| part.id);
    Ok(all)
}

pub fn read(job: &str, build: &str, cursor: Option<&str>) -> Result<LogChunk, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    let pipeline = builds::get(&api, &job, build)?;
    let is_over = words::is_over(&pipeline.status);
    let mut at = cursor.and_then(Cursor::read).unwrap_or_default();
    let mut text = String::new();
    let rest = parts(&api, &job, pipeline.id)?.into_iter().filter(|part| part.id > at.through);
    for (nth, part) in rest.collect::<Vec<_>>().into_iter().enumerate() {
        let name: String = part.name.chars().take(200).collect();
        match part.status.as_str() {
            "skipped" => text.push_str(&format!("--- {name}: skipped ---\n")),
            // Later stages need not wait for it, so neither does the log.
            "manual" => {
                let place = part.web_url.unwrap_or_default();
                text.push_str(&format!("--- {name}: waits for a person; its log is at {place} ---\n"));
            }
            "success" | "failed" | "canceled" | "running" | "canceling" => {
                if nth >= LOGS || !add(&api, &job, &part, &mut at, &mut text)? {
                    return Ok(at.chunk(text, false));
                }
            }
            // It has not begun, and never will if the pipeline is over.
            _ if is_over => {}
            _ => return Ok(at.chunk(text, false)),
        }
        at = Cursor { through: part.id, bytes: 0 };
    }
    Ok(at.chunk(text, is_over))
}

/// Adds what fits of a job's log, and moves the cursor within it. False if there is or may come more of it.
fn add(api: &Api, job: &Job, part: &Part, at: &mut Cursor, text: &mut String) -> Result<bool, Failure> {
    let is_over = words::is_over(&part.status);
    let Some(log) = log_of(api, job, part)? else { return Ok(is_over) };
    if at.bytes == 0 && !log.is_empty() {
        text.push_str(&format!("--- {} ---\n", part.name.chars().take(200).collect::<String>()));
    }
    let rest = log.get(at.bytes..).unwrap_or_default();
    let room = PIECE.saturating_sub(text.len());
    // What a running job writes may end in the middle of a character.
    let whole = if is_over { rest.len() } else { rest.trim_end_matches('\u{fffd}').len() };
    let end = rest.floor_char_boundary(whole.min(room));
    text.push_str(&rest[..end]);
    at.bytes += end;
    if !is_over || end < rest.len() {
        return Ok(false);
    }
    if !rest.is_empty() && !rest.ends_with('\n') {
        text.push('\n');
    }
    Ok(true)
}

/// The log so far; nothing if there is none.
fn log_of(api: &Api, job: &Job, part: &Part) -> Result<Option<String>, Failure> {
    let request = Request::get(format!("{}/jobs/{}/trace", job.address(), part.id));
    match api.look(request.timeout_ms(DOWNLOAD_MS)) {
        Ok(response) if response.status == 404 => Ok(None),
        Ok(response) => api.checked(response, &[(410, "log-gone")]).map(|response| Some(response.text())),
        Err(failure) if failure.code == "too-large" => {
            let place = part.web_url.clone().unwrap_or_default();
            Ok(Some(format!("(this log is too large to be fetched; it is at {place})\n")))
        }
        Err(failure) => Err(failure),
    }
}
