//! Jobs and builds as they are now.

use windlass_sdk::Failure;
use windlass_sdk::provider::{Build, Job};

use crate::path::{BuildRef, JobPath};
use crate::{ask, convert, parse};

const BUILD: &str = "number,queueId,building,result,timestamp,duration,url";
/// Builds among which one is looked for that has left the queue long ago.
const RECENT: usize = 100;

/// Where a build is by now.
pub enum Found {
    Waiting(parse::QueueItem),
    Started(parse::Build),
}

pub fn job(path: &JobPath) -> Result<Job, Failure> {
    let definitions = "parameterDefinitions[name,type,choices]";
    let tree = format!(
        "_class,url,color,buildable,lastBuild[{BUILD}],property[{definitions}],actions[{definitions}]"
    );
    let item: Option<parse::Item> = ask::find(&path.url_path(), &tree)?;
    match item {
        Some(item) if !item.is_folder() => Ok(convert::job(path, &item)),
        _ => Err(ask::no_such_job(&path.id())),
    }
}

pub fn status(path: &JobPath, build: BuildRef) -> Result<Build, Failure> {
    Ok(match find(path, build)? {
        Found::Waiting(item) => convert::queued(&item),
        Found::Started(build) => convert::build(&build),
    })
}

/// Follows a build out of the queue.
pub fn find(path: &JobPath, build: BuildRef) -> Result<Found, Failure> {
    let item = match build {
        BuildRef::Number(number) => return numbered(path, number).map(Found::Started),
        BuildRef::Queued(item) => item,
    };
    let tree = "id,why,cancelled,executable[number]";
    match ask::find::<parse::QueueItem>(&format!("/queue/item/{item}"), tree)? {
        Some(parse::QueueItem { executable: Some(executable), .. }) => {
            numbered(path, executable.number).map(Found::Started)
        }
        Some(waiting) => Ok(Found::Waiting(waiting)),
        // Jenkins forgets an item five minutes after it has left the queue.
        None => from_queue(path, item).map(Found::Started),
    }
}

fn numbered(path: &JobPath, number: u64) -> Result<parse::Build, Failure> {
    let found = ask::find(&path.build_path(number, ""), BUILD)?;
    found.ok_or_else(|| ask::no_such_build(&number.to_string(), &path.id()))
}

/// The build that came from this item of the queue.
fn from_queue(path: &JobPath, item: u64) -> Result<parse::Build, Failure> {
    let job: Option<parse::Item> = ask::find(&path.url_path(), &format!("builds[{BUILD}]{{0,{RECENT}}}"))?;
    let job = job.ok_or_else(|| ask::no_such_job(&path.id()))?;
    let is_it = |build: &parse::Build| build.queue_id.is_some_and(|id| u64::try_from(id) == Ok(item));
    let found = job.builds.into_iter().find(is_it);
    found.ok_or_else(|| ask::no_such_build(&BuildRef::Queued(item).id(), &path.id()))
}
