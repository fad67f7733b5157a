//! Artifacts: GitHub keeps each as a zip file.

use serde::Deserialize;
use windlass_sdk::Failure;
use windlass_sdk::http::Request;
use windlass_sdk::provider::{Artifact, ArtifactChunk};

use crate::api::{Api, Codes};
use crate::logs::DOWNLOAD_MS;
use crate::names::{self, Job, Started};

const PIECE: usize = 4 << 20;
const PAGE: usize = 100;
/// The contract takes 1,000.
const PAGES: usize = 10;
const GONE: Codes = &[(404, "artifact-gone"), (410, "artifact-gone")];

#[derive(Deserialize)]
struct Found {
    artifacts: Vec<Kept>,
}

#[derive(Deserialize)]
struct Kept {
    id: u64,
    name: String,
    size_in_bytes: u64,
    #[serde(default)]
    expired: bool,
}

pub fn list(job: &str, build: &str) -> Result<Vec<Artifact>, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    if Started::read(build).is_some() {
        return Ok(Vec::new());
    }
    let run = names::run(build)?;
    let mut all = Vec::new();
    for page in 1..=PAGES {
        let path = format!("/repos/{}/actions/runs/{run}/artifacts", job.repository);
        let path = format!("{path}?per_page={PAGE}&page={page}");
        let found: Found = api.get(path, &[(404, "no-such-build")])?;
        let is_last = found.artifacts.len() < PAGE;
        all.extend(found.artifacts.into_iter().filter(|kept| !kept.expired).map(|kept| Artifact {
            id: kept.id.to_string(),
            path: format!("{}.zip", kept.name),
            size: Some(kept.size_in_bytes),
            extras: Vec::new(),
        }));
        if is_last {
            break;
        }
    }
    Ok(all)
}

/// The cursor is the number of bytes that were read before.
pub fn read(job: &str, artifact: &str, cursor: Option<&str>) -> Result<ArtifactChunk, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    let id: u64 =
        artifact.parse().map_err(|_| Failure::permanent("artifact-gone", "There is no such artifact."))?;
    let from: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let path = format!("/repos/{}/actions/artifacts/{id}/zip", job.repository);
    let body = api.read(Request::get(path).timeout_ms(DOWNLOAD_MS), GONE)?.body;
    let to = body.len().min(from.saturating_add(PIECE));
    let bytes = body.get(from..to).unwrap_or_default().to_vec();
    Ok(ArtifactChunk { bytes, cursor: (to < body.len()).then(|| to.to_string()) })
}
