//! What a pipeline's jobs wrote, one after another. API v2 has no logs; API v1.1 has them by step.
//!
//! Jobs are numbered as they begin, so their order by number only ever grows at its end. The cursor is how far the reading
//! has come in it: `<job's number>.<actions read>.<bytes of the next one's output>`.

use windlass_sdk::Failure;
use windlass_sdk::http::{Request, segment};
use windlass_sdk::provider::{BuildStatus, LogChunk};

use crate::name::JobName;
use crate::parse::{Action, Job, Output, Steps};
use crate::{ask, builds, convert};

/// Most bytes of one piece.
const PIECE: usize = 1 << 20;
/// Room for the line before an output.
const HEADING: usize = 1024;
/// Outputs that one call reads; it has 32 requests.
const OUTPUTS: usize = 12;
/// Workflows whose jobs one call looks at.
const WORKFLOWS: usize = 10;

#[derive(Clone, Copy, Default)]
struct Cursor {
    job: u64,
    action: usize,
    offset: usize,
}

impl Cursor {
    fn of(text: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = text else {
            return Ok(Self::default());
        };
        let mut pieces = text.split('.');
        let mut read = || -> Option<Self> {
            let (job, action) = (pieces.next()?.parse().ok()?, pieces.next()?.parse().ok()?);
            Some(Self { job, action, offset: pieces.next()?.parse().ok()? })
        };
        let cursor = read().filter(|_| pieces.next().is_none());
        cursor.ok_or_else(|| {
            Failure::permanent("invalid-cursor", format!("`{text}` is no place in a log of CircleCI."))
        })
    }

    fn text(self) -> String {
        format!("{}.{}.{}", self.job, self.action, self.offset)
    }
}

pub fn read(name: &JobName, build: &str, cursor: Option<&str>) -> Result<LogChunk, Failure> {
    let mut at = Cursor::of(cursor)?;
    let workflows = builds::workflows(build)?;
    let current = convert::current(&workflows);
    let mut jobs: Vec<Job> = Vec::new();
    for workflow in current.iter().take(WORKFLOWS) {
        jobs.extend(ask::list::<Job>(&format!("/api/v2/workflow/{}/job", segment(&workflow.id)))?);
    }
    let all_over = !current.is_empty()
        && current.iter().all(|workflow| convert::is_final(&convert::workflow(&workflow.status)));
    jobs.retain(|job| job.job_number.is_some_and(|number| number >= at.job));
    jobs.sort_by_key(|job| job.job_number);
    let mut text = String::new();
    let mut left = OUTPUTS;
    for job in &jobs {
        let number = job.job_number.unwrap_or_default();
        if number != at.job {
            at = Cursor { job: number, action: 0, offset: 0 };
        }
        if !job_into(&mut text, &mut at, &mut left, name, job)? {
            return Ok(LogChunk { text, cursor: at.text(), complete: false });
        }
        at = Cursor { job: number + 1, action: 0, offset: 0 };
    }
    Ok(LogChunk { text, cursor: at.text(), complete: all_over })
}

/// Appends what the job wrote from the cursor on. False if there is more to come, now or later.
fn job_into(
    text: &mut String,
    at: &mut Cursor,
    left: &mut usize,
    name: &JobName,
    job: &Job,
) -> Result<bool, Failure> {
    if *left == 0 {
        return Ok(false);
    }
    let request = Request::get(name.slug.steps_path(at.job));
    let steps: Steps = ask::missing(ask::read(request), || {
        let said = format!("CircleCI no longer has the log of the job `{}`.", job.name);
        Failure::permanent("log-gone", said)
    })?;
    let actions = steps.steps.iter().flat_map(|step| step.actions.iter().map(move |action| (step, action)));
    for (step, action) in actions.skip(at.action) {
        if is_running(action) || *left == 0 || text.len() + HEADING >= PIECE {
            return Ok(false);
        }
        if at.offset == 0 {
            let heading: String =
                format!("==> {} / {}", job.name, step.name).chars().take(HEADING / 8).collect();
            text.push_str(&format!("{heading} [{}]\n", action.index));
        }
        if let Some(url) = action.output_url.as_ref().filter(|_| action.has_output) {
            *left -= 1;
            let output = output(url)?;
            let from = output.ceil_char_boundary(at.offset.min(output.len()));
            let end = output.floor_char_boundary(output.len().min(from + PIECE.saturating_sub(text.len())));
            text.push_str(&output[from..end]);
            if end < output.len() {
                at.offset = end;
                return Ok(false);
            }
        }
        *at = Cursor { action: at.action + 1, offset: 0, ..*at };
    }
    Ok(!matches!(convert::job(&job.status), BuildStatus::Pending | BuildStatus::Running))
}

fn is_running(action: &Action) -> bool {
    matches!(action.status.as_deref(), None | Some("running" | "queued"))
}

/// What an action wrote. The address is signed, so the token has no business there.
fn output(url: &str) -> Result<String, Failure> {
    let response = ask::missing(ask::bytes(Request::get(url)), || {
        Failure::permanent("log-gone", "CircleCI no longer has what one of the steps wrote.")
    })?;
    let pieces: Vec<Output> =
        response.json().map_err(|failure| Failure { request_sent: false, ..failure })?;
    Ok(pieces.into_iter().map(|piece| piece.message).collect())
}
