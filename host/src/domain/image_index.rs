//! An image index: what a registry keeps under one name for the images of several platforms (OCI image specification; Docker's
//! manifest list is the same by another type).

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is asked for where an engine has pushed an image.
pub const ACCEPTED: [&str; 4] = [DOCKER_IMAGE, OCI_IMAGE, DOCKER_LIST, OCI_INDEX];

/// What a registry knows content by: `sha256:` and 64 hex digits.
pub fn digest(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// What an index says of a pushed image; `media_type` is the registry's word for it, `digest` is that of its manifest.
///
/// # Errors
/// Says what was found in place of an image.
pub fn entries(
    manifest: &[u8],
    media_type: &str,
    digest: &str,
    platform: &str,
) -> Result<Vec<Value>, String> {
    let parsed: Value =
        serde_json::from_slice(manifest).map_err(|_| "its manifest cannot be read".to_string())?;
    // An engine with containerd's image store pushes an index of its own, in which the platforms are named already.
    if let Some(inner) = parsed["manifests"].as_array() {
        return Ok(inner.clone());
    }
    // A header may go on with parameters.
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let media_type = parsed["mediaType"].as_str().unwrap_or(media_type);
    let known = [DOCKER_IMAGE, OCI_IMAGE].into_iter().find(|known| *known == media_type);
    let media_type =
        known.ok_or_else(|| format!("its manifest is a `{}` and no image", media_type.escape_debug()))?;
    let mut parts = platform.split('/');
    let mut named = json!({ "os": parts.next(), "architecture": parts.next() });
    if let Some(variant) = parts.next() {
        named["variant"] = json!(variant);
    }
    let (size, platform) = (manifest.len(), named);
    Ok(vec![json!({ "mediaType": media_type, "digest": digest, "size": size, "platform": platform })])
}

/// The index of these entries: its type, and its bytes. Docker's own images stand in Docker's list, which every client reads.
pub fn index(entries: &[Value]) -> (&'static str, Vec<u8>) {
    let is_docker = entries.iter().all(|entry| entry["mediaType"] == DOCKER_IMAGE);
    let media_type = if is_docker { DOCKER_LIST } else { OCI_INDEX };
    let index = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": entries });
    (media_type, index.to_string().into_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn of(manifest: &Value, media_type: &str, platform: &str) -> Result<Vec<Value>, String> {
        entries(manifest.to_string().as_bytes(), media_type, "sha256:0a", platform)
    }

    #[test]
    fn an_image_is_named_with_its_platform() {
        let found = of(&json!({ "mediaType": DOCKER_IMAGE }), "", "linux/amd64").unwrap();
        assert_eq!(found[0]["platform"], json!({ "os": "linux", "architecture": "amd64" }));
        assert_eq!((&found[0]["digest"], &found[0]["size"]), (&json!("sha256:0a"), &json!(68)));
        let arm = of(&json!({}), OCI_IMAGE, "linux/arm/v7").unwrap();
        assert_eq!(arm[0]["platform"]["variant"], "v7");
        assert_eq!(index(&found).0, DOCKER_LIST);
        assert_eq!(index(&[found, arm].concat()).0, OCI_INDEX);
    }

    #[test]
    fn an_index_that_an_engine_pushed_gives_what_is_in_it() {
        let inner = json!({ "mediaType": OCI_IMAGE, "digest": "sha256:1" });
        let pushed = json!({ "mediaType": OCI_INDEX, "manifests": [inner.clone()] });
        assert_eq!(of(&pushed, OCI_INDEX, "linux/arm64"), Ok(vec![inner]));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(of(&json!({}), "text/html", "linux/amd64").unwrap_err().contains("text/html"));
        assert!(entries(b"<html>", OCI_IMAGE, "sha256:0a", "linux/amd64").is_err());
    }
}
