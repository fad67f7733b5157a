//! Where the log goes, and the traces.

use std::io::IsTerminal as _;

use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Filter, Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, LogFormat};
use crate::error::{Error, Result};
use crate::telemetry::{Traces, is_exported};

/// Begins to log. With `traces`, spans go there; the log has lines only.
pub fn start(config: &Config, traces: Option<&Traces>) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.level).map_err(|error| {
        Error::invalid("log.level", format!("log.level (WINDLASS_LOG) is not understood: {error}"))
    })?;
    let shown = of_lines(filter);
    let exported = traces.map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_exported).with_max_level_hint(LevelFilter::INFO))
    });
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let registry = tracing_subscriber::registry().with(exported);
    let result = match config.log.format {
        LogFormat::Json => registry.with(lines.json().with_filter(shown)).try_init(),
        LogFormat::Text => registry.with(lines.with_target(false).with_filter(shown)).try_init(),
    };
    result.map_err(|error| Error::internal(format!("the log cannot be started: {error}")))
}

/// What becomes a line. Both filters say up to which level they let anything through: where one does not, every crate that logs
/// has to ask about each of its lines.
fn of_lines<S: Subscriber>(level: EnvFilter) -> impl Filter<S> {
    level.and(filter_fn(|metadata| !is_exported(metadata)).with_max_level_hint(LevelFilter::TRACE))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::Registry;

    use super::*;

    #[test]
    fn what_is_below_the_level_is_not_even_asked_about() {
        let level = EnvFilter::new("info,windlass=debug");
        assert_eq!(Filter::<Registry>::max_level_hint(&of_lines(level)), Some(LevelFilter::DEBUG));
    }
}
