//! Artifacts: GitLab keeps one zip file for each job.

use windlass_sdk::Failure;
use windlass_sdk::http::Request;
use windlass_sdk::provider::{Artifact, ArtifactChunk};

use crate::api::{Api, Codes};
use crate::logs;
use crate::names::{self, Job};

const PIECE: usize = 4 << 20;
/// The contract takes no more.
const MOST: usize = 1000;
const GONE: Codes = &[(404, "artifact-gone"), (410, "artifact-gone")];

pub fn list(job: &str, build: &str) -> Result<Vec<Artifact>, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    let parts = logs::parts(&api, &job, names::pipeline(build)?)?;
    let artifact = |part: logs::Part| {
        let file = part.artifacts_file?;
        // A job's name may have blanks and slashes.
        let name: String = part
            .name
            .chars()
            .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
            .collect();
        Some(Artifact {
            id: part.id.to_string(),
            path: format!("{name}-{}.zip", part.id),
            size: file.size,
            extras: Vec::new(),
        })
    };
    Ok(parts.into_iter().filter_map(artifact).take(MOST).collect())
}

/// The cursor is the number of bytes that were read before.
pub fn read(job: &str, artifact: &str, cursor: Option<&str>) -> Result<ArtifactChunk, Failure> {
    let (api, job) = (Api::default(), Job::read(job)?);
    let id: u64 =
        artifact.parse().map_err(|_| Failure::permanent("artifact-gone", "There is no such artifact."))?;
    let from: usize = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let request =
        Request::get(format!("{}/jobs/{id}/artifacts", job.address())).timeout_ms(logs::DOWNLOAD_MS);
    let body = api.read(request, GONE)?.body;
    let to = body.len().min(from.saturating_add(PIECE));
    let bytes = body.get(from..to).unwrap_or_default().to_vec();
    Ok(ArtifactChunk { bytes, cursor: (to < body.len()).then(|| to.to_string()) })
}
