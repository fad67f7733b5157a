//! Everything that a container writes, as it writes it.

use bollard::{container::LogOutput, query_parameters::AttachContainerOptionsBuilder};
use futures_util::{Stream, StreamExt as _};

use super::{Docker, LogLine, LogStream, lines::Lines};
use crate::error::{Error, Result};

/// What the engine sends of a container's output: bytes of one of its streams.
type Piece = std::result::Result<LogOutput, bollard::errors::Error>;

/// Messages of the engine that are handed on together, so that a program that writes much is not stopped at each line.
const TOGETHER: usize = 512;

impl Docker {
    /// The lines of a container from now on, until it ends; of a container that was created and not started yet, all.
    ///
    /// Nothing is left out however fast it writes: where the reader is slow, the program waits. An engine's own log of a
    /// container ([`Docker::logs`]) is rotated while it is read, and a reader that is not fast enough misses lines.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name; `Conflict` if it is not this server's. The stream ends with an error if
    /// the engine goes away.
    pub async fn output(
        &self,
        name: &str,
    ) -> Result<impl Stream<Item = Result<Vec<LogLine>>> + Send + use<>> {
        let found = self.inspect_own(name).await?.ok_or_else(|| Error::not_found("container", name))?;
        let options = AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
        let client = self.client().await?;
        let attached = client.attach_container(&found.id.unwrap_or_default(), Some(options)).await;
        let attached = attached.map_err(|error| self.explain(error))?;
        Ok(in_lines(self.clone(), attached.output, |stream, text| LogLine { stream, text, at: None }))
    }
}

/// Cuts what the engine sends of a container's two streams into lines, several at a time where they are there already.
/// After an error nothing follows.
pub(super) fn in_lines(
    engine: Docker,
    pieces: impl Stream<Item = Piece> + Send + Unpin,
    line: fn(LogStream, String) -> LogLine,
) -> impl Stream<Item = Result<Vec<LogLine>>> + Send {
    let mut pieces = pieces.ready_chunks(TOGETHER);
    async_stream::stream! {
        let (mut out, mut err) = (Lines::default(), Lines::default());
        let mut failed = None;
        while failed.is_none() && let Some(pieces) = pieces.next().await {
            let mut ready = Vec::new();
            for piece in pieces {
                match piece {
                    Ok(piece) => {
                        let (stream, lines) = match &piece {
                            LogOutput::StdErr { .. } => (LogStream::Stderr, &mut err),
                            _ => (LogStream::Stdout, &mut out),
                        };
                        lines.push(piece.as_ref(), |text| ready.push(line(stream, text)));
                    }
                    Err(error) => failed = Some(engine.explain(error)),
                }
            }
            yield Ok(ready);
        }
        let last = [(LogStream::Stdout, out.finish()), (LogStream::Stderr, err.finish())];
        yield Ok(last.into_iter().filter_map(|(stream, text)| Some(line(stream, text?))).collect());
        if let Some(error) = failed {
            yield Err(error);
        }
    }
}
