//! A provider's recorded calls, made again natively.

use serde_json::Value;

use super::{Call, Cassette};
use crate::provider::{JobSpec, PipelineFile, Provider, Trigger};
use crate::{Connection, Failure};

/// Makes each recorded call of a provider again, with the recorded responses, and once more with each fault in each of them.
/// Answers with how many calls that were; those of other interfaces are passed over.
///
/// # Panics
/// If a call ends otherwise than recorded, asks for something else, or panics.
pub fn replay_provider<P: Provider>(cassette: &Cassette) -> usize {
    cassette.calls.iter().filter(|call| replay::<P>(call)).count()
}

fn replay<P: Provider>(call: &Call) -> bool {
    let on = || connection(&call.input[0]);
    let text = |at: usize| call.input.get(at).and_then(Value::as_str).unwrap_or_default();
    match call.function.as_str() {
        "test-connection" => both(call, || P::test_connection(on())),
        "create-job" => both(call, || P::create_job(on(), spec(&call.input[1]))),
        "trigger-job" => both(call, || P::trigger_job(on(), text(1), trigger(&call.input[2]))),
        "get-job-status" => both(call, || P::get_job_status(on(), text(1))),
        "get-build-status" => both(call, || P::get_build_status(on(), text(1), text(2))),
        "get-build-logs" => both(call, || {
            P::get_build_logs(on(), text(1), text(2), call.input.get(3).and_then(Value::as_str))
        }),
        "cancel-build" => both(call, || P::cancel_build(on(), text(1), text(2))),
        "delete-job" => both(call, || P::delete_job(on(), text(1))),
        _ => return false,
    }
    true
}

fn both<T>(call: &Call, work: impl Fn() -> Result<T, Failure>) {
    let was_good = call.output.as_ref().is_some_and(|output| output.get("ok").is_some());
    match call.answering(&work) {
        Ok(_) => assert!(was_good, "{} succeeds, and failed when it was recorded", call.function),
        Err(failure) => {
            assert!(!was_good, "{} fails, and did not when it was recorded: {failure:?}", call.function)
        }
    }
    call.with_faults(work);
}

fn word(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn connection(value: &Value) -> Connection {
    Connection { base_url: word(value, "base-url"), settings: word(value, "settings"), extras: Vec::new() }
}

fn spec(value: &Value) -> JobSpec {
    let file = |file: &Value| PipelineFile { path: word(file, "path"), content: word(file, "content") };
    JobSpec {
        name: word(value, "name"),
        description: word(value, "description"),
        folder: value.get("folder").and_then(Value::as_str).map(str::to_owned),
        repository_url: word(value, "repository-url"),
        branch: word(value, "branch"),
        pipeline: items(value, "pipeline").map(file).collect(),
        parameters: Vec::new(),
        extras: Vec::new(),
    }
}

fn trigger(value: &Value) -> Trigger {
    let text = |pair: &Value, at: usize| pair.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
    Trigger {
        ref_name: value.get("ref-name").and_then(Value::as_str).map(str::to_owned),
        parameters: items(value, "parameters").map(|pair| (text(pair, 0), text(pair, 1))).collect(),
        idempotency_key: word(value, "idempotency-key"),
        extras: Vec::new(),
    }
}
