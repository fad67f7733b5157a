//! Stops builds, each time it is asked a little harder.

use windlass_sdk::Failure;
use windlass_sdk::http::Request;

use crate::builds::{self, Found};
use crate::path::{BuildRef, JobPath};
use crate::{ask, logs, parse};

/// What Jenkins writes into a pipeline's log 15 seconds after it was asked in vain (`WorkflowRun.printLater`), with what
/// it offers then. The last of them that it wrote counts.
const OFFERS: [(&str, &str); 2] =
    [("forcibly kill entire build", "kill"), ("forcibly terminate running steps", "term")];

pub fn cancel(path: &JobPath, build: BuildRef) -> Result<(), Failure> {
    match builds::find(path, build)? {
        Found::Waiting(item) if item.cancelled => Ok(()),
        Found::Waiting(item) => dequeue(path, item.id),
        Found::Started(build) => stop(path, &build),
    }
}

/// Takes it out of the queue. It may begin at this very moment; then the build is stopped.
fn dequeue(path: &JobPath, item: u64) -> Result<(), Failure> {
    let asked = ask::change(Request::post("/queue/cancelItem").query("id", &item.to_string()));
    match builds::find(path, BuildRef::Queued(item)).map_err(Failure::after_sending)? {
        Found::Waiting(item) if item.cancelled => Ok(()),
        Found::Started(build) => stop(path, &build),
        Found::Waiting(_) => served(asked),
    }
}

fn stop(path: &JobPath, build: &parse::Build) -> Result<(), Failure> {
    if !build.building {
        return Ok(());
    }
    let log = logs::tail(path, build.number)?;
    let offer = OFFERS.iter().find(|(words, _)| log.contains(words));
    let verb = offer.map_or("stop", |(_, verb)| verb);
    served(ask::change(Request::post(path.build_path(build.number, &format!("/{verb}")))))
}

/// Jenkins leads on to a page that need not be there, or to a name that the host does not reach it by. A refusal may be that
/// of the page as well.
fn served<T>(answer: Result<T, Failure>) -> Result<(), Failure> {
    match answer {
        Err(failure) if matches!(failure.code.as_str(), ask::REDIRECTED | "status-404") => Ok(()),
        other => other.map(|_| ()).map_err(Failure::after_sending),
    }
}
