//! Puts a credential into a request. This is the last step before it is sent, and is done anew for each hop.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::client::Outgoing;
use super::connection::Secret;
use super::mint::Recipe;
use super::refusal::Refusal;
use super::scrub::percent_encoded;
use crate::domain::plugin::CredentialSlot;
use crate::plugins::signature;

const WEBHOOK_HEADERS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const FORM: &str = "application/x-www-form-urlencoded";

/// How a slot's secret goes into a request: `injection` of `wit/plugin.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugins) enum Injection {
    Bearer,
    Basic,
    Header(HeaderName),
    Query(String),
    Form(String),
    /// At the end of the path.
    Path,
    StandardWebhooks,
    Minted(Recipe),
}

impl Injection {
    /// The error says what is wrong with the slot, for the check of a manifest.
    pub(in crate::plugins) fn of(slot: &CredentialSlot) -> Result<Self, String> {
        let (word, name) = match slot.injection.split_once(':') {
            Some((word, name)) => (word, Some(name)),
            None => (slot.injection.as_str(), None),
        };
        let is_name = |name: &str| {
            (1..=128).contains(&name.len())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'[' | b']'))
        };
        match (word, name) {
            ("bearer", None) => Ok(Self::Bearer),
            ("basic", None) => Ok(Self::Basic),
            ("header", Some(name)) => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(header) if name == header.as_str() => Ok(Self::Header(header)),
                _ => Err(format!("`{name}` is no header's name in lower case")),
            },
            ("query", Some(name)) if is_name(name) => Ok(Self::Query(name.to_owned())),
            ("form", Some(name)) if is_name(name) => Ok(Self::Form(name.to_owned())),
            ("path", None) => Ok(Self::Path),
            ("sign", Some("standard-webhooks")) => Ok(Self::StandardWebhooks),
            ("app-jwt" | "oauth2" | "crumb", None) => Recipe::of(slot).map(Self::Minted),
            _ => Err("it is none of bearer, basic, header:<name>, query:<name>, form:<name>, path, sign:standard-webhooks, \
                      app-jwt, oauth2, crumb"
                .into()),
        }
    }

    /// The headers that a guest may not set because this injection does.
    pub(super) fn headers(&self) -> Vec<&str> {
        match self {
            Self::Header(name) => vec![name.as_str()],
            Self::StandardWebhooks => WEBHOOK_HEADERS.to_vec(),
            _ => Vec::new(),
        }
    }

    /// Puts the secret in; `previous` is the one that was in its place before, as long as it counts. What is minted is put
    /// in by [`super::mint`].
    pub(super) fn apply(
        &self,
        secret: &Secret,
        previous: Option<&Secret>,
        outgoing: &mut Outgoing,
    ) -> Result<(), Refusal> {
        match self {
            Self::Bearer => set(outgoing, AUTHORIZATION, &[b"Bearer ", secret.expose()].concat()),
            Self::Basic => basic(secret, outgoing),
            Self::Header(name) => set(outgoing, name.clone(), secret.expose()),
            Self::Query(name) => {
                let query = outgoing.target.query.get_or_insert_default();
                if has_field(query.as_bytes(), name) {
                    return Err(Refusal::denied(
                        "credential",
                        format!("the parameter `{name}` is the host's to set"),
                    ));
                }
                append(query, name, secret);
                Ok(())
            }
            Self::Form(name) => form(name, secret, outgoing),
            Self::Path => path(secret, outgoing),
            Self::StandardWebhooks => sign(secret, previous, outgoing),
            Self::Minted(_) => {
                Err(Refusal::denied("credential", "a minted credential is not injected as it is"))
            }
        }
    }
}

/// The three headers of Standard Webhooks 1.0.0. The id is the request's idempotency key, so that the receiver knows a
/// repetition. While a secret is being replaced there are two signatures, so that receivers can take their time.
fn sign(secret: &Secret, previous: Option<&Secret>, outgoing: &mut Outgoing) -> Result<(), Refusal> {
    let Some(id) = outgoing.headers.get("idempotency-key").cloned() else {
        let said =
            "a request that is signed needs an idempotency key and a method that takes one, such as POST";
        return Err(Refusal::denied("credential", said));
    };
    let now = Utc::now().timestamp().to_string();
    let one = |secret: &Secret| {
        let signed = signature::standard_webhooks(secret.expose(), id.as_bytes(), &now, &outgoing.body);
        signed.ok_or_else(|| {
            let said =
                "the secret is none of Standard Webhooks: it has to be `whsec_` and then a key in base64";
            Refusal::denied("credential", said)
        })
    };
    let mut signature = one(secret)?;
    if let Some(previous) = previous {
        signature = format!("{signature} {}", one(previous)?);
    }
    let [id_header, time_header, signature_header] = WEBHOOK_HEADERS.map(HeaderName::from_static);
    outgoing.headers.insert(id_header, id);
    set(outgoing, time_header, now.as_bytes())?;
    set(outgoing, signature_header, signature.as_bytes())
}

/// The secret as the last segments of the path. It is checked as strictly as what a guest writes.
fn path(secret: &Secret, outgoing: &mut Outgoing) -> Result<(), Refusal> {
    let is_plain = |segment: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b':' | b'=');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(known)
    };
    let text = std::str::from_utf8(secret.expose()).unwrap_or_default();
    if !text.split('/').all(is_plain) {
        let said = "the secret is no part of a path: it has to be segments of letters, digits and `-_.~:=`, with one `/` \
                    between them. Please enter what follows the base URL in the address that you were given";
        return Err(Refusal::denied("credential", said));
    }
    let base = outgoing.target.path.trim_end_matches('/');
    outgoing.target.path = format!("{base}/{text}");
    Ok(())
}

/// Puts secrets where their placeholders are in the body.
pub(super) fn fill(placeholders: &[(String, Secret)], outgoing: &mut Outgoing) {
    for (text, secret) in placeholders {
        let text = text.as_bytes();
        let mut filled = Vec::with_capacity(outgoing.body.len() + secret.expose().len());
        let mut at = 0;
        while let Some(rest) = outgoing.body.get(at..).filter(|rest| !rest.is_empty()) {
            if rest.starts_with(text) {
                filled.extend_from_slice(secret.expose());
                at += text.len();
            } else {
                filled.extend(rest.first());
                at += 1;
            }
        }
        outgoing.body = filled.into();
    }
}

pub(super) fn basic(secret: &Secret, outgoing: &mut Outgoing) -> Result<(), Refusal> {
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(secret.expose())));
    set(outgoing, AUTHORIZATION, value.as_bytes())
}

pub(super) fn set(outgoing: &mut Outgoing, name: HeaderName, value: &[u8]) -> Result<(), Refusal> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| {
        Refusal::denied(
            "credential",
            "the secret has characters that no header can carry, such as a line end. Please enter it again",
        )
    })?;
    value.set_sensitive(true);
    outgoing.headers.insert(name, value);
    Ok(())
}

fn form(name: &str, secret: &Secret, outgoing: &mut Outgoing) -> Result<(), Refusal> {
    if matches!(outgoing.method, Method::GET | Method::HEAD) {
        return Err(Refusal::denied("credential", "a credential in a form needs a method with a body"));
    }
    let is_form = match outgoing.headers.get(CONTENT_TYPE) {
        Some(kind) => {
            kind.to_str().is_ok_and(|kind| kind.split(';').next().unwrap_or_default().trim() == FORM)
        }
        None => outgoing.body.is_empty(),
    };
    if !is_form || has_field(&outgoing.body, name) {
        return Err(Refusal::denied(
            "credential",
            format!(
                "the body has to be of the type {FORM}, without the field `{name}`, which is the host's to set"
            ),
        ));
    }
    outgoing.headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
    let mut body = String::from_utf8(outgoing.body.to_vec())
        .map_err(|_| Refusal::denied("credential", "the form is not UTF-8"))?;
    append(&mut body, name, secret);
    outgoing.body = body.into();
    Ok(())
}

fn append(fields: &mut String, name: &str, secret: &Secret) {
    if !fields.is_empty() {
        fields.push('&');
    }
    fields.push_str(&format!("{}={}", percent_encoded(name.as_bytes()), percent_encoded(secret.expose())));
}

/// Whether a query or form has the field, however it is encoded.
fn has_field(fields: &[u8], name: &str) -> bool {
    url::form_urlencoded::parse(fields).any(|(found, _)| found == name)
}
