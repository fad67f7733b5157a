//! One trace from the delivery of a push to the deployment that serves, as a collector gets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Attribute;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use windlass_tests::docker::eventually;
use windlass_tests::fixture::Fixture;
use windlass_tests::peer::{Peer, text};

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector that keeps what it gets, after decoding it as the protocol has it.
async fn collector() -> (Peer, Spans) {
    let spans = Spans::default();
    let kept = spans.clone();
    let peer = Peer::start(move |seen| {
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/traces"));
        assert_eq!(seen.header("content-type"), Some("application/x-protobuf"));
        let request = ExportTraceServiceRequest::decode(&seen.body[..]).unwrap();
        for resource in request.resource_spans {
            let attributes = &resource.resource.as_ref().unwrap().attributes;
            let name = attributes.iter().find(|pair| pair.key == "service.name").unwrap();
            let value = name.value.as_ref().unwrap().value.as_ref().unwrap();
            assert_eq!(*value, Attribute::StringValue("windlass".into()));
            kept.lock().unwrap().extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
        text(200, "")
    })
    .await;
    (peer, spans)
}

#[tokio::test]
async fn a_push_is_one_trace_from_its_delivery_to_the_deployment_that_serves() {
    let (collector, spans) = collector().await;
    let endpoint = collector.url();
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let mut fixture = Fixture::start_with(true, &variables, serde_json::json!({})).await;
    let (_, deployment) = fixture.deploy("1").await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);
    // What is left is sent when the server ends.
    fixture.server.terminate();
    eventually("the server has ended", async || fixture.server.has_ended()).await;
    let spans = spans.lock().unwrap().clone();
    let named = |name: &str| {
        let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert!(!found.is_empty(), "no `{name}` among {names:?}");
        found
    };
    let delivery = named("POST /api/webhooks/{repository}")[0];
    assert!(delivery.parent_span_id.is_empty(), "the delivery begins the trace");
    let by_id: HashMap<&[u8], &Span> = spans.iter().map(|span| (&span.span_id[..], span)).collect();
    for (name, parent) in [
        ("task webhook", "POST /api/webhooks/{repository}"),
        ("task build", "task webhook"),
        ("fetch", "task build"),
        ("build image", "task build"),
        ("task deploy", "task build"),
        ("launch container", "task deploy"),
    ] {
        let span = named(name)[0];
        assert_eq!(span.trace_id, delivery.trace_id, "{name} belongs to another trace");
        assert_eq!(by_id[&span.parent_span_id[..]].name, parent, "what caused {name}");
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
    }
    // Ids and routes are told; what was pushed, and by which secret, is not.
    let all = format!("{spans:?}");
    assert!(!all.contains(&fixture.secret) && !all.contains(&fixture.webhook));
}

#[tokio::test]
async fn without_a_collector_there_is_nothing_to_keep() {
    let mut fixture = Fixture::start(true).await;
    let (_, deployment) = fixture.deploy("1").await;
    assert_eq!(deployment["status"], "successful");
    fixture.server.kill();
    let url = format!("sqlite:{}", fixture.server.data().join("windlass.db").display());
    let db = windlass::store::Db::open(&windlass::store::DbConfig::new(url)).await.unwrap();
    let mut conn = db.read().await.unwrap();
    let tasks = windlass::store::tasks::list(&mut conn, None, 100).await.unwrap();
    assert!(!tasks.is_empty() && tasks.iter().all(|task| task.trace.is_none()));
}
