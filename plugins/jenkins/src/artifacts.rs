//! Files that builds made.

use windlass_sdk::Failure;
use windlass_sdk::http::{Request, segment};
use windlass_sdk::provider::{Artifact, ArtifactChunk};

use crate::builds::{self, Found};
use crate::path::{BuildRef, JobPath};
use crate::{ask, parse};

/// Most artifacts of one build that the host takes.
const MOST: usize = 1000;
/// Most bytes of one piece.
const PIECE: usize = 4 << 20;

pub fn list(path: &JobPath, build: BuildRef) -> Result<Vec<Artifact>, Failure> {
    let Some(number) = number(path, build)? else {
        return Ok(Vec::new());
    };
    let tree = format!("number,artifacts[relativePath]{{0,{MOST}}}");
    let found: Option<parse::Build> = ask::find(&path.build_path(number, ""), &tree)?;
    let build = found.ok_or_else(|| ask::no_such_build(&number.to_string(), &path.id()))?;
    let artifact = |artifact: parse::Artifact| Artifact {
        id: artifact.relative_path.clone(),
        path: artifact.relative_path,
        size: None,
        extras: Vec::new(),
    };
    Ok(build.artifacts.into_iter().map(artifact).collect())
}

/// Jenkins has no way to ask for a part that the host would let pass, so each piece costs the whole.
pub fn read(
    path: &JobPath,
    build: BuildRef,
    artifact: &str,
    cursor: Option<&str>,
) -> Result<ArtifactChunk, Failure> {
    let from: usize = cursor
        .unwrap_or("0")
        .parse()
        .map_err(|_| Failure::permanent("invalid-cursor", "This is no place in an artifact of Jenkins."))?;
    let gone = || {
        let said = format!("Jenkins no longer has the artifact `{artifact}` of this build.");
        Failure::permanent("artifact-gone", said)
    };
    let number = number(path, build)?.ok_or_else(gone)?;
    let file: Vec<String> = artifact.split('/').map(segment).collect();
    let request = Request::get(path.build_path(number, &format!("/artifact/{}", file.join("/"))));
    let mut bytes = match ask::read(request) {
        Ok(response) => response.body,
        Err(failure) if failure.code == "status-404" => return Err(gone()),
        Err(failure) if failure.code == "too-large" => {
            let said = format!(
                "The artifact `{artifact}` is larger than 8 MiB. Please download it from Jenkins itself."
            );
            return Err(Failure::permanent("too-large", said));
        }
        Err(failure) => return Err(failure),
    };
    bytes.drain(..from.min(bytes.len()));
    let more = bytes.len() > PIECE;
    bytes.truncate(PIECE);
    Ok(ArtifactChunk { bytes, cursor: more.then(|| (from + PIECE).to_string()) })
}

fn number(path: &JobPath, build: BuildRef) -> Result<Option<u64>, Failure> {
    match build {
        BuildRef::Number(number) => Ok(Some(number)),
        BuildRef::Queued(_) => Ok(match builds::find(path, build)? {
            Found::Started(build) => Some(build.number),
            Found::Waiting(_) => None,
        }),
    }
}
