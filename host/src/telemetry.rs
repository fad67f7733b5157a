//! Traces in OpenTelemetry's form, for those who have a collector: one from the delivery of a push to the deployment that
//! serves. The context of a trace (W3C `traceparent`) is kept with the tasks of the queue, so that it survives restarts and
//! goes from node to node. Without a collector the spans do not exist, and cost nothing.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{Level, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::error::{Error, Result};

/// Target of the spans that are exported. Log lines are none of them, and they are in no log.
const TARGET: &str = "windlass::trace";
const PARENT: &str = "traceparent";
/// How long a collector gets to take a batch, and how long the last one is waited for.
const EXPORT_PATIENCE: Duration = Duration::from_secs(5);

/// Where spans go. To be closed, so that the last ones arrive.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// To the collector at that address, by HTTP with protobuf; `/v1/traces` is added, as the specification of the
    /// variable `OTEL_EXPORTER_OTLP_ENDPOINT` has it. `OTEL_EXPORTER_OTLP_HEADERS` may carry what the collector asks for.
    ///
    /// # Errors
    /// `Invalid` for an address that cannot be one.
    pub fn start(endpoint: &str) -> Result<Self> {
        let wrong = |why: String| {
            let text = format!("telemetry.otlp_endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) cannot be used: {why}");
            Error::invalid("telemetry.otlp_endpoint", text)
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(EXPORT_PATIENCE)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let resource = Resource::builder()
            .with_service_name("windlass")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    pub fn tracer(&self) -> SdkTracer {
        self.0.tracer("windlass")
    }

    /// Sends what is left. Blocks for a few seconds at most.
    pub fn close(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(EXPORT_PATIENCE) {
            tracing::warn!(%error, "[@telemetry:export] the last traces did not arrive");
        }
    }
}

/// Whether a span is one of those that are exported.
pub fn is_exported(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.is_span() && metadata.target() == TARGET
}

/// The context of the running span, to be kept with what it causes; `None` where nothing is traced.
pub fn current() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove(PARENT)
}

/// A request that may change something. The route is the pattern, so that no id and no secret is in its name.
pub fn request_span(method: &str, route: &str) -> Span {
    tracing::span!(
        target: TARGET,
        Level::INFO,
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = field::Empty,
    )
}

/// A request has been answered.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// One attempt at a task, in the trace of what caused it.
pub fn task_span(kind: &str, subject: &str, attempt: i64, parent: Option<&str>) -> Span {
    let span = tracing::span!(
        target: TARGET,
        Level::INFO,
        "task",
        otel.name = format!("task {kind}"),
        otel.kind = "consumer",
        otel.status_code = field::Empty,
        windlass.task.kind = kind,
        windlass.task.subject = subject,
        windlass.task.attempt = attempt,
    );
    if let Some(parent) = parent {
        let carrier = HashMap::from([(PARENT.to_owned(), parent.to_owned())]);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        // A span that is not exported takes no parent, and needs none.
        let _ = span.set_parent(context);
    }
    span
}

/// A part of a task: a step of a build, an effect of a rollout. `name` is one of few words, and `of` says what exactly.
pub fn step_span(name: &str, of: &str) -> Span {
    tracing::span!(
        target: TARGET,
        Level::INFO,
        "step",
        otel.name = name,
        otel.status_code = field::Empty,
        windlass.step = of,
    )
}

/// What the span is about went wrong. The reason is in the log, where secrets are taken out.
pub fn failed(span: &Span) {
    span.record("otel.status_code", "ERROR");
}
