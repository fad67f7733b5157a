//! The assertion of an app: a JSON Web Token (RFC 7519) signed with RS256 (RFC 7518, section 3.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::SignatureScheme;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use super::connection::Secret;

/// The clock of the other side may be behind ours by this many seconds.
const SKEW: i64 = 60;
/// From `iat` to `exp`: vendors take ten minutes at most.
const VALID: i64 = 600;

/// `now` is in seconds since 1970. The error says what is wrong with the key.
pub(super) fn assertion(key: &Secret, issuer: &str, now: i64) -> Result<String, &'static str> {
    let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| "is no private key in PEM")?;
    let key =
        rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| "is no RSA key that can sign")?;
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).ok_or("is not an RSA key")?;
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = encode(json!({ "alg": "RS256", "typ": "JWT" }));
    let claims = encode(json!({ "iat": now - SKEW, "exp": now - SKEW + VALID, "iss": issuer }));
    let signed = format!("{head}.{claims}");
    let signature = signer.sign(signed.as_bytes()).map_err(|_| "cannot sign")?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_is_what_openssl_makes_of_it() {
        let key = Secret::new(include_bytes!("../../../../tests/fixtures/app-key.pem").as_slice());
        let wanted = include_str!("../../../../tests/fixtures/app-assertion.txt");
        assert_eq!(assertion(&key, "42", 1_700_000_000).as_deref(), Ok(wanted));
    }

    #[test]
    fn what_is_no_rsa_key_is_said_so() {
        assert_eq!(assertion(&Secret::new("no key at all"), "42", 0), Err("is no private key in PEM"));
    }
}
