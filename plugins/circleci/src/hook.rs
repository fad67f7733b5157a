//! CircleCI's webhooks: `workflow-completed`, `job-completed`, `ping`.

use windlass_sdk::Failure;
use windlass_sdk::forge::unix_ms;
use windlass_sdk::provider::{Build, BuildReport, BuildStatus, Delivery, Event, malformed};

use crate::convert;
use crate::name::{JobName, Slug};
use crate::parse::{Delivered, DeliveredPipeline};

pub fn parse(delivery: &Delivery) -> Result<Event, Failure> {
    let payload: Delivered = delivery.json()?;
    match payload.kind.as_str() {
        "workflow-completed" => workflow(payload).map(|report| Event::Builds(vec![report])),
        "ping" => Ok(Event::Ping),
        // One job tells nothing about how the pipeline goes on.
        other => Ok(Event::Unsupported(other.to_owned())),
    }
}

fn workflow(payload: Delivered) -> Result<BuildReport, Failure> {
    let lacking = |field: &str| malformed(format!("A `workflow-completed` has to have `{field}`."));
    let project = payload.project.ok_or_else(|| lacking("project"))?;
    let pipeline = payload.pipeline.ok_or_else(|| lacking("pipeline"))?;
    let workflow = payload.workflow.ok_or_else(|| lacking("workflow"))?;
    let word = workflow.status.ok_or_else(|| lacking("workflow.status"))?;
    let slug = Slug::of(&project.slug)
        .ok_or_else(|| malformed(format!("`{}` is no slug of a project.", project.slug)))?;
    let status = match convert::workflow(&word) {
        // A pipeline may have further workflows that still run or fail, so the host has to look.
        BuildStatus::Success => BuildStatus::Running,
        other => other,
    };
    let mut build = Build::new(pipeline.id.clone(), status);
    build.number = pipeline.number.to_string();
    build.url = workflow.url;
    build.started = pipeline.created_at.as_deref().and_then(unix_ms);
    if convert::is_final(&build.status) {
        build.finished = workflow.stopped_at.as_deref().and_then(unix_ms);
    }
    build.poll_after = Some(1);
    build.extras.push((format!("workflow:{}", workflow.name.unwrap_or_default()), word));
    let job = JobName { slug, branch: branch(&pipeline) };
    Ok(BuildReport { job: job.id(), build })
}

/// The branch, or the tag where a tag was built.
fn branch(pipeline: &DeliveredPipeline) -> String {
    let git = pipeline.trigger_parameters.as_ref().and_then(|parameters| parameters.git.as_ref());
    let known = pipeline.vcs.as_ref().or(git);
    let is_given = |name: &&String| !name.is_empty();
    let found = known.and_then(|found| {
        found.branch.as_ref().filter(is_given).or(found.tag.as_ref().filter(is_given)).cloned()
    });
    found.unwrap_or_default()
}
