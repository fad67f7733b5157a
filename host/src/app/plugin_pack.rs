//! A component as an OCI artefact, in the form that the tools of the WebAssembly world write and read.
//!
//! Source of the format: the CNCF TAG Runtime's "Wasm OCI Artifact Layout" and the OCI image specification 1.1. One layer
//! `application/wasm`, whose digest is the component's own; a config that names its imports and exports.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::plugin::PluginInfo;

pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
pub const LAYER_TYPE: &str = "application/wasm";

/// The parts of an artefact.
pub struct Artefact {
    pub component: Vec<u8>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

/// `sha256:` and 64 hex digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// The same component always gives the same artefact, so its date is the epoch's.
pub fn artefact(component: Vec<u8>, info: &PluginInfo) -> Artefact {
    let layer = digest(&component);
    let config = json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer],
        "component": { "exports": info.exports, "imports": info.imports },
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": { "mediaType": CONFIG_TYPE, "digest": digest(&config), "size": config.len() },
        "layers": [{ "mediaType": LAYER_TYPE, "digest": layer, "size": component.len() }],
        "annotations": {
            "org.opencontainers.image.title": info.manifest.name,
            "org.opencontainers.image.version": info.manifest.version,
            "org.opencontainers.image.description": info.manifest.summary,
        },
    });
    Artefact { component, config, manifest: manifest.to_string().into_bytes() }
}

impl Artefact {
    /// Writes an image layout whose only image has the tag.
    pub fn write(&self, folder: &Path, tag: &str) -> io::Result<()> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        for bytes in [&self.component, &self.config, &self.manifest] {
            fs::write(blobs.join(hex::encode(Sha256::digest(bytes))), bytes)?;
        }
        let index: Value = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": MANIFEST_TYPE,
                "digest": digest(&self.manifest),
                "size": self.manifest.len(),
                "annotations": { "org.opencontainers.image.ref.name": tag },
            }],
        });
        fs::write(folder.join("index.json"), index.to_string())?;
        fs::write(folder.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())
    }
}
