//! A component as an OCI artefact, in the form that the tools of the WebAssembly world write and read.
//!
//! Source of the format: the CNCF TAG Runtime's "Wasm OCI Artifact Layout" and the OCI image specification 1.1. One layer
//! `application/wasm`, whose digest is the component's own; a config that names its imports and exports.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::image_index::digest;
use crate::domain::plugin::PluginInfo;
use crate::error::{Error, Result};
use crate::plugins::oci;

pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
pub const LAYER_TYPE: &str = "application/wasm";

/// The parts of an artefact.
pub struct Artefact {
    pub component: Vec<u8>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
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

/// Uploads an artefact and returns the reference pinned to its digest. A reference without a tag gets the version's.
///
/// # Errors
/// Says what the registry refused.
pub async fn plugin_push(artefact: Artefact, reference: &str) -> Result<String> {
    let last = reference.rsplit('/').next().unwrap_or_default();
    let tagged =
        if last.contains(':') { reference.to_owned() } else { format!("{reference}:{}", artefact.tag()) };
    let Artefact { component, config, manifest } = artefact;
    oci::push(&tagged, vec![component, config], manifest).await.map_err(Error::failed)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

impl Artefact {
    /// The version that the manifest names, as far as a tag can have it.
    pub fn tag(&self) -> String {
        let manifest: Value = serde_json::from_slice(&self.manifest).unwrap_or_default();
        let version = manifest.pointer("/annotations/org.opencontainers.image.version");
        version.and_then(Value::as_str).unwrap_or("latest").replace('+', "_")
    }

    /// Reads what [`Artefact::write`] wrote, or another tool of one component.
    ///
    /// # Errors
    /// Says which part is missing or was changed.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let index = read(&folder.join("index.json"))?;
        let index: Value =
            serde_json::from_slice(&index).map_err(|_| format!("{} has no index", folder.display()))?;
        let blob = |descriptor: Option<&Value>| {
            let named = descriptor.and_then(|found| found.get("digest")).and_then(Value::as_str);
            let hex = named.and_then(|digest| digest.strip_prefix("sha256:"));
            let is_hex = |hex: &&str| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
            let hex = hex
                .filter(is_hex)
                .ok_or_else(|| format!("{} is no image layout with one component in it", folder.display()))?;
            let bytes = read(&folder.join("blobs/sha256").join(hex))?;
            if digest(&bytes) != format!("sha256:{hex}") {
                return Err(format!("blob {hex} in {} was changed", folder.display()));
            }
            Ok(bytes)
        };
        let manifest = blob(index.pointer("/manifests/0"))?;
        let parsed: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        let config = blob(parsed.get("config"))?;
        let component = blob(parsed.pointer("/layers/0"))?;
        if parsed.pointer("/layers/0/mediaType").and_then(Value::as_str) != Some(LAYER_TYPE) {
            return Err(format!("{} holds no component, but something else", folder.display()));
        }
        Ok(Self { component, config, manifest })
    }

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
