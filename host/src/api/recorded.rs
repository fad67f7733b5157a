//! Around every route: what changes something is a call that the record knows, whoever wrote the handler.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use tracing::Instrument as _;

use crate::app::App;
use crate::app::account::for_request;
use crate::app::audit::{Call, audit_settle, during};
use crate::telemetry::{answered, request_span};

/// Names of operations by method and path.
type Names = Arc<HashMap<(Method, String), String>>;

/// Gives every request that may change something an entry in the record. Who it is, `Auth` finds out; requests that nobody
/// vouches for have none, but for attempts to log in.
pub fn recorded(router: Router<App>, app: App) -> Router<App> {
    router.layer(from_fn_with_state((app, Arc::new(names())), record))
}

async fn record(State((app, names)): State<(App, Names)>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return for_request(next.run(request)).await;
    }
    let call = call(&request, &names);
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = request_span(request.method().as_str(), route);
    let response = during(call.clone(), for_request(next.run(request))).instrument(span.clone()).await;
    answered(&span, response.status().as_u16());
    if let Err(error) = audit_settle(&app, &call, outcome(response.status())).await {
        tracing::error!(action = call.action, error = %error.for_log(), "[@audit:record] a request has no entry in the record");
    }
    response
}

fn call(request: &Request, names: &Names) -> Arc<Call> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let known = names.get(&(request.method().clone(), path.to_owned()));
    let action = known.cloned().unwrap_or_else(|| page_action(path));
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = peer.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default();
    let agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let via = match known {
        None => "dashboard",
        Some(_) if agent.starts_with("windlass/") => "cli",
        Some(_) => "api",
    };
    Call::new(&action, request.uri().path(), via, &address)
}

/// The operations' names, from the document that describes them.
fn names() -> HashMap<(Method, String), String> {
    let document = serde_json::to_value(super::openapi()).unwrap_or_default();
    let mut names = HashMap::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
            if let (Ok(method), Some(name)) = (method, operation["operationId"].as_str()) {
                names.insert((method, path.clone()), name.to_owned());
            }
        }
    }
    names
}

/// A form of the dashboard is named as the API would: `/stacks/{stack}/deploy` is `stack_deploy`.
fn page_action(path: &str) -> String {
    let words: Vec<&str> =
        path.split('/').filter(|word| !word.is_empty() && !word.starts_with('{')).collect();
    let (noun, verbs) = words.split_first().unwrap_or((&"", &[]));
    let noun = noun.strip_suffix('s').unwrap_or(noun);
    let verb = match verbs {
        [] if path.contains('{') => "update".to_owned(),
        [] if noun == "login" || noun == "logout" => return noun.to_owned(),
        [] | ["new"] => "create".to_owned(),
        ["edit"] => "update".to_owned(),
        others => others.join("_").replace('-', "_"),
    };
    format!("{noun}_{verb}")
}

fn outcome(status: StatusCode) -> &'static str {
    match status {
        status if status.is_client_error() => "refused",
        status if status.is_server_error() => "failed",
        _ => "done",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_named_as_operations_are() {
        for (path, name) in [
            ("/login", "login"),
            ("/logout", "logout"),
            ("/stacks/new", "stack_create"),
            ("/stacks/{stack}/edit", "stack_update"),
            ("/stacks/{stack}/deploy", "stack_deploy"),
            ("/stacks/{stack}/rotate-webhook-secret", "stack_rotate_webhook_secret"),
            ("/tokens", "token_create"),
            ("/tokens/{token}/revoke", "token_revoke"),
            ("/templates/{template}", "template_update"),
            ("/deployments/{deployment}/cancel", "deployment_cancel"),
            ("/hosts/forget", "host_forget"),
        ] {
            assert_eq!(page_action(path), name, "{path}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let names = names();
        assert_eq!(
            names.get(&(Method::POST, "/api/v1/stacks".into())).map(String::as_str),
            Some("stack_create")
        );
        assert!(names.len() > 40);
    }
}
