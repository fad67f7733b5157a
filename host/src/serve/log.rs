//! Where the log goes, and the traces.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, LogFormat};
use crate::error::{Error, Result};
use crate::telemetry::{Traces, is_exported};

/// Begins to log. With `traces`, spans go there; the log has lines only.
pub fn start(config: &Config, traces: Option<&Traces>) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.level).map_err(|error| {
        Error::invalid("log.level", format!("log.level (WINDLASS_LOG) is not understood: {error}"))
    })?;
    let shown = filter.and(filter_fn(|metadata| !is_exported(metadata)));
    let exported = traces.map(|traces| {
        tracing_opentelemetry::layer()
            .with_tracer(traces.tracer())
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_exported))
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
