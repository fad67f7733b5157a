//! Pipelines as builds: how they go, and how they are stopped.

use windlass_sdk::http::{Request, segment};
use windlass_sdk::provider::Build;
use windlass_sdk::{Connection, Failure};

use crate::parse::{Pipeline, Workflow};
use crate::{ask, convert};

/// Seconds until a pipeline is asked for again that has nothing to stop yet.
const SOON: u32 = 5;

pub fn status(connection: &Connection, build: &str) -> Result<Build, Failure> {
    let path = format!("/api/v2/pipeline/{}", segment(build));
    let pipeline: Pipeline = ask::missing(ask::read(Request::get(path)), || ask::no_such_build(build))?;
    Ok(convert::build(connection, &pipeline, &workflows(build)?))
}

pub fn workflows(build: &str) -> Result<Vec<Workflow>, Failure> {
    let path = format!("/api/v2/pipeline/{}/workflow", segment(build));
    ask::missing(ask::list(&path), || ask::no_such_build(build))
}

/// Stops every workflow that has not ended.
pub fn cancel(build: &str) -> Result<(), Failure> {
    let workflows = workflows(build)?;
    if workflows.is_empty() {
        let path = format!("/api/v2/pipeline/{}", segment(build));
        let pipeline: Pipeline = ask::missing(ask::read(Request::get(path)), || ask::no_such_build(build))?;
        if pipeline.state == "errored" {
            return Ok(());
        }
        let said = "The pipeline has no workflow yet, and CircleCI can stop nothing else. It is asked again in a moment.";
        return Err(Failure::retry(Some(SOON), "nothing-to-cancel-yet", said));
    }
    let mut sent = false;
    let goes_on = |found: &&Workflow| !convert::is_final(&convert::workflow(&found.status));
    for workflow in workflows.iter().filter(goes_on) {
        let request = Request::post(format!("/api/v2/workflow/{}/cancel", segment(&workflow.id)));
        match ask::change(request) {
            Ok(_) => sent = true,
            // It has ended meanwhile.
            Err(failure) if matches!(failure.code.as_str(), "status-400" | "status-404" | "status-409") => {}
            Err(failure) => return Err(Failure { request_sent: failure.request_sent || sent, ..failure }),
        }
    }
    Ok(())
}
