//! What a container wrote, line by line.

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

use super::{Docker, LogLine, LogStream, output::in_lines};
use crate::{
    domain::UnixMs,
    error::{Error, Result},
};

/// Which part of a container's output is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogOptions {
    /// The last so many lines; all that are kept if absent.
    pub tail: Option<u32>,
    /// Stay and hand out what is written from now on, until the container ends.
    pub follow: bool,
    /// Only what was written from then on.
    pub since: Option<UnixMs>,
}

impl Docker {
    /// The lines a container wrote, with their times.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name; `Conflict` if it is not this server's. The stream ends with an error if
    /// the engine goes away.
    pub async fn logs(
        &self,
        name: &str,
        options: LogOptions,
    ) -> Result<impl Stream<Item = Result<LogLine>> + Send + use<>> {
        let id = if self.is_swarm() {
            self.own_service(name).await?.and_then(|service| service.id)
        } else {
            self.inspect_own(name).await?.and_then(|found| found.id)
        };
        let id = id.ok_or_else(|| Error::not_found("container", name))?;
        let tail = options.tail.map_or_else(|| "all".to_string(), |lines| lines.to_string());
        let since =
            options.since.map(|at| at / 1000).and_then(|at| i32::try_from(at).ok()).unwrap_or_default();
        let query = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(options.follow)
            .since(since)
            .tail(&tail)
            .build();
        let client = self.client().await?;
        let pieces = if self.is_swarm() {
            client.service_logs(&id, Some(query)).boxed()
        } else {
            client.logs(&id, Some(query)).boxed()
        };
        Ok(in_lines(self.clone(), pieces, line)
            .map_ok(|lines| stream::iter(lines.into_iter().map(Ok)))
            .try_flatten())
    }
}

/// The engine puts the time before each line.
fn line(stream: LogStream, text: String) -> LogLine {
    if let Some((at, rest)) = text.split_once(' ').or(Some((text.as_str(), "")))
        && let Ok(at) = chrono::DateTime::parse_from_rfc3339(at)
    {
        return LogLine { stream, text: rest.to_string(), at: Some(at.timestamp_millis()) };
    }
    LogLine { stream, text, at: None }
}
