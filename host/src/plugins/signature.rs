//! Verifies that a webhook delivery is genuine. A plugin declares how; only the host has the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::domain::plugin::{WebhookContract, WebhookScheme};

/// Why a delivery is not believed. None of these tells the sender anything about the secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("no secret is set for this webhook")]
    NoSecret,
    #[error("a secret of this webhook is empty, so anyone could sign")]
    EmptySecret,
    #[error("the delivery carries no signature; expected the header {expected}")]
    Missing { expected: String },
    #[error("the header {header} occurs more than once")]
    Duplicate { header: String },
    #[error("the header {header} does not hold a signature of the scheme {scheme}")]
    Malformed { header: String, scheme: String },
    #[error("the signature in the header {header} does not match")]
    Mismatch { header: String },
    #[error("this host cannot verify the scheme {scheme}")]
    Unknown { scheme: String },
}

/// Checks the delivery against the first scheme whose header is present: a weaker scheme is never a way out. Any one of
/// `secrets` may have signed, so that they can be rotated.
pub fn verify(
    contract: &WebhookContract,
    headers: &[(String, String)],
    body: &[u8],
    secrets: &[&[u8]],
) -> Result<(), SignatureError> {
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    if secrets.iter().any(|secret| secret.is_empty()) {
        return Err(SignatureError::EmptySecret);
    }
    for scheme in &contract.schemes {
        let mut values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(&scheme.header));
        let Some((_, value)) = values.next() else {
            continue;
        };
        if values.next().is_some() {
            return Err(SignatureError::Duplicate { header: scheme.header.clone() });
        }
        return verify_scheme(scheme, value, body, secrets);
    }
    let expected: Vec<&str> = contract.schemes.iter().map(|scheme| scheme.header.as_str()).collect();
    Err(SignatureError::Missing { expected: expected.join(" or ") })
}

fn verify_scheme(
    scheme: &WebhookScheme,
    value: &str,
    body: &[u8],
    secrets: &[&[u8]],
) -> Result<(), SignatureError> {
    let malformed =
        || SignatureError::Malformed { header: scheme.header.clone(), scheme: scheme.name.clone() };
    let unknown = || SignatureError::Unknown { scheme: scheme.name.clone() };
    let value = value.strip_prefix(&scheme.prefix).ok_or_else(malformed)?;
    let matches = match (scheme.algorithm.as_str(), scheme.encoding.as_str()) {
        ("hmac-sha256", encoding) => {
            let sent = match encoding {
                "hex" => hex::decode(value).map_err(|_| malformed())?,
                "base64" => STANDARD.decode(value).map_err(|_| malformed())?,
                _ => return Err(unknown()),
            };
            let sent: [u8; 32] = sent.try_into().map_err(|_| malformed())?;
            let (before, after) = scheme.signed.split_once("{body}").ok_or_else(unknown)?;
            if before.contains(['{', '}']) || after.contains(['{', '}']) {
                return Err(unknown());
            }
            let mut matches = Choice::from(0);
            for secret in secrets {
                matches |= hmac(secret, &[before.as_bytes(), body, after.as_bytes()])
                    .ok_or_else(unknown)?
                    .ct_eq(&sent);
            }
            matches
        }
        ("shared-token", "plain") => {
            if value.is_empty() {
                return Err(malformed());
            }
            // Hashes are compared, so that not even the length of the secret can be measured.
            let sent = Sha256::digest(value.as_bytes());
            let mut matches = Choice::from(0);
            for secret in secrets {
                matches |= Sha256::digest(secret).as_slice().ct_eq(sent.as_slice());
            }
            matches
        }
        _ => return Err(unknown()),
    };
    if bool::from(matches) {
        return Ok(());
    }
    Err(SignatureError::Mismatch { header: scheme.header.clone() })
}

/// RFC 2104 with SHA-256, which takes keys of any length.
fn hmac(secret: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    for part in parts {
        mac.update(part);
    }
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;
