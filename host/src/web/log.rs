//! Logs in pages: the last lines as HTML, and the position from which the script goes on.

use askama::Template;
use askama::filters::HtmlSafe;

use super::ansi::{Span, spans};
use crate::app::App;
use crate::app::cicd::build::build_list_of;
use crate::app::logs::{LogKind, Needle, log_reader};
use crate::domain::Id;
use crate::domain::build::Build;
use crate::domain::cicd::CicdBuild;
use crate::domain::deployment::Deployment;
use crate::error::Result;

/// How much of each part a page shows; the whole text is a link away.
const TAIL: u64 = 192 * 1024;
/// Lines that a search shows; the API has the rest.
const MAX_FOUND: usize = 1000;

/// The end of a deployment's log.
#[derive(Template)]
#[template(path = "parts/log.html")]
pub struct LogTail {
    pub lines: Vec<Line>,
    /// Earlier lines exist that are not shown.
    pub cut: bool,
    /// What the log stream takes as `Last-Event-ID`: `<part>:<line>`.
    pub position: String,
}

impl HtmlSafe for LogTail {}

pub struct Line {
    pub time: String,
    pub spans: Vec<Span>,
}

/// Reads the parts in the order of the log stream: the build, here or at a provider, then the rollout.
pub async fn tail(app: &App, row: &Deployment, build: Option<&Build>) -> Result<LogTail> {
    let mut log = LogTail { lines: Vec::new(), cut: false, position: "0:0".into() };
    let mut rollout = 0;
    if let Some(build) = build {
        log.read(app, LogKind::Build, &build.id, 0).await?;
        // What comes after a build that still runs is left to the stream, which knows when the build has ended.
        if !build.status.is_terminal() {
            return Ok(log);
        }
        rollout = 1;
    }
    for build in build_list_of(app, &row.id).await? {
        log.read(app, LogKind::Ci, &build.id, rollout).await?;
        if build.settled_at.is_none() {
            return Ok(log);
        }
        rollout += 1;
    }
    log.read(app, LogKind::Deployment, &row.id, rollout).await?;
    Ok(log)
}

/// The log of a build at a provider.
pub async fn ci_tail(app: &App, row: &CicdBuild) -> Result<LogTail> {
    let mut log = LogTail { lines: Vec::new(), cut: false, position: "0:0".into() };
    log.read(app, LogKind::Ci, &row.id, 0).await?;
    Ok(log)
}

impl LogTail {
    async fn read(&mut self, app: &App, kind: LogKind, id: &Id, part: usize) -> Result<()> {
        let tail = log_reader(app, kind, id, 0).await?.tail(TAIL).await?;
        self.position = format!("{part}:{}", tail.last);
        self.cut |= tail.cut;
        self.lines.extend(tail.batch.lines().map(|(_, text)| line(&String::from_utf8_lossy(text))));
        Ok(())
    }
}

/// The lines that have a text, and whether there are more than are shown.
pub async fn found(app: &App, row: &Deployment, text: &str) -> Result<(Vec<Line>, bool)> {
    let needle = Needle::new(text, false)?;
    let build = row.build_id.as_ref().map(|id| (LogKind::Build, id));
    let mut lines = Vec::new();
    let elsewhere = build_list_of(app, &row.id).await?;
    let elsewhere = elsewhere.iter().map(|build| (LogKind::Ci, &build.id));
    for (kind, id) in build.into_iter().chain(elsewhere).chain([(LogKind::Deployment, &row.id)]) {
        let found = log_reader(app, kind, id, 0).await?.search(&needle, MAX_FOUND - lines.len()).await?;
        lines.extend(found.into_iter().map(|found| line(&found.text)));
    }
    let more = lines.len() >= MAX_FOUND;
    Ok((lines, more))
}

fn line(text: &str) -> Line {
    let (time, rest) = match text.split_once(' ') {
        Some((time, rest)) if time.len() == 12 && time.as_bytes()[2] == b':' => (time, rest),
        _ => ("", text),
    };
    Line { time: time.to_string(), spans: spans(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_front_of_a_line_stands_apart() {
        let found = line("12:30:01.250 Building");
        assert_eq!((found.time.as_str(), found.spans.len()), ("12:30:01.250", 1));
        assert_eq!(line("no time here").time, "");
    }
}
