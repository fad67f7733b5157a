//! Components in OCI registries, laid out as the CNCF's Wasm OCI artifact has it (which `wkg` writes and reads): a config of
//! type `application/vnd.wasm.config.v0+json` and one layer of type `application/wasm`, the component's bytes.
//!
//! A reference that is run names the manifest's digest; the manifest names the layer's, and both are checked here and
//! kept, so that a start needs no network. Registries are asked by HTTPS unless they are on this machine, with the log-in
//! that `docker login` left for them, or anonymously if there is none.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use http::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;

use super::components::Components;
use super::cosign::{self, Signed};
use super::source::COMPONENT_BYTES;
use super::text;
use crate::config::RegistryLogin;
use crate::domain::image_index::digest;

const LAYER_TYPE: &str = "application/wasm";
const MANIFEST_BYTES: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(120);
const HELPER_PATIENCE: Duration = Duration::from_secs(20);

/// What is in a registry, checked against its digests.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// The reference with the manifest's digest.
    pub reference: String,
    pub component: Vec<u8>,
}

/// The component of a pinned reference: from the folder if it was fetched before, else from the registry. With a key, only
/// if a signature of it verifies.
pub(super) async fn obtain(
    reference: &str,
    key: Option<&Path>,
    components: &Components,
) -> Result<Vec<u8>, String> {
    let parsed = parse(reference)?;
    let pinned = parsed.digest().ok_or_else(|| {
        format!(
            "`{}` has to end in @sha256:<digest>, so that nobody can exchange it",
            reference.escape_debug()
        )
    })?;
    let hex = pinned.strip_prefix("sha256:").ok_or("only sha256 digests are taken")?;
    let registry = Registry::new(&parsed)?;
    let manifest = match components.read_beside(hex, "manifest.json") {
        Some(bytes) if hex::encode(Sha256::digest(&bytes)) == hex => bytes,
        _ => registry.manifest().await?.0,
    };
    if let Some(key) = key {
        let kept = components.read_beside(hex, "signatures.json");
        let kept = kept.and_then(|bytes| serde_json::from_slice::<Vec<Signed>>(&bytes).ok());
        let signatures = registry.signed(key, pinned, kept).await?;
        let text = serde_json::to_vec(&signatures).map_err(|error| error.to_string())?;
        components.keep_beside(hex, "signatures.json", &text);
    }
    let layer = layer(&manifest)?;
    let layer_hex = layer.digest.trim_start_matches("sha256:");
    if let Ok(bytes) = components.read(layer_hex) {
        return Ok(bytes);
    }
    let component = registry.blob(&layer, COMPONENT_BYTES).await?;
    components.keep_beside(hex, "manifest.json", &manifest);
    components.keep(&component)?;
    Ok(component)
}

/// Fetches what a reference names, with a tag or a digest. With a key, only if a signature of it verifies.
///
/// # Errors
/// Says which part of the registry's answer is wrong, or that it does not answer.
pub async fn pull(reference: &str, key: Option<&Path>) -> Result<Pulled, String> {
    let parsed = parse(reference)?;
    let registry = Registry::new(&parsed)?;
    let (manifest, digest) = registry.manifest().await?;
    if let Some(key) = key {
        registry.signed(key, &digest, None).await?;
    }
    let component = registry.blob(&layer(&manifest)?, COMPONENT_BYTES).await?;
    let reference = format!("{}/{}@{digest}", parsed.registry(), parsed.repository());
    Ok(Pulled { reference, component })
}

/// Uploads blobs and then the manifest that names them, under the reference's tag. Returns the reference with the
/// manifest's digest.
///
/// # Errors
/// Says what the registry refused.
pub async fn push(reference: &str, blobs: Vec<Vec<u8>>, manifest: Vec<u8>) -> Result<String, String> {
    let parsed = parse(reference)?;
    if parsed.digest().is_some() {
        return Err(format!("`{}` is pinned; push to a tag", reference.escape_debug()));
    }
    let registry = Registry::new(&parsed)?;
    registry.log_in().await?;
    for blob in blobs {
        let digest = digest(&blob);
        registry.within(registry.client.push_blob(&parsed, blob, &digest)).await?;
    }
    let digest = digest(&manifest);
    let kind = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
    registry.within(registry.client.push_manifest_raw(&parsed, manifest, kind)).await?;
    Ok(format!("{}/{}@{digest}", parsed.registry(), parsed.repository()))
}

fn parse(reference: &str) -> Result<Reference, String> {
    Reference::from_str(reference).map_err(|error| {
        format!("`{}` is no reference like registry.example/team/plugin: {error}", reference.escape_debug())
    })
}

/// The one layer that is a component.
///
/// # Errors
/// Says what else the manifest has.
pub fn layer(manifest: &[u8]) -> Result<OciDescriptor, String> {
    let manifest: OciImageManifest =
        serde_json::from_slice(manifest).map_err(|_| "the registry's manifest cannot be read".to_owned())?;
    let types = || {
        let found: Vec<&str> = manifest.layers.iter().map(|layer| layer.media_type.as_str()).collect();
        text::line(&found.join(", "), 256)
    };
    let mut layers = manifest.layers.iter().filter(|layer| layer.media_type == LAYER_TYPE);
    match (layers.next(), layers.next()) {
        (Some(layer), None) if layer.digest.starts_with("sha256:") => Ok(layer.clone()),
        _ => Err(format!(
            "it is no plugin: one layer of type {LAYER_TYPE} is expected, and there are [{}]",
            types()
        )),
    }
}

struct Registry {
    client: Client,
    reference: Reference,
}

impl Registry {
    fn new(reference: &Reference) -> Result<Self, String> {
        let registry = reference.resolve_registry().to_owned();
        let host = registry.rsplit_once(':').map_or(registry.as_str(), |(host, _)| host);
        let is_local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        let protocol =
            if is_local { ClientProtocol::HttpsExcept(vec![registry]) } else { ClientProtocol::Https };
        let config = ClientConfig {
            protocol,
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(30)),
            ..ClientConfig::default()
        };
        let client =
            Client::try_from(config).map_err(|error| format!("no registry can be asked: {error}"))?;
        Ok(Self { client, reference: reference.clone() })
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, OciDistributionError>>,
    ) -> Result<T, String> {
        let seconds = PATIENCE.as_secs();
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(result) => result.map_err(|error| {
                let said = text::line(&error.to_string(), 512);
                let advice = match error {
                    OciDistributionError::UnauthorizedError { .. }
                    | OciDistributionError::ServerError { code: 401, .. }
                    | OciDistributionError::AuthenticationFailure(_) => {
                        format!(". `docker login {}` logs in there", self.reference.registry())
                    }
                    _ => String::new(),
                };
                format!("asking its registry about {} failed: {said}{advice}", self.reference)
            }),
            Err(_) => Err(format!("the registry of {} did not answer within {seconds} s", self.reference)),
        }
    }

    /// From now on the client proves who asks, if anybody has logged in there.
    async fn log_in(&self) -> Result<RegistryAuth, String> {
        let address = self.reference.registry().to_owned();
        let found = tokio::task::spawn_blocking(move || RegistryLogin::find(&address));
        let login = match tokio::time::timeout(HELPER_PATIENCE, found).await {
            Ok(Ok(login)) => login?,
            Ok(Err(error)) => return Err(format!("looking for a log-in broke off: {error}")),
            Err(_) => {
                let seconds = HELPER_PATIENCE.as_secs();
                return Err(format!("the credential helper did not answer within {seconds} s"));
            }
        };
        let auth = login
            .map_or(RegistryAuth::Anonymous, |login| RegistryAuth::Basic(login.username, login.password));
        self.client.store_auth_if_needed(self.reference.resolve_registry(), &auth).await;
        Ok(auth)
    }

    /// The manifest's bytes and digest; the digest was computed from the bytes.
    async fn manifest(&self) -> Result<(Vec<u8>, String), String> {
        let auth = self.log_in().await?;
        let pull = self.client.pull_manifest_raw(&self.reference, &auth, &[OCI_IMAGE_MEDIA_TYPE]);
        let (bytes, _) = self.within(pull).await?;
        if bytes.len() > MANIFEST_BYTES {
            return Err(format!("the manifest of {} is larger than {MANIFEST_BYTES} bytes", self.reference));
        }
        let digest = digest(&bytes);
        if self.reference.digest().is_some_and(|pinned| pinned != digest) {
            return Err(format!("the registry answered {} with another manifest, {digest}", self.reference));
        }
        Ok((bytes.to_vec(), digest))
    }

    async fn blob(&self, layer: &OciDescriptor, limit: u64) -> Result<Vec<u8>, String> {
        self.log_in().await?;
        let mut bytes = Bounded { bytes: Vec::new(), limit };
        self.within(self.client.pull_blob(&self.reference, layer, &mut bytes)).await?;
        let found = digest(&bytes.bytes);
        if found != layer.digest {
            return Err(format!("the registry sent {found} for {}", text::line(&layer.digest, 128)));
        }
        Ok(bytes.bytes)
    }

    /// The signatures of the manifest with this digest, of which one is by the key: those that were kept, or those in the
    /// registry now.
    async fn signed(
        &self,
        key: &Path,
        digest: &str,
        kept: Option<Vec<Signed>>,
    ) -> Result<Vec<Signed>, String> {
        if let Some(kept) = kept.filter(|kept| cosign::verify(key, digest, kept).is_ok()) {
            return Ok(kept);
        }
        let signatures = self.signatures(digest.trim_start_matches("sha256:")).await?;
        cosign::verify(key, digest, &signatures)?;
        Ok(signatures)
    }

    /// Signatures that are kept beside the manifest with this digest.
    async fn signatures(&self, manifest_hex: &str) -> Result<Vec<Signed>, String> {
        let tag = format!("sha256-{manifest_hex}.sig");
        let reference = Reference::with_tag(
            self.reference.registry().to_owned(),
            self.reference.repository().to_owned(),
            tag,
        );
        let beside = Self { client: self.client.clone(), reference };
        let (manifest, _) =
            beside.manifest().await.map_err(|error| format!("no signature of it was found: {error}"))?;
        let manifest: OciImageManifest =
            serde_json::from_slice(&manifest).map_err(|_| "its signatures cannot be read".to_owned())?;
        let mut signatures = Vec::new();
        for layer in manifest.layers.iter().filter(|layer| layer.media_type == cosign::LAYER_TYPE).take(16) {
            let annotations: BTreeMap<String, String> = layer.annotations.clone().unwrap_or_default();
            if let Some(signature) = annotations.get(cosign::ANNOTATION) {
                let payload = beside.blob(layer, MANIFEST_BYTES as u64).await?;
                let payload = String::from_utf8(payload).map_err(|_| "a signature's payload is no text")?;
                signatures.push(Signed { payload, signature: signature.clone() });
            }
        }
        Ok(signatures)
    }
}

/// Takes so many bytes and no more, whatever a registry sends.
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        more: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if (self.bytes.len() + more.len()) as u64 > self.limit {
            let text = format!("it is larger than {} bytes", self.limit);
            return std::task::Poll::Ready(Err(std::io::Error::other(text)));
        }
        self.bytes.extend_from_slice(more);
        std::task::Poll::Ready(Ok(more.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
