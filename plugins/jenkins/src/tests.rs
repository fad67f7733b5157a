//! Each function against a scripted Jenkins. The whole life of a job, against a stateful one and through the real host, is in
//! `tests/tests/provider_jenkins.rs`.

mod hooks;
mod jobs;
mod running;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use windlass_sdk::http::{Error, Request, Response, answering};
use windlass_sdk::provider::{JobSpec, PipelineFile, Trigger};
use windlass_sdk::testkit::{artifacts_in_trouble, provider_in_trouble};
use windlass_sdk::{Connection, Disposition, Failure};

use crate::Jenkins;

/// An answer, and the request it is for as `METHOD path`.
type Line = (&'static str, Result<Response, Error>);

/// Runs `work` with these answers, each to the request that it is for and in this order; returns the requests as well.
fn scripted<T>(lines: Vec<Line>, work: impl FnOnce() -> T) -> (T, Vec<Request>) {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let (left, kept) = (Rc::new(RefCell::new(VecDeque::from(lines))), seen.clone());
    let rest = left.clone();
    let answer = move |request: &Request| {
        kept.borrow_mut().push(request.clone());
        let (wanted, answer) = left.borrow_mut().pop_front().expect("no further request was expected");
        let path = request.path.split("?tree=").next().unwrap_or_default();
        assert_eq!(format!("{} {path}", request.method), wanted);
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

fn with_headers(code: u16, body: &str, headers: &[(&str, &str)]) -> Result<Response, Error> {
    let mut response = Response::new(code, body);
    response.headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(response)
}

fn connection() -> Connection {
    with_settings("{}")
}

fn with_settings(settings: &str) -> Connection {
    Connection {
        base_url: "https://ci.example/jenkins".to_owned(),
        settings: settings.to_owned(),
        extras: Vec::new(),
    }
}

fn spec(name: &str, folder: Option<&str>, script: &str) -> JobSpec {
    JobSpec {
        name: name.to_owned(),
        description: "Deploys <the> app".to_owned(),
        folder: folder.map(str::to_owned),
        repository_url: "https://git.example/team/app.git".to_owned(),
        branch: "main".to_owned(),
        pipeline: vec![PipelineFile { path: "Jenkinsfile".to_owned(), content: script.to_owned() }],
        parameters: Vec::new(),
        extras: Vec::new(),
    }
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
    provider_in_trouble::<Jenkins>(&connection());
    artifacts_in_trouble::<Jenkins>(&connection());
}
