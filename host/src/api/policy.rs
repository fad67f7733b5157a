//! The policies of all routes, and the one place that asks for them.
//!
//! A route of the API declares its policy in its own `#[utoipa::path]`, as OpenAPI 3.1 has it for roles:
//! `security(("token" = ["deployer:stack"]))`, or `security(())` for what needs no log-in. A page has a line in
//! `web/access.rs`. Whatever has neither is refused, and a test names it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use serde_json::Value;

use super::error::ApiError;
use crate::app::App;
use crate::app::access::{authorise, concern};
use crate::domain::access::{Policy, Rights, Role, Subject};
use crate::error::{Error, Result};

/// By method and path as it is declared.
#[derive(Debug, Clone, Default)]
pub struct Policies(Arc<HashMap<(String, String), Policy>>);

impl Policies {
    /// Those of the API's own document, and those of pages: method, path, policy. What cannot be read is left out, and
    /// so refused.
    pub fn of(document: &Value, pages: &[(&str, &str, &str)]) -> Self {
        let mut all = HashMap::new();
        for (path, operations) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in operations.as_object().into_iter().flatten() {
                if let Some(policy) = declared(operation) {
                    all.insert((method.to_uppercase(), path.clone()), policy);
                }
            }
        }
        for (method, path, text) in pages {
            if let Some(policy) = Policy::parse(text) {
                all.insert(((*method).to_owned(), (*path).to_owned()), policy);
            }
        }
        Self(Arc::new(all))
    }

    fn get(&self, method: &Method, path: &str) -> Option<Policy> {
        // What answers GET answers HEAD as well.
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.0.get(&(method.to_owned(), path.to_owned())).copied()
    }
}

/// The policy of an operation of an OpenAPI document.
pub fn declared(operation: &Value) -> Option<Policy> {
    match operation["security"][0]["token"].as_array()?.as_slice() {
        [Value::String(text)] => Policy::parse(text),
        _ => None,
    }
}

/// Whether an operation says that nobody has to log in for it.
pub fn is_public(operation: &Value) -> bool {
    let security = operation["security"].as_array();
    security.is_some_and(|all| all.len() == 1 && all.iter().all(|one| *one == serde_json::json!({})))
}

/// Lets the request pass if its route's policy does; answers the caller's role where the thing is that it names.
pub(super) async fn check(parts: &mut Parts, app: &App, rights: &Rights) -> Result<Role, ApiError> {
    let policies = parts.extensions.get::<Policies>().cloned().unwrap_or_default();
    let path = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned()).unwrap_or_default();
    let Some(policy) = policies.get(&parts.method, &path) else {
        tracing::error!(method = %parts.method, path, "[@api:access] a route has no policy and is refused");
        let text = format!("{} {path} declares no policy, so nobody may use it", parts.method);
        return Err(Error::Forbidden(text).into());
    };
    let key = key(parts, app, policy.subject).await?;
    if matches!(policy.subject, Subject::Any | Subject::Server) {
        concern_named(parts, app).await;
    }
    Ok(authorise(app, rights, policy, &key).await?)
}

/// What only some may do with a team's things is about that team nevertheless, and so is its entry in the record.
async fn concern_named(parts: &mut Parts, app: &App) {
    let Ok(parameters) = RawPathParams::from_request_parts(parts, app).await else { return };
    // A template's name says nothing of its project.
    let subjects = Subject::ALL.into_iter().filter(|subject| *subject != Subject::Template);
    for subject in subjects {
        if let Some((_, value)) = parameters.iter().find(|(name, _)| subject.is_named_by(name)) {
            concern(app, subject, value).await;
        }
    }
}

/// What the request names: the parameter of the path that is called like the subject.
async fn key(parts: &mut Parts, app: &App, subject: Subject) -> Result<String> {
    if subject == Subject::Template {
        return Ok(project_of(&parts.uri));
    }
    if matches!(subject, Subject::Any | Subject::Server) {
        return Ok(String::new());
    }
    let parameters = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| Error::invalid("path", "the address cannot be read"))?;
    let named = parameters.iter().find(|(name, _)| subject.is_named_by(name));
    // A policy without its parameter names nothing, which nobody but an administrator may see.
    Ok(named.map(|(_, value)| value.to_owned()).unwrap_or_default())
}

fn project_of(uri: &Uri) -> String {
    let query = uri.query().unwrap_or("");
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "project")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}
