//! Each operation and each page says what it asks for.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use windlass::api::{declared, is_public, openapi};
use windlass::domain::access::{Policy, Subject};
use windlass::web::PAGES;

/// What needs no log-in: deliveries prove themselves by their signature, log-ins by their password.
const PUBLIC: [&str; 10] = [
    // A badge proves itself by its address, which cannot be guessed.
    "GET /api/badges/{key}/cc.xml",
    "GET /api/badges/{key}/status.svg",
    "POST /api/v1/invitations/accept",
    "POST /api/v1/sessions",
    "POST /api/webhooks/{provider}/{repository}",
    "POST /api/webhooks/{repository}",
    "GET /healthz",
    "GET /readyz",
    "POST /v1/webhooks/github",
    // A provider's report proves itself by its signature, or is only a hint.
    "POST /{locale}/{tenant}/deployment/webhooks/{provider}",
];

/// Method, path and description of each operation.
pub fn operations() -> Vec<(String, String, Value)> {
    let document = serde_json::to_value(openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().clone();
    paths
        .into_iter()
        .flat_map(|(path, operations)| {
            let operations = operations.as_object().unwrap().clone().into_iter();
            operations.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
        })
        .collect()
}

#[test]
fn every_operation_declares_its_policy() {
    let undeclared: Vec<String> = operations()
        .iter()
        .filter(|(_, _, operation)| declared(operation).is_none() && !is_public(operation))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert!(
        undeclared.is_empty(),
        "without a policy nobody may use these; add `security((\"token\" = [\"<role>:<subject>\"]))` to their \
         #[utoipa::path]: {undeclared:#?}"
    );
}

#[test]
fn what_cannot_be_read_is_no_policy() {
    let with = |security: Value| declared(&serde_json::json!({ "security": security }));
    assert!(with(serde_json::json!([{ "token": ["deployer:stack"] }])).is_some());
    for odd in [
        serde_json::json!(null),
        serde_json::json!([]),
        serde_json::json!([{}]),
        serde_json::json!([{ "token": [] }]),
        serde_json::json!([{ "token": ["deployer:stacks"] }]),
        serde_json::json!([{ "token": ["viewer:any", "admin:server"] }]),
        serde_json::json!([{ "other": ["viewer:any"] }]),
    ] {
        assert!(with(odd.clone()).is_none(), "{odd}");
    }
    assert!(!is_public(&serde_json::json!({})) && !is_public(&serde_json::json!({ "security": [] })));
}

#[test]
fn what_needs_no_log_in_is_a_short_list() {
    let public: BTreeSet<String> = operations()
        .iter()
        .filter(|(_, _, operation)| is_public(operation))
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    assert_eq!(public, PUBLIC.iter().map(|line| (*line).to_owned()).collect());
}

#[test]
fn a_policy_about_a_thing_has_a_parameter_that_names_it() {
    let mut nameless = Vec::new();
    let pages = PAGES.iter().map(|(method, path, policy)| {
        let policy = Policy::parse(policy).unwrap_or_else(|| panic!("{policy} is no policy"));
        (format!("{method} {path}"), (*path).to_owned(), policy)
    });
    let operations = operations().into_iter().filter_map(|(method, path, operation)| {
        declared(&operation).map(|policy| (format!("{method} {path}"), path, policy))
    });
    for (name, path, policy) in operations.chain(pages) {
        // A template's project is in the query.
        if matches!(policy.subject, Subject::Any | Subject::Server | Subject::Template) {
            continue;
        }
        let mut parameters =
            path.split('/').filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')));
        if !parameters.any(|parameter| policy.subject.is_named_by(parameter)) {
            nameless.push(name);
        }
    }
    assert!(nameless.is_empty(), "{nameless:#?}");
}

#[test]
fn every_page_declares_its_policy() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/src/web/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let public = [
        "POST /login",
        "GET /login/oidc",
        "GET /login/oidc/callback",
        "GET /invitation",
        "POST /invitation",
        "POST /invitation/oidc",
        "GET /assets/{name}",
    ];
    let mut undeclared = Vec::new();
    let mut routes = 0;
    for route in source.split(".route(").skip(1) {
        let Some(path) = route.split('"').nth(1) else { continue };
        // Up to the next call of the chain that is not about methods.
        let handlers = route.split(".fallback").next().unwrap().split(".layer").next().unwrap();
        for (call, method) in [("get(", "GET"), ("post(", "POST"), ("put(", "PUT"), ("delete(", "DELETE")] {
            if handlers.contains(call) {
                routes += 1;
                let name = format!("{method} {path}");
                let is_listed =
                    PAGES.iter().any(|(method_of, path_of, _)| format!("{method_of} {path_of}") == name);
                if !is_listed && !public.contains(&name.as_str()) {
                    undeclared.push(name);
                }
            }
        }
    }
    assert!(routes > 50, "the routes were not found");
    assert!(undeclared.is_empty(), "add a line for each to host/src/web/access.rs: {undeclared:#?}");
}
