//! Cassettes: recorded calls in a file, and playing them back without a server.

use std::path::Path;

use super::{call_list, call_view, whole};
use crate::app::App;
use crate::domain::cassette::{Cassette, CassetteCall, Fault, VERSION};
use crate::domain::page::{MAX_LIMIT, PageRequest};
use crate::domain::recording::{CallFilter, Outcome, Replay};
use crate::error::{Error, Result};
use crate::plugins::{PluginSource, Plugins, Settings, Source};

/// The calls as a cassette, oldest first. Without references, the last `last` calls that the filter leaves and that
/// were recorded whole.
pub async fn call_cassette(
    app: &App,
    references: &[String],
    filter: &CallFilter,
    last: i64,
) -> Result<Cassette> {
    let mut calls = Vec::new();
    if references.is_empty() {
        let page = call_list(app, filter, PageRequest::first(MAX_LIMIT)).await?;
        let whole_ones = page.items.iter().filter(|call| !call.cut);
        for summary in whole_ones.take(usize::try_from(last).unwrap_or(0)) {
            calls.push(call_view(app, summary.id.as_str()).await?);
        }
    } else {
        for reference in references {
            calls.push(call_view(app, reference).await?);
        }
    }
    calls.sort_by_key(|call| call.summary.seq);
    let calls: Vec<CassetteCall> = calls.iter().map(whole).collect::<Result<_>>()?;
    if calls.is_empty() {
        return Err(Error::conflict("no call was recorded that fits; `windlass plugin calls` lists them"));
    }
    Ok(Cassette { windlass_cassette: VERSION, calls })
}

/// What became of one call of a cassette.
pub struct Played {
    pub plugin: String,
    pub function: String,
    /// The fault that was put into the nth response, counted from 0.
    pub fault: Option<(Fault, usize)>,
    pub replay: Replay,
}

impl Played {
    /// The same as recorded; with a fault, a typed answer of whatever kind.
    pub fn passed(&self) -> bool {
        match self.fault {
            None => self.replay.identical,
            Some(_) => matches!(self.replay.outcome, Outcome::Ok | Outcome::Failure),
        }
    }
}

/// Reads a cassette's text.
///
/// # Errors
/// `Invalid` with what is wrong with it.
pub fn cassette_read(text: &str) -> Result<Cassette> {
    let cassette: Cassette = serde_json::from_str(text)
        .map_err(|error| Error::invalid("cassette", format!("the cassette cannot be read: {error}")))?;
    if cassette.windlass_cassette != VERSION {
        return Err(Error::invalid(
            "windlass-cassette",
            format!(
                "the cassette has version {}, and this Windlass plays version {VERSION}",
                cassette.windlass_cassette
            ),
        ));
    }
    Ok(cassette)
}

/// Plays every call with `component`, or with the built-in plugin of its name; with faults, once for each response
/// that can have one. Needs no server and reaches nothing outside.
pub async fn cassette_play(
    cassette: &Cassette,
    component: Option<&Path>,
    faults: &[Fault],
) -> Result<Vec<Played>> {
    let folder = tempfile::tempdir().map_err(Error::internal)?;
    let mut settings = Settings { builtin: false, record: false, ..Settings::new(folder.path()) };
    for call in &cassette.calls {
        if settings.sources.iter().all(|source| source.name != call.plugin) {
            let source = component.map_or(Source::Builtin, |path| Source::Path(path.to_owned()));
            settings.sources.push(PluginSource::new(&call.plugin, source));
        }
    }
    let plugins = Plugins::start(settings).await?;
    if let Some((name, error)) =
        plugins.list().into_iter().find_map(|plugin| Some((plugin.name, plugin.error?)))
    {
        return Err(Error::failed(format!("plugin `{name}` could not be loaded: {error}")));
    }
    let mut played = Vec::new();
    for call in &cassette.calls {
        let takes: Vec<_> = if faults.is_empty() { vec![(None, call.clone())] } else { faulty(call, faults) };
        for (fault, take) in takes {
            let replay = plugins.replay(take, Some(&call.plugin)).await?;
            played.push(Played {
                plugin: call.plugin.clone(),
                function: call.function.clone(),
                fault,
                replay,
            });
        }
    }
    if played.is_empty() {
        return Err(Error::invalid(
            "fault",
            "no call of the cassette has a response that could have a fault",
        ));
    }
    Ok(played)
}

type Take = (Option<(Fault, usize)>, CassetteCall);

fn faulty(call: &CassetteCall, faults: &[Fault]) -> Vec<Take> {
    let mut takes = Vec::new();
    for nth in 0..call.exchange.len() {
        let take = |fault: &Fault| Some((Some((*fault, nth)), call.with_fault(*fault, nth)?));
        takes.extend(faults.iter().filter_map(take));
    }
    takes
}
