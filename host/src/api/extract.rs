//! Extractors: authentication, and JSON and queries whose errors are as clear as all others.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::app::App;
use crate::app::deployment::Caller;
use crate::app::token::token_authenticate;
use crate::domain::deployment::TriggerType;
use crate::domain::page::PageRequest;
use crate::domain::token::Token;
use crate::error::Error;

/// Name of the dashboard's cookie.
pub const COOKIE: &str = "windlass_token";

/// A request with a valid token, from the `Authorization` header or, for the dashboard, its cookie.
pub struct Auth {
    pub token: Token,
    /// The request came from the dashboard.
    pub by_cookie: bool,
}

impl Auth {
    pub fn caller(&self) -> Caller {
        let trigger = if self.by_cookie { TriggerType::Manual } else { TriggerType::Api };
        Caller { trigger, user: Some(self.token.name.clone()) }
    }
}

impl FromRequestParts<App> for Auth {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let bearer = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")))
            .map(str::trim);
        let (secret, by_cookie) = match (bearer, cookie(parts)) {
            (Some(secret), _) => (secret.to_string(), false),
            (None, Some(secret)) => (secret, true),
            (None, None) => {
                let text = "this needs a token; pass it as `Authorization: Bearer <token>`";
                return Err(Error::Unauthenticated(text.into()).into());
            }
        };
        if by_cookie {
            same_origin(parts)?;
        }
        Ok(Self { token: token_authenticate(app, &secret).await?, by_cookie })
    }
}

fn cookie(parts: &Parts) -> Option<String> {
    let cookies = parts.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_string())
}

/// The cookie is `SameSite=Strict`; this refuses what a browser that ignores that would still send from elsewhere.
pub fn same_origin(parts: &Parts) -> Result<(), ApiError> {
    if parts.method.is_safe() {
        return Ok(());
    }
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let host = header(header::HOST).unwrap_or("");
    match header(header::ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host)) {
        Some(origin) if origin != host => {
            Err(Error::Forbidden("the request comes from another site and is refused".into()).into())
        }
        _ => Ok(()),
    }
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
            Err(rejection) => Err(Error::invalid("", rejection.body_text()).into()),
        }
    }
}

/// `?before=…&limit=…` of every list.
#[derive(Debug, Default, Deserialize, IntoParams)]
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

/// The envelope of seed 0: `{"success": true, "data": …}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Success<T> {
    pub success: bool,
    pub data: T,
}

pub fn ok<T>(data: T) -> Json<Success<T>> {
    Json(Success { success: true, data })
}
