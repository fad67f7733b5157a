//! Extractors: authentication, and JSON and queries whose errors are as clear as all others.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use chrono::Utc;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::policy;
use super::sessions::client_address;
use crate::app::App;
use crate::app::access::{Identity, authenticate};
use crate::app::deployment::Caller;
use crate::domain::access::{Reach, Role};
use crate::domain::cookie;
use crate::domain::deployment::TriggerType;
use crate::domain::page::PageRequest;
use crate::domain::token::Token;
use crate::error::Error;

/// Name of the dashboard's cookie.
pub const COOKIE: &str = "windlass_token";

/// A request with a valid token, from the `Authorization` header or, for the dashboard, its cookie, that its route's policy
/// lets pass. A handler that takes one can rely on it: the row that its path names is one the caller may do this with.
pub struct Auth {
    pub token: Token,
    /// The request came from the dashboard.
    pub by_cookie: bool,
    /// Who that is, and what else they may do.
    pub who: Identity,
    /// Their role where the thing is that the path names; the strongest that they have, if it names none.
    pub role: Role,
}

impl Auth {
    /// What lists are narrowed to.
    pub fn reach(&self) -> Reach {
        self.who.reach()
    }

    pub fn caller(&self) -> Caller {
        let trigger = if self.by_cookie { TriggerType::Manual } else { TriggerType::Api };
        Caller { trigger, user: Some(self.who.user.name.clone()), user_id: Some(self.who.user.id.clone()) }
    }
}

/// What the `Authorization` header carries.
pub fn bearer(parts: &Parts) -> Option<&str> {
    let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")).map(str::trim)
}

impl FromRequestParts<App> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let (secret, by_cookie) = match (bearer(parts), cookie(parts)) {
            (Some(secret), _) => (secret.to_string(), false),
            (None, Some(secret)) => (secret, true),
            (None, None) => {
                let text = "this needs a token; pass it as `Authorization: Bearer <token>`";
                return Err(Error::Unauthenticated(text.into()).into());
            }
        };
        if by_cookie {
            same_origin(parts)?;
            from_a_page(parts)?;
        }
        let who = admitted(parts, app, &secret).await?;
        who.acts();
        let role = policy::check(parts, app, &who.rights).await?;
        Ok(Self { token: who.token.clone(), by_cookie, who, role })
    }
}

/// Who it is, unless they come too often.
async fn admitted(parts: &Parts, app: &App, secret: &str) -> Result<Identity, Error> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer);
    let (address, now) = (client_address(app, &parts.headers, peer), Utc::now().timestamp_millis());
    app.api_limits.check(&address, now)?;
    let found = authenticate(app, secret).await;
    match &found {
        Ok(who) => app.api_limits.take(&who.token.id, now)?,
        Err(Error::Unauthenticated(_)) => app.api_limits.failed(&address, now),
        Err(_) => {}
    }
    found
}

fn cookie(parts: &Parts) -> Option<String> {
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookie::find(cookies, COOKIE).map(str::to_string)
}

/// The cookie is `SameSite=Strict`; this refuses what a browser that ignores that would still send from elsewhere.
pub fn same_origin(parts: &Parts) -> Result<(), ApiError> {
    if parts.method.is_safe() {
        return Ok(());
    }
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if parts.headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return Err(Error::Forbidden("the request comes from another site and is refused".into()).into());
    }
    let host = header(header::HOST).unwrap_or("");
    match header(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host)) {
        Some(origin) if origin != host => {
            Err(Error::Forbidden("the request comes from another site and is refused".into()).into())
        }
        _ => Ok(()),
    }
}

/// Every browser of today says where a form comes from. What says nothing is no form of ours, and the cookie is for those.
fn from_a_page(parts: &Parts) -> Result<(), ApiError> {
    let is_told = parts.headers.contains_key(header::ORIGIN) || parts.headers.contains_key("sec-fetch-site");
    if parts.method.is_safe() || is_told {
        return Ok(());
    }
    let text = "the request does not say which page it comes from; programs pass the token as `Authorization: Bearer <token>`";
    Err(Error::Forbidden(text.into()).into())
}

/// JSON whose errors use our envelope and name the field.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        match Json::<T>::from_request(request, app).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(_)) => {
                Err(Error::TooLarge { what: "request body", limit: super::MAX_JSON_BYTES as u64 }.into())
            }
            Err(rejection) => Err(Error::invalid("", without_value(&rejection.body_text())).into()),
        }
    }
}

/// A text in the wrong place may be a secret, and errors end up in logs: it is not repeated (`invalid type: string "…"`).
fn without_value(message: &str) -> String {
    let quoted = message.find("string \"").zip(message.rfind("\", expected"));
    match quoted.and_then(|(start, end)| Some((message.get(..start)?, message.get(end + 1..)?))) {
        Some((before, after)) => format!("{before}a string{after}"),
        None => message.to_owned(),
    }
}

/// `?before=…&limit=…` of every list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// `next` of the page before.
    pub before: Option<i64>,
    /// Rows a page, 1 to 200; 50 if left out.
    pub limit: Option<i64>,
}

/// A query string whose errors use our envelope.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let result: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, app).await;
        result
            .map(|Query(value)| Self(value))
            .map_err(|error| Error::invalid("query", error.body_text()).into())
    }
}

impl PageQuery {
    pub fn request(&self) -> PageRequest {
        PageRequest::new(self.before, self.limit)
    }
}

/// The provider that a body names, and the rest of it, whose unknown fields are refused: behind `flatten`, serde would take
/// them.
pub fn with_provider<T: DeserializeOwned>(mut given: Map<String, Value>) -> Result<(String, T), Error> {
    let provider = match given.remove("provider") {
        Some(Value::String(provider)) => provider,
        _ => {
            return Err(Error::invalid(
                "provider",
                "`provider` has to be the id, number or name of a provider",
            ));
        }
    };
    let rest = serde_json::from_value(Value::Object(given));
    rest.map(|rest| (provider, rest)).map_err(|error| Error::invalid("", error.to_string()))
}

/// The envelope of seed 0: `{"success": true, "data": …}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success<T> {
    pub success: bool,
    pub data: T,
}

pub fn ok<T>(data: T) -> Json<Success<T>> {
    Json(Success { success: true, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_the_wrong_place_is_not_repeated() {
        let read = |text: &str| match serde_json::from_str::<std::collections::BTreeMap<String, bool>>(text) {
            Ok(_) => String::new(),
            Err(error) => without_value(&error.to_string()),
        };
        let told = read(r#"{ "a": "plan\"ted\", expected" }"#);
        assert!(
            told.starts_with("invalid type: a string, expected a boolean") && !told.contains("ted\\"),
            "{told}"
        );
        assert!(read(r#"{ "a": 7 }"#).contains("integer `7`"));
    }
}
