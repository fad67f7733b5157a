//! Server-sent events (WHATWG HTML, "Server-sent events"): parsed, and followed across broken connections.

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::failure::{Failure, Kind, Outcome};

/// How long a server may be away, as it is while it restarts, before a follower gives up.
pub const AWAY_LIMIT: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `message` if the server named none.
    pub name: String,
    pub data: String,
    /// Position to resume after.
    pub id: String,
}

/// Hands every event to `take` until it breaks, connecting again after the last event seen whenever the connection ends.
///
/// # Errors
/// What the first connection met, later refusals, and `Unreachable` when the server stays away.
pub async fn follow(
    client: &Client,
    path: &[&str],
    mut take: impl FnMut(Event) -> ControlFlow<()>,
) -> Outcome<()> {
    let mut last_id = String::new();
    let mut away_since = None;
    let mut pause = FIRST_PAUSE;
    let mut connected = false;
    loop {
        let resume = Some(last_id.as_str()).filter(|id| !id.is_empty());
        let failure = match client.stream(path, &[], "text/event-stream", resume).await {
            Ok(response) => {
                connected = true;
                let since = Instant::now();
                let mut parser = Parser::default();
                let mut chunks = response.bytes_stream();
                while let Some(Ok(chunk)) = chunks.next().await {
                    // Keep-alive comments count as well, but not a connection that ends as soon as it is there.
                    if since.elapsed() > LONGEST_PAUSE {
                        (away_since, pause) = (None, FIRST_PAUSE);
                    }
                    for event in parser.push(&chunk) {
                        if !event.id.is_empty() && event.id != last_id {
                            last_id.clone_from(&event.id);
                            (away_since, pause) = (None, FIRST_PAUSE);
                        }
                        if take(event).is_break() {
                            return Ok(());
                        }
                    }
                }
                None
            }
            Err(failure) if connected && is_passing(&failure) => Some(failure),
            Err(failure) => return Err(failure),
        };
        let since = *away_since.get_or_insert_with(Instant::now);
        if since.elapsed() > AWAY_LIMIT {
            return Err(failure.unwrap_or_else(|| Failure {
                kind: Kind::Unreachable,
                what: format!("The server at {} ends the stream again and again.", client.server()),
                advice: "A proxy in between may not let streams through.".into(),
            }));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the same request may succeed once the server is back.
pub fn is_passing(failure: &Failure) -> bool {
    matches!(failure.kind, Kind::Unreachable | Kind::Refused(500..=599))
}

/// Takes bytes as they arrive and gives whole events.
#[derive(Debug, Default)]
pub struct Parser {
    rest: Vec<u8>,
    name: String,
    data: Option<String>,
    id: String,
}

impl Parser {
    /// The events that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        let mut from = 0;
        // The server ends lines with LF; a CR before it is dropped. A CR alone, which the standard allows, does not occur.
        while let Some(length) = self.rest[from..].iter().position(|byte| *byte == b'\n') {
            let line = &self.rest[from..from + length];
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
            from += length + 1;
            events.extend(self.line(&line));
        }
        self.rest.drain(..from);
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = self.data.take()?;
            let name = if name.is_empty() { "message".into() } else { name };
            return Some(Event { name, data, id: self.id.clone() });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.to_string(),
            "id" => self.id = value.to_string(),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_string()),
            },
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str, id: &str) -> Event {
        Event { name: name.into(), data: data.into(), id: id.into() }
    }

    #[test]
    fn events_are_whole_wherever_the_bytes_are_cut() {
        let text = ": hello\n\nid: 0:5\ndata: grüße\n\nevent: end\r\ndata: a\r\ndata:b\r\n\r\ndata\n\n";
        let expected =
            vec![event("message", "grüße", "0:5"), event("end", "a\nb", "0:5"), event("message", "", "0:5")];
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let events: Vec<Event> =
                text.as_bytes().chunks(size).flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(events, expected, "in pieces of {size}");
        }
    }
}
