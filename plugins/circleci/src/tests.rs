//! Each function against a scripted CircleCI. The whole life of a pipeline, against a stateful one and through the real host, is
//! in `tests/tests/provider_circleci.rs`.

mod hooks;
mod jobs;
mod logs;
mod running;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use windlass_sdk::http::{Error, Request, Response, answering};
use windlass_sdk::provider::Trigger;
use windlass_sdk::testkit::{artifacts_in_trouble, provider_in_trouble};
use windlass_sdk::{Connection, Disposition, Failure};

use crate::CircleCi;

/// An answer, and the request it is for as `METHOD path`.
type Line = (&'static str, Result<Response, Error>);

/// A pipeline, as a path.
const PIPELINE: &str = "GET /api/v2/pipeline/p1";
const WORKFLOWS: &str = "GET /api/v2/pipeline/p1/workflow";

/// Runs `work` with these answers, each to the request that it is for and in this order; returns the requests as well.
fn scripted<T>(lines: Vec<Line>, work: impl FnOnce() -> T) -> (T, Vec<Request>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (left, kept) = (Rc::new(RefCell::new(VecDeque::from(lines))), seen.clone());
    let rest = left.clone();
    let answer = move |request: &Request| {
        kept.borrow_mut().push(request.clone());
        let (wanted, answer) = left.borrow_mut().pop_front().expect("no further request was expected");
        assert_eq!(format!("{} {}", request.method, request.path), wanted);
        answer
    };
    let result = answering(answer, work);
    assert!(rest.borrow().is_empty(), "requests that were never sent: {:?}", rest.borrow());
    (result, seen.take())
}

fn ok(body: &str) -> Result<Response, Error> {
    status(200, body)
}

fn status(code: u16, body: &str) -> Result<Response, Error> {
    Ok(Response::new(code, body))
}

fn connection() -> Connection {
    with_settings("{}")
}

fn with_settings(settings: &str) -> Connection {
    Connection {
        base_url: "https://circleci.com".to_owned(),
        settings: settings.to_owned(),
        extras: Vec::new(),
    }
}

/// A page of workflows, each with its name, status and minute of its beginning.
fn workflows(all: &[(&str, &str, u8)]) -> Result<Response, Error> {
    let items: Vec<_> = all
        .iter()
        .map(|(name, status, minute)| {
            serde_json::json!({
                "id": format!("w-{name}-{minute}"), "name": name, "status": status,
                "created_at": format!("2024-05-01T10:{minute:02}:00Z"), "stopped_at": "2024-05-01T11:00:00Z",
            })
        })
        .collect();
    ok(&serde_json::json!({ "items": items, "next_page_token": null }).to_string())
}

fn pipeline(state: &str) -> Result<Response, Error> {
    ok(&format!(
        r#"{{"id":"p1","number":25,"state":"{state}","errors":[],"created_at":"2024-05-01T09:59:00Z","project_slug":"gh/org/app"}}"#
    ))
}

fn trigger(parameters: &[(&str, &str)]) -> Trigger {
    Trigger {
        ref_name: None,
        parameters: parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
        idempotency_key: "key-1".to_owned(),
        extras: Vec::new(),
    }
}

/// What to do about a failure, in a word.
fn advice(failure: &Failure) -> &'static str {
    match failure.disposition {
        Disposition::Retry(_) => "retry",
        Disposition::Permanent => "permanent",
        Disposition::AuthRequired => "auth-required",
        Disposition::RateLimited(_) => "rate-limited",
        Disposition::Other(_) => "other",
    }
}

#[test]
fn a_vendor_that_fails_is_told_as_what_it_is_at_each_request() {
    provider_in_trouble::<CircleCi>(&connection());
    artifacts_in_trouble::<CircleCi>(&connection());
}
