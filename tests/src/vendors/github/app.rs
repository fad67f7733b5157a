//! A GitHub App: its assertions are proven with its public key, and traded for tokens of its installation.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{SecondsFormat, TimeDelta, Utc};
use rustls::SignatureScheme;
use serde_json::{Value, json};

use super::{MISSING, Refusal, Shared, lock, shapes};

pub const ID: &str = "12345";
pub const INSTALLATION: &str = "678";
pub const KEY: &str = include_str!("../../../fixtures/app-key.pem");
const PUBLIC_KEY: &str = include_str!("../../../fixtures/app-key-public.pem");

/// What the server knows of the app's tokens, which are numbered from 1 on.
#[derive(Debug)]
pub struct App {
    pub minted: u64,
    /// These first ones are not taken any more.
    pub revoked: u64,
    /// Of those that are made from now on.
    pub lives_secs: i64,
}

impl Default for App {
    fn default() -> Self {
        Self { minted: 0, revoked: 0, lives_secs: 3600 }
    }
}

impl App {
    pub fn takes(&self, given: &str) -> bool {
        (self.revoked + 1..=self.minted).any(|number| token(number) == given)
    }
}

pub fn token(number: u64) -> String {
    format!("ghs_0123456789abcdefINSTALLATION{number}")
}

pub(crate) async fn access_token(
    State(world): State<Shared>,
    Path(installation): Path<String>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let given = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let unproven = Refusal(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded");
    let claims = given.strip_prefix("Bearer ").and_then(proven).ok_or(unproven)?;
    let number = |name: &str| claims[name].as_i64().unwrap_or_default();
    let (from, to, now) = (number("iat"), number("exp"), Utc::now().timestamp());
    if from > now || to < now || to - from > 600 {
        return Err(Refusal(
            StatusCode::UNAUTHORIZED,
            "'Expiration time' claim ('exp') is too far in the future",
        ));
    }
    if claims["iss"] != ID || installation != INSTALLATION {
        return Err(MISSING);
    }
    let mut world = lock(&world);
    world.app.minted += 1;
    let expires = Utc::now() + TimeDelta::seconds(world.app.lives_secs);
    let answer = json!({
        "token": token(world.app.minted), "expires_at": expires.to_rfc3339_opts(SecondsFormat::Secs, true),
        "permissions": { "contents": "write" }, "repository_selection": "selected",
    });
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The claims of an assertion (RFC 7519) that the app's key has signed (RS256).
fn proven(assertion: &str) -> Option<Value> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let (head, claims) = signed.split_once('.')?;
    let json = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let lines: String = PUBLIC_KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let key = STANDARD.decode(lines).ok()?;
    let known = rustls::crypto::ring::default_provider().signature_verification_algorithms.mapping;
    let (_, ways) = known.iter().find(|(scheme, _)| *scheme == SignatureScheme::RSA_PKCS1_SHA256)?;
    let is_good = ways.iter().any(|way| way.verify_signature(&key, signed.as_bytes(), &signature).is_ok());
    json(claims).filter(|_| is_good && json(head).is_some_and(|head| head["alg"] == "RS256"))
}

pub(crate) async fn repositories(State(world): State<Shared>) -> Json<Value> {
    let repository = shapes::repository(&lock(&world).url);
    Json(json!({ "total_count": 1, "repository_selection": "selected", "repositories": [repository] }))
}
