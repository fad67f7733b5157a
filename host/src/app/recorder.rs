//! The flight recorder: stores what plugins were called with and what they answered, and replays it.

mod cassette;
mod fold;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::App;
use crate::domain::cassette::CassetteCall;
use crate::domain::page::{Page, PageRequest};
use crate::domain::recording::{CallFilter, CallSummary, Outcome, PluginCall, Recording, Replay, Retention};
use crate::error::{Error, Result};
use crate::plugins::Recordings;
use crate::store::{self, builds, deployments, plugin_calls, webhook_events};
pub use cassette::{Played, call_cassette, cassette_play, cassette_read};
use fold::Folded;

/// Recordings wait this long for company, so that many share one commit.
const GATHER: Duration = Duration::from_millis(200);
/// Recordings in one transaction.
const BATCH: usize = 256;
/// The bounds are applied after this long, or after this many recordings.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
const PRUNE_AFTER: usize = 1000;

/// Stores recordings until the server stops, then those that are left.
pub async fn keep_recordings(app: App, stop: CancellationToken) {
    let Some(mut recordings) = app.plugins.recordings() else { return };
    let mut folded = Folded::default();
    let mut pruned = (Instant::now(), 0);
    prune(&app).await;
    loop {
        let first = tokio::select! {
            first = recordings.next() => first,
            () = stop.cancelled() => recordings.try_next(),
        };
        let Some(first) = first else { return };
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = stop.cancelled() => {}
        }
        pruned.1 += keep_batch(&app, &mut folded, &mut recordings, first).await;
        if pruned.0.elapsed() > PRUNE_EVERY || pruned.1 > PRUNE_AFTER {
            prune(&app).await;
            pruned = (Instant::now(), 0);
        }
    }
}

async fn keep_batch(app: &App, folded: &mut Folded, recordings: &mut Recordings, first: Recording) -> usize {
    let mut next = Some(first);
    let mut size = 0;
    while let Some(recording) = next {
        folded.add(recording);
        size += 1;
        next = if size < BATCH { recordings.try_next() } else { None };
    }
    let (new, repeats) = folded.take();
    let (new, repeats) = (Arc::new(new), Arc::new(repeats));
    let stored = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                for (id, more, last_at) in repeats.iter() {
                    plugin_calls::repeat(tx, id, *more, *last_at).await?;
                }
                plugin_calls::insert_all(tx, &new).await
            })
        })
        .await;
    match stored {
        Ok(ids) => folded.stored(ids),
        Err(error) => {
            folded.forget();
            recordings.lost(size);
            tracing::warn!(error = %error.for_log(), "[@plugins:recorder] {size} calls could not be recorded");
        }
    }
    size
}

/// Applies the bounds, and removes components of which no call is left.
async fn prune(app: &App) {
    let config = app.config.recorder;
    let keep = Retention {
        before: store::now() - config.keep_days * 86_400_000,
        rows: config.max_calls,
        bytes: config.max_mib << 20,
    };
    let pruned = app
        .db
        .write(move |tx| {
            Box::pin(async move {
                let gone = plugin_calls::prune(tx, &keep).await?;
                Ok((gone, plugin_calls::digests(tx).await?))
            })
        })
        .await;
    match pruned {
        Ok((gone, digests)) => {
            app.plugins.retain_components(digests);
            tracing::debug!(gone, "[@plugins:recorder] recorded calls were pruned");
        }
        Err(error) => {
            tracing::warn!(error = %error.for_log(), "[@plugins:recorder] recorded calls could not be pruned");
        }
    }
}

/// Newest first.
pub async fn call_list(app: &App, filter: &CallFilter, page: PageRequest) -> Result<Page<CallSummary>> {
    let mut conn = app.db.read().await?;
    plugin_calls::list(&mut conn, page, filter).await
}

/// `reference` is an id or a number.
pub async fn call_view(app: &App, reference: &str) -> Result<PluginCall> {
    let mut conn = app.db.read().await?;
    plugin_calls::find(&mut conn, reference).await
}

/// Executes a recorded call again, without any effect, and compares.
pub async fn call_replay(app: &App, reference: &str) -> Result<Replay> {
    let call = call_view(app, reference).await?;
    app.plugins.replay(whole(&call)?, None).await
}

/// What a person narrows a list of calls to, in their words.
#[derive(Debug, Default)]
pub struct Narrowed {
    pub plugin: Option<String>,
    pub function: Option<String>,
    pub outcome: Option<String>,
    /// Ids or numbers.
    pub deployment: Option<String>,
    pub build: Option<String>,
    pub event: Option<String>,
}

/// Finds what the words name. An empty word is none.
pub async fn call_filter(app: &App, words: Narrowed) -> Result<CallFilter> {
    let given = |word: Option<String>| word.filter(|word| !word.is_empty());
    let outcome = given(words.outcome)
        .map(|word| {
            Outcome::parse(&word).ok_or_else(|| {
                let known: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
                let message =
                    format!("`{}` is no outcome; there are {}", word.escape_debug(), known.join(", "));
                Error::invalid("outcome", message)
            })
        })
        .transpose()?;
    let mut conn = app.db.read().await?;
    let subject = match (given(words.deployment), given(words.build), given(words.event)) {
        (Some(key), ..) => Some(deployments::find(&mut conn, &key).await?.id),
        (None, Some(key), _) => Some(builds::find(&mut conn, &key).await?.id),
        (None, None, Some(key)) => Some(webhook_events::find(&mut conn, &key).await?.id),
        (None, None, None) => None,
    };
    Ok(CallFilter { plugin: given(words.plugin), function: given(words.function), outcome, subject })
}

fn whole(call: &PluginCall) -> Result<CassetteCall> {
    if call.summary.cut {
        return Err(Error::conflict(format!(
            "call {} was too large to be recorded whole, so it cannot be replayed",
            call.summary.seq
        )));
    }
    CassetteCall::of(call).map_err(Error::internal)
}
