//! Verifies that a webhook delivery is genuine. A plugin declares how; only the host has the secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::domain::UnixMs;
use crate::domain::plugin::{WebhookContract, WebhookScheme};

/// Most signatures looked at in one header.
const SIGNATURES: usize = 16;

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
    #[error("the delivery carries no header {header}, which its signature covers")]
    Uncovered { header: String },
    #[error("the header {header} does not hold a time in Unix seconds")]
    NoTime { header: String },
    #[error(
        "the delivery was signed {seconds} s {direction}, more than the {tolerance} s that are taken; is a clock wrong?"
    )]
    Stale { seconds: u64, direction: &'static str, tolerance: u32 },
    #[error(
        "the secret is none for the scheme {scheme}: it has to begin with {prefix} and to go on in base64"
    )]
    BadSecret { scheme: String, prefix: String },
    #[error(
        "the delivery carries only the header {header}, which is weaker than the scheme {scheme} that the secret is for"
    )]
    Downgrade { header: String, scheme: String },
    #[error("this host cannot verify the scheme {scheme}")]
    Unknown { scheme: String },
}

/// Checks the delivery against the first scheme whose header is present: a weaker scheme is never a way out. A secret in the
/// form that a stronger scheme wants is for that scheme and counts for no weaker one, whatever the delivery carries. Any one
/// of `secrets`, the current and the previous one, may have signed, so that they can be rotated; answers which one did.
pub fn verify(
    contract: &WebhookContract,
    headers: &[(String, String)],
    body: &[u8],
    secrets: &[&[u8]],
    now: UnixMs,
) -> Result<usize, SignatureError> {
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    if secrets.iter().any(|secret| secret.is_empty()) {
        return Err(SignatureError::EmptySecret);
    }
    for (at, scheme) in contract.schemes.iter().enumerate() {
        if let Some(value) = only(headers, &scheme.header)? {
            let stronger = &contract.schemes[..at];
            let delivery = Delivery { scheme, stronger, headers, body, secrets };
            return match (scheme.algorithm.as_str(), scheme.encoding.as_str()) {
                ("hmac-sha256", "hex" | "base64") => delivery.verify_hmac(value, now),
                ("shared-token", "plain") => delivery.verify_token(value),
                _ => Err(delivery.unknown()),
            };
        }
    }
    let expected: Vec<&str> = contract.schemes.iter().map(|scheme| scheme.header.as_str()).collect();
    Err(SignatureError::Missing { expected: expected.join(" or ") })
}

/// The value of a header that may occur once.
fn only<'a>(headers: &'a [(String, String)], wanted: &str) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(SignatureError::Duplicate { header: wanted.to_owned() }),
        (found, None) => Ok(found.map(|(_, value)| value.as_str())),
    }
}

/// A part of the signed text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a str),
    Header(&'a str),
    Body,
}

/// Reads the scheme's template of the signed text. The error ends the sentence `its webhook scheme …`.
pub(super) fn parts(scheme: &WebhookScheme) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = scheme.signed.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            return Err(format!("signs `{}`, where a brace is not closed", scheme.signed));
        };
        parts.push(Part::Text(before));
        parts.push(match name.strip_prefix("header:") {
            Some(header) if is_header(header) => Part::Header(header),
            None if name == "body" => Part::Body,
            _ => {
                return Err(format!(
                    "signs `{{{name}}}`; known are {{body}} and {{header:<name in lower case>}}"
                ));
            }
        });
        rest = after;
    }
    parts.push(Part::Text(rest));
    if parts.iter().filter(|part| **part == Part::Body).count() != 1 {
        return Err(format!("signs `{}`, which has to contain {{body}} exactly once", scheme.signed));
    }
    if rest.contains('}') {
        return Err(format!("signs `{}`, where a brace was not opened", scheme.signed));
    }
    match &scheme.timestamp {
        Some(rule) if !parts.contains(&Part::Header(&rule.header)) => Err(format!(
            "believes the time in `{}`, which it does not sign: anyone could write another one",
            rule.header
        )),
        _ => Ok(parts),
    }
}

/// Lower-case header names (RFC 9110 tokens, without the odd ones).
pub(super) fn is_header(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

struct Delivery<'a> {
    scheme: &'a WebhookScheme,
    /// Those before it in the contract.
    stronger: &'a [WebhookScheme],
    headers: &'a [(String, String)],
    body: &'a [u8],
    secrets: &'a [&'a [u8]],
}

impl Delivery<'_> {
    fn verify_hmac(&self, value: &str, now: UnixMs) -> Result<usize, SignatureError> {
        let sent = self.signatures(value)?;
        let mut signed: Vec<&[u8]> = Vec::new();
        for part in parts(self.scheme).map_err(|_| self.unknown())? {
            signed.push(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Body => self.body,
                Part::Header(header) => only(self.headers, header)?
                    .ok_or_else(|| SignatureError::Uncovered { header: header.to_owned() })?
                    .as_bytes(),
            });
        }
        let (mut matches, mut unusable) = (Vec::new(), None);
        for secret in self.secrets {
            let mut is_match = Choice::from(0);
            match self.reserved(secret).and_then(|()| self.key(secret)) {
                Ok(key) => {
                    let ours = hmac(&key, &signed).ok_or_else(|| self.unknown())?;
                    sent.iter().for_each(|theirs| is_match |= ours.ct_eq(theirs));
                }
                Err(error) => unusable = Some(error),
            }
            matches.push(is_match);
        }
        let which = match (self.outcome(&matches), unusable) {
            // A secret that can be none of the scheme is a better reason than a signature that fits no other.
            (Err(_), Some(error)) => return Err(error),
            (outcome, _) => outcome?,
        };
        // Only of a genuine delivery is the age worth a word: it tells the operator of a wrong clock.
        self.check_age(now)?;
        Ok(which)
    }

    fn verify_token(&self, value: &str) -> Result<usize, SignatureError> {
        let value = value.strip_prefix(&self.scheme.prefix).ok_or_else(|| self.malformed())?;
        if value.is_empty() {
            return Err(self.malformed());
        }
        // Hashes are compared, so that not even the length of the secret can be measured.
        let sent = Sha256::digest(value.as_bytes());
        let (mut matches, mut unusable) = (Vec::new(), None);
        for secret in self.secrets {
            match self.reserved(secret) {
                Ok(()) => matches.push(Sha256::digest(secret).as_slice().ct_eq(sent.as_slice())),
                Err(error) => {
                    unusable = Some(error);
                    matches.push(Choice::from(0));
                }
            }
        }
        match (self.outcome(&matches), unusable) {
            (Err(_), Some(error)) => Err(error),
            (outcome, _) => outcome,
        }
    }

    /// Refuses a secret that is in the form of a stronger scheme: whoever entered it wants that one.
    fn reserved(&self, secret: &[u8]) -> Result<(), SignatureError> {
        let wants = |scheme: &&WebhookScheme| {
            scheme.secret_prefix.as_ref().is_some_and(|prefix| secret.starts_with(prefix.as_bytes()))
        };
        match self.stronger.iter().find(wants) {
            Some(stronger) => Err(SignatureError::Downgrade {
                header: self.scheme.header.clone(),
                scheme: stronger.name.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The signatures in the header. Where there may be several, those with another prefix are of another version.
    fn signatures(&self, value: &str) -> Result<Vec<[u8; 32]>, SignatureError> {
        let decode = |value: &str| {
            let bytes = match self.scheme.encoding.as_str() {
                "hex" => hex::decode(value).ok(),
                _ => STANDARD.decode(value).ok(),
            };
            bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(|| self.malformed())
        };
        let prefix = self.scheme.prefix.as_str();
        let Some(separator) = self.scheme.separator else {
            return Ok(vec![decode(value.strip_prefix(prefix).ok_or_else(|| self.malformed())?)?]);
        };
        let values: Vec<&str> = value.split(separator).collect();
        if values.len() > SIGNATURES {
            return Err(self.malformed());
        }
        let sent: Vec<[u8; 32]> = values
            .into_iter()
            .filter_map(|value| value.strip_prefix(prefix))
            .map(decode)
            .collect::<Result<_, _>>()?;
        if sent.is_empty() { Err(self.malformed()) } else { Ok(sent) }
    }

    fn key(&self, secret: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let Some(prefix) = &self.scheme.secret_prefix else {
            return Ok(secret.to_vec());
        };
        let key = secret.strip_prefix(prefix.as_bytes()).and_then(|key| STANDARD.decode(key).ok());
        key.filter(|key| !key.is_empty()).ok_or_else(|| SignatureError::BadSecret {
            scheme: self.scheme.name.clone(),
            prefix: prefix.clone(),
        })
    }

    fn check_age(&self, now: UnixMs) -> Result<(), SignatureError> {
        let Some(rule) = &self.scheme.timestamp else {
            return Ok(());
        };
        let no_time = || SignatureError::NoTime { header: rule.header.clone() };
        let sent = only(self.headers, &rule.header)?.ok_or_else(no_time)?;
        // A sign or blanks are refused, since `parse` would take the former.
        let is_number = !sent.is_empty() && sent.bytes().all(|b| b.is_ascii_digit());
        let sent: i64 = sent.parse().ok().filter(|_| is_number).ok_or_else(no_time)?;
        let age = now.div_euclid(1000).saturating_sub(sent);
        if age.unsigned_abs() <= u64::from(rule.tolerance_secs) {
            return Ok(());
        }
        Err(SignatureError::Stale {
            seconds: age.unsigned_abs(),
            direction: if age > 0 { "ago" } else { "in the future" },
            tolerance: rule.tolerance_secs,
        })
    }

    /// The first secret that matches. All have been tried by now, so the time that it took tells nothing.
    fn outcome(&self, matches: &[Choice]) -> Result<usize, SignatureError> {
        let found = matches.iter().position(|is_match| bool::from(*is_match));
        found.ok_or_else(|| SignatureError::Mismatch { header: self.scheme.header.clone() })
    }

    fn malformed(&self) -> SignatureError {
        SignatureError::Malformed { header: self.scheme.header.clone(), scheme: self.scheme.name.clone() }
    }

    fn unknown(&self) -> SignatureError {
        SignatureError::Unknown { scheme: self.scheme.name.clone() }
    }
}

/// What Standard Webhooks 1.0.0 has in `webhook-signature`; `None` if the secret is not of its form. `time` is in Unix
/// seconds.
pub(super) fn standard_webhooks(secret: &[u8], id: &[u8], time: &str, body: &[u8]) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(b"whsec_")?).ok().filter(|key| !key.is_empty())?;
    let hash = hmac(&key, &[id, b".", time.as_bytes(), b".", body])?;
    Some(format!("v1,{}", STANDARD.encode(hash)))
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
