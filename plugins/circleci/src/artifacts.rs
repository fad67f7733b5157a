//! Files that a pipeline's jobs made. CircleCI keeps them on a host of its own, to which no token goes, so only those of public
//! projects can be read; all can be listed.

use windlass_sdk::Failure;
use windlass_sdk::http::{Request, segment};
use windlass_sdk::provider::{Artifact, ArtifactChunk};

use crate::name::JobName;
use crate::{ask, builds, convert, parse};

/// Most artifacts of one build that the host takes, and most bytes of an id.
const MOST: usize = 1000;
const ID_BYTES: usize = 1024;
/// Most bytes of one piece.
const PIECE: usize = 4 << 20;
/// Jobs whose artifacts one call lists; it has 32 requests.
const JOBS: usize = 20;

/// The id of an artifact is its URL.
pub fn list(name: &JobName, build: &str) -> Result<Vec<Artifact>, Failure> {
    let workflows = builds::workflows(build)?;
    let mut numbers = Vec::new();
    for workflow in convert::current(&workflows) {
        let jobs: Vec<parse::Job> = ask::list(&format!("/api/v2/workflow/{}/job", segment(&workflow.id)))?;
        numbers.extend(jobs.into_iter().filter_map(|job| job.job_number));
    }
    let mut found: Vec<parse::Artifact> = Vec::new();
    for number in numbers.into_iter().take(JOBS) {
        found.extend(ask::list::<parse::Artifact>(&format!("{}/{number}/artifacts", name.slug.path()))?);
    }
    let artifact = |artifact: parse::Artifact| Artifact {
        id: artifact.url,
        path: artifact.path,
        size: None,
        extras: Vec::new(),
    };
    Ok(found.into_iter().filter(|found| found.url.len() <= ID_BYTES).take(MOST).map(artifact).collect())
}

/// The host asks for no part of a file, so each piece costs the whole.
pub fn read(artifact: &str, cursor: Option<&str>) -> Result<ArtifactChunk, Failure> {
    let from: usize = cursor
        .unwrap_or("0")
        .parse()
        .map_err(|_| Failure::permanent("invalid-cursor", "This is no place in an artifact of CircleCI."))?;
    let mut bytes = match ask::bytes(Request::get(artifact).credential(ask::TOKEN)) {
        Ok(response) => response.body,
        Err(failure) if matches!(failure.code.as_str(), "status-404" | "status-410") => {
            let said =
                format!("CircleCI no longer has `{artifact}`, or only shows it to members of the project.");
            return Err(Failure::permanent("artifact-gone", said));
        }
        Err(failure) if failure.code == "too-large" => {
            let said = format!("The artifact is larger than 8 MiB. Please download it from {artifact}.");
            return Err(Failure::permanent("too-large", said));
        }
        Err(failure) => return Err(failure),
    };
    bytes.drain(..from.min(bytes.len()));
    let more = bytes.len() > PIECE;
    bytes.truncate(PIECE);
    Ok(ArtifactChunk { bytes, cursor: more.then(|| (from + PIECE).to_string()) })
}
