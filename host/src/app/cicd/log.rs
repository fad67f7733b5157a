//! The log of a build at a provider, read piece by piece into our own store.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::app::App;
use crate::app::logs::{LogKind, LogWriter};
use crate::domain::Id;
use crate::domain::ci::CiLogChunk;
use crate::domain::cicd::CicdBuild;
use crate::error::Result;
use crate::plugins::Target;
use crate::store::{self, ci_builds};

/// Pieces that are read at once; a build that writes more is looked at again right away.
const PIECES: usize = 16;
/// Bytes without a line's end that are kept back.
const PARTIAL: usize = 64 << 10;

/// Logs that grow. They stay open from one look at a build to the next, so that viewers know that more will come.
#[derive(Default)]
pub struct Live(Mutex<HashMap<Id, Open>>);

struct Open {
    writer: LogWriter,
    /// The beginning of a line whose end the provider has not given yet.
    partial: String,
}

impl Live {
    fn write(&self, app: &App, build: &CicdBuild, text: &str) -> Result<()> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let log = match open.entry(build.id.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let writer = app.logs.writer(LogKind::Ci, &build.id, Vec::new())?;
                entry.insert(Open { writer, partial: String::new() })
            }
        };
        log.partial.push_str(text);
        let end = match log.partial.rfind('\n') {
            Some(end) => end + 1,
            None if log.partial.len() > PARTIAL => log.partial.len(),
            None => return Ok(()),
        };
        let rest = log.partial.split_off(end);
        log.writer.line(&std::mem::replace(&mut log.partial, rest));
        Ok(())
    }

    /// Nothing more will be written.
    pub(super) fn close(&self, id: &Id) {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(open) = open.filter(|open| !open.partial.is_empty()) {
            open.writer.line(&open.partial);
        }
    }
}

/// A line of our own in a build's log.
pub(super) fn say(app: &App, build: &CicdBuild, text: &str) {
    if let Err(error) = app.ci_logs.write(app, build, &format!("[windlass] {text}\n")) {
        tracing::warn!("[@service:cicd:log] {}", error.for_log());
    }
}

/// Reads what there is; false if there is more already.
pub(super) async fn pull(
    app: &App,
    plugin: &str,
    target: &Target,
    job: &str,
    build: &CicdBuild,
) -> Result<bool> {
    let Some(external) = &build.external_id else { return Ok(true) };
    let mut cursor = build.log_cursor.clone();
    for _ in 0..PIECES {
        let chunk: CiLogChunk =
            app.plugins.provider_build_logs(plugin, target, job, external, cursor.as_deref()).await?;
        app.ci_logs.write(app, build, &chunk.text)?;
        let is_end = chunk.text.is_empty() || chunk.complete;
        let (id, grown) = (build.id.clone(), (!chunk.text.is_empty()).then(store::now));
        if grown.is_some() || chunk.complete || cursor.as_deref() != Some(chunk.cursor.as_str()) {
            let (next, complete) = (chunk.cursor.clone(), chunk.complete);
            app.db
                .write(move |tx| {
                    Box::pin(async move { ci_builds::set_log(tx, &id, &next, complete, grown).await })
                })
                .await?;
        }
        cursor = Some(chunk.cursor);
        if is_end {
            return Ok(true);
        }
    }
    Ok(false)
}
