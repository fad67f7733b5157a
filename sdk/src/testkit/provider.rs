//! A provider's recorded calls, made again natively, and with an other side that fails at each of their requests.

use serde_json::Value;

use super::trials::Trials;
use super::{Call, Cassette, outage};
use crate::provider::{JobSpec, PipelineFile, Provider, Trigger};
use crate::{Connection, Failure};

/// Makes each recorded call of a provider again, with the recorded responses, with each fault in each of them, and with an other
/// side that fails from each request on. Answers with how many calls that were; those of other interfaces are passed over.
///
/// # Panics
/// If a call ends otherwise than recorded, asks for something else, or makes of a failing other side what it is not.
pub fn replay_provider<P: Provider>(cassette: &Cassette) -> usize {
    cassette.calls.iter().filter(|call| replay::<P>(call)).count()
}

fn replay<P: Provider>(call: &Call) -> bool {
    let on = || connection(&call.input[0]);
    let text = |at: usize| call.input.get(at).and_then(Value::as_str).unwrap_or_default();
    match call.function.as_str() {
        "test-connection" => again(call, || P::test_connection(on()).map(|_| true)),
        "create-job" => again(call, || P::create_job(on(), spec(&call.input[1])).map(|_| true)),
        "trigger-job" => again(call, || P::trigger_job(on(), text(1), trigger(&call.input[2])).map(|_| true)),
        "get-job-status" => again(call, || P::get_job_status(on(), text(1)).map(|_| true)),
        "get-build-status" => again(call, || P::get_build_status(on(), text(1), text(2)).map(|_| true)),
        "get-build-logs" => again(call, || {
            let chunk = P::get_build_logs(on(), text(1), text(2), call.input.get(3).and_then(Value::as_str));
            chunk.map(|chunk| !chunk.text.is_empty())
        }),
        "cancel-build" => again(call, || P::cancel_build(on(), text(1), text(2)).map(|()| true)),
        "delete-job" => again(call, || P::delete_job(on(), text(1)).map(|()| true)),
        _ => return false,
    }
    true
}

/// In all ways; `work` says whether its answer says anything.
fn again(call: &Call, work: impl Fn() -> Result<bool, Failure>) {
    let was_good = call.output.as_ref().is_some_and(|output| output.get("ok").is_some());
    match call.answering(&work) {
        Ok(_) => assert!(was_good, "{} succeeds, and failed when it was recorded", call.function),
        Err(failure) => {
            assert!(!was_good, "{} fails, and did not when it was recorded: {failure:?}", call.function)
        }
    }
    call.with_faults(&work);
    let trials = Trials::recorded(&call.function, call.answers());
    if let Err(why) = outage::run(trials, |_, _| work()) {
        panic!("{why}");
    }
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
