//! Signatures as cosign makes them with a key pair: ECDSA on P-256 over a "simple signing" text that names the manifest.
//!
//! Nothing but a good signature of exactly this manifest passes.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) const LAYER_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub(super) const ANNOTATION: &str = "dev.cosignproject.cosign/signature";

/// The text that was signed, and its signature: DER in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    pub(super) payload: String,
    pub(super) signature: String,
}

/// Whether one of the signatures is by the key and for the manifest with this digest (`sha256:…`).
pub(super) fn verify(key: &Path, digest: &str, signatures: &[Signed]) -> Result<(), String> {
    let pem = std::fs::read_to_string(key)
        .map_err(|error| format!("its cosign_key {} cannot be read: {error}", key.display()))?;
    let verifying = VerifyingKey::from_public_key_pem(pem.trim()).map_err(|_| {
        format!(
            "its cosign_key {} is no public ECDSA P-256 key in PEM, as cosign writes to cosign.pub",
            key.display()
        )
    })?;
    if signatures.iter().any(|signed| is_good(&verifying, digest, signed)) {
        return Ok(());
    }
    Err(format!(
        "none of its {} signatures is by the key {} and for {digest}, so it is not run. Please check with its author \
         which key signs it",
        signatures.len(),
        key.display()
    ))
}

fn is_good(key: &VerifyingKey, digest: &str, signed: &Signed) -> bool {
    let Some(signature) = STANDARD.decode(signed.signature.trim()).ok() else { return false };
    let Ok(signature) = Signature::from_der(&signature) else { return false };
    if key.verify(signed.payload.as_bytes(), &signature).is_err() {
        return false;
    }
    let payload: Value = serde_json::from_str(&signed.payload).unwrap_or_default();
    payload.pointer("/critical/image/docker-manifest-digest").and_then(Value::as_str) == Some(digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::Signer;
    use p256::pkcs8::{EncodePublicKey, LineEnding};

    use super::*;

    const DIGEST: &str = "sha256:aa";

    fn signed(key: &SigningKey, digest: &str) -> Signed {
        let payload = serde_json::json!({ "critical": { "image": { "docker-manifest-digest": digest } } });
        let payload = payload.to_string();
        let signature: Signature = key.sign(payload.as_bytes());
        Signed { signature: STANDARD.encode(signature.to_der()), payload }
    }

    #[test]
    fn only_a_signature_by_the_key_and_for_the_digest_passes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ours, other) = (
            folder.path().join("cosign.pub"),
            SigningKey::from_slice(&[7; 32]).unwrap(),
            SigningKey::from_slice(&[8; 32]).unwrap(),
        );
        let pem = ours.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        std::fs::write(&path, pem).unwrap();
        let good = signed(&ours, DIGEST);
        assert_eq!(verify(&path, DIGEST, &[signed(&other, DIGEST), good.clone()]), Ok(()));
        let forged = Signed { payload: good.payload.replace("aa", "ab"), ..good.clone() };
        for bad in [vec![], vec![signed(&other, DIGEST)], vec![signed(&ours, "sha256:bb")], vec![forged]] {
            assert!(verify(&path, DIGEST, &bad).is_err(), "{bad:?}");
        }
        assert!(verify(&folder.path().join("absent"), DIGEST, std::slice::from_ref(&good)).is_err());
        std::fs::write(&path, "no key").unwrap();
        assert!(verify(&path, DIGEST, &[good]).is_err());
    }
}
