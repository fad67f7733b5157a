//! Credentials that the host mints from a secret, by a recipe that the manifest declares as data: an app's assertion
//! traded for an access token, a refresh token for an access token, a crumb with the session it is valid for.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http::{Method, StatusCode};
use serde_json::Value;
use std::time::{Duration, Instant};

use super::client::{Answer, Outgoing};
use super::connection::{Connection, Secret};
use super::inject;
use super::jwt;
use super::path::Target;
use super::refusal::Refusal;
use super::scrub::percent_encoded;
use crate::domain::plugin::CredentialSlot;

/// How long a token is used whose end the answer does not tell.
const UNKNOWN: Duration = Duration::from_secs(300);
/// No longer than this, whatever the answer says.
const LONGEST: Duration = Duration::from_secs(86_400);
/// A token is not used so shortly before its end, so that it still holds when the request arrives.
const MARGIN: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    AppJwt,
    OAuth2,
    Crumb,
}

/// `mint-*` of `wit/plugin.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugins) struct Recipe {
    how: How,
    path: String,
    issuer: Option<String>,
    client: Option<String>,
    /// Client and secret go as user and password instead of in the form.
    client_by_basic: bool,
    token: String,
    header: String,
    expires: String,
}

/// What was minted. `headers` are put into requests as they are.
pub(super) struct Minted {
    headers: Vec<(HeaderName, Secret)>,
    /// A crumb only goes with methods that change something.
    only_with_effects: bool,
    pub(super) until: Instant,
    /// The refresh token that takes the place of the old one.
    pub(super) rotated: Option<Secret>,
}

impl Recipe {
    pub(super) fn of(slot: &CredentialSlot) -> Result<Self, String> {
        let extra =
            |name: &str| slot.extras.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone());
        let (how, token, expires) = match slot.injection.as_str() {
            "app-jwt" => (How::AppJwt, "/token", "/expires_at"),
            "oauth2" => (How::OAuth2, "/access_token", "/expires_in"),
            _ => (How::Crumb, "/crumb", "/expires_at"),
        };
        let path = extra("mint-path").filter(|path| path.starts_with('/'));
        let issuer = extra("mint-issuer");
        if how == How::AppJwt && issuer.is_none() {
            return Err("it has no `mint-issuer`, which app-jwt needs".into());
        }
        let client_by_basic = match extra("mint-client-by").as_deref() {
            None | Some("form") => false,
            Some("basic") => true,
            Some(_) => return Err("its `mint-client-by` is neither `form` nor `basic`".into()),
        };
        Ok(Self {
            how,
            client_by_basic,
            path: path.ok_or("it has no `mint-path` that begins with `/`")?,
            issuer,
            client: extra("mint-client"),
            token: extra("mint-token").unwrap_or_else(|| token.to_owned()),
            header: extra("mint-header").unwrap_or_else(|| "/crumbRequestField".to_owned()),
            expires: extra("mint-expires").unwrap_or_else(|| expires.to_owned()),
        })
    }

    /// Whether this request can do without what is minted.
    pub(super) fn is_needed_for(&self, method: &Method) -> bool {
        self.how != How::Crumb || has_effects(method)
    }

    /// What goes with every request, minted or not.
    pub(super) fn accompany(&self, secret: &Secret, outgoing: &mut Outgoing) -> Result<(), Refusal> {
        match self.how {
            How::Crumb => inject::basic(secret, outgoing),
            How::AppJwt | How::OAuth2 => Ok(()),
        }
    }

    /// The request that mints, with its credential in place.
    pub(super) fn request(
        &self,
        connection: &Connection,
        slot: &str,
        secret: &Secret,
    ) -> Result<Outgoing, Refusal> {
        let path = filled(&self.path, connection, |value| percent_encoded(value.as_bytes()))?;
        let target = Target::parse(&path, connection.origin(), connection.base_path()).map_err(|why| {
            Refusal::denied("credential", format!("the path that mints `{slot}` is wrong: {why}"))
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut outgoing = Outgoing { method: Method::POST, target, headers, body: Bytes::new() };
        match self.how {
            How::AppJwt => {
                let issuer = filled(self.issuer.as_deref().unwrap_or_default(), connection, str::to_owned)?;
                let assertion = jwt::assertion(secret, &issuer, Utc::now().timestamp())
                    .map_err(|why| Refusal::denied("credential", format!("the secret `{slot}` {why}")))?;
                inject::set(
                    &mut outgoing,
                    http::header::AUTHORIZATION,
                    format!("Bearer {assertion}").as_bytes(),
                )?;
            }
            How::OAuth2 => {
                let mut form =
                    format!("grant_type=refresh_token&refresh_token={}", percent_encoded(secret.expose()));
                let client = self.client.as_ref().map(|client| filled(client, connection, str::to_owned));
                let client = client.transpose()?.map(|client| percent_encoded(client.as_bytes()));
                let secret = connection.secret_of(&format!("{slot}-client"));
                let secret = secret.map(|secret| percent_encoded(secret.expose()));
                if self.client_by_basic {
                    let pair = format!("{}:{}", client.unwrap_or_default(), secret.unwrap_or_default());
                    inject::basic(&Secret::new(pair), &mut outgoing)?;
                } else {
                    let fields = [("client_id", client), ("client_secret", secret)];
                    for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                        form.push_str(&format!("&{name}={value}"));
                    }
                }
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                outgoing.headers.insert(CONTENT_TYPE, kind);
                outgoing.body = form.into();
            }
            How::Crumb => {
                outgoing.method = Method::GET;
                inject::basic(secret, &mut outgoing)?;
            }
        }
        Ok(outgoing)
    }

    /// Reads the answer to [`Self::request`].
    pub(super) fn read(&self, slot: &str, answer: &Answer) -> Result<Minted, Refusal> {
        let status = answer.status;
        if self.how == How::Crumb && status == StatusCode::NOT_FOUND {
            // The other side does without crumbs.
            let until = Instant::now() + lifetime(None);
            return Ok(Minted { headers: Vec::new(), only_with_effects: true, until, rotated: None });
        }
        if status.is_server_error() {
            return Err(Refusal::other(
                "mint",
                format!("minting the credential `{slot}` failed with status {status}"),
            ));
        }
        if !status.is_success() {
            return Err(Refusal::denied(
                "credential",
                format!(
                    "the other side did not accept the secret `{slot}` (status {status}). Please check it and what it may do"
                ),
            ));
        }
        let unreadable = || {
            Refusal::other(
                "mint",
                format!("the answer that should hold the credential `{slot}` is not as the manifest says"),
            )
        };
        let json: Value = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
        let text =
            |pointer: &str| json.pointer(pointer).and_then(Value::as_str).filter(|text| text.len() >= 4);
        let token = text(&self.token).ok_or_else(unreadable)?;
        let mut headers = Vec::new();
        if self.how == How::Crumb {
            let name = text(&self.header).and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
            headers.push((name.ok_or_else(unreadable)?, Secret::new(token)));
            let session = cookies(&answer.headers);
            if !session.is_empty() {
                headers.push((http::header::COOKIE, Secret::new(session)));
            }
        } else {
            headers.push((http::header::AUTHORIZATION, Secret::new(format!("Bearer {token}"))));
        }
        Ok(Minted {
            headers,
            only_with_effects: self.how == How::Crumb,
            until: Instant::now() + lifetime(json.pointer(&self.expires)),
            rotated: json.pointer("/refresh_token").and_then(Value::as_str).map(Secret::new),
        })
    }
}

impl Minted {
    pub(super) fn apply(&self, outgoing: &mut Outgoing) -> Result<(), Refusal> {
        if self.only_with_effects && !has_effects(&outgoing.method) {
            return Ok(());
        }
        self.headers.iter().try_for_each(|(name, value)| inject::set(outgoing, name.clone(), value.expose()))
    }

    /// Whether the other side does not take it any more. A token that may not do something is forbidden that as often as it is
    /// minted; of a crumb, 403 is all that is said.
    pub(super) fn is_refused(&self, status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED || (status == StatusCode::FORBIDDEN && self.only_with_effects)
    }

    /// The token by itself; none of a crumb.
    pub(super) fn token(&self) -> Option<Secret> {
        let (_, value) = self.headers.iter().find(|(name, _)| *name == http::header::AUTHORIZATION)?;
        value.expose().strip_prefix(b"Bearer ").map(Secret::new)
    }

    /// What must not reach a guest: the values, and what of them is secret by itself.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Secret> {
        let of_headers = self.headers.iter().flat_map(|(_, value)| {
            let bytes = value.expose();
            let whole = bytes.strip_prefix(b"Bearer ").unwrap_or(bytes);
            let cookies = bytes.split(|byte| *byte == b';').filter_map(|pair| {
                let at = pair.iter().position(|byte| *byte == b'=')?;
                Some(pair[at + 1..].trim_ascii()).filter(|value| value.len() >= 8)
            });
            std::iter::once(whole).chain(cookies).map(Secret::new)
        });
        of_headers.chain(self.rotated.clone())
    }
}

fn has_effects(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// Replaces `{name}` by the connection's variables.
fn filled(text: &str, connection: &Connection, encode: impl Fn(&str) -> String) -> Result<String, Refusal> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let value = connection.value(name).ok_or_else(|| {
            Refusal::denied(
                "credential",
                format!(
                    "the connection lacks the variable `{name}`, which its credential needs. Please fill in the setting of \
                     that name"
                ),
            )
        })?;
        filled.push_str(before);
        filled.push_str(&encode(value));
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// `name=value` of each cookie that was set (RFC 6265).
fn cookies(headers: &HeaderMap) -> Vec<u8> {
    let mut all = Vec::new();
    for value in headers.get_all(SET_COOKIE) {
        let pair = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !all.is_empty() {
            all.extend_from_slice(b"; ");
        }
        all.extend_from_slice(pair);
    }
    all
}

/// Seconds from now as a number or its text, or a time (RFC 3339).
fn lifetime(expires: Option<&Value>) -> Duration {
    let told = match expires {
        Some(Value::Number(seconds)) => seconds.as_u64().map(Duration::from_secs),
        Some(Value::String(text)) => match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => DateTime::parse_from_rfc3339(text)
                .ok()
                .map(|at| (at.with_timezone(&Utc) - Utc::now()).to_std().unwrap_or_default()),
        },
        _ => None,
    };
    told.unwrap_or(UNKNOWN).min(LONGEST).saturating_sub(MARGIN)
}
