//! The checked-in OpenAPI document is the one that the code describes.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::Path;

#[test]
fn the_checked_in_document_is_what_the_server_serves() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/openapi.json");
    let generated = format!("{}\n", windlass::api::openapi().to_pretty_json().unwrap());
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == generated,
        "docs/openapi.json is out of date; write it with UPDATE_OPENAPI=1 cargo test --workspace --test openapi"
    );
}

#[test]
fn every_operation_of_the_seeds_is_described() {
    let document: serde_json::Value = serde_json::to_value(windlass::api::openapi()).unwrap();
    for (method, path) in [
        ("post", "/v1/cicd/services/{service}/build"),
        ("get", "/v1/cicd/services/{service}/builds"),
        ("get", "/v1/cicd/builds/{build}"),
        ("post", "/v1/cicd/services/{service}/deploy"),
        ("post", "/v1/cicd/services/{service}/rollback"),
        ("get", "/v1/cicd/services/{service}/deployments"),
        ("get", "/v1/cicd/deployments/{deployment}"),
        ("get", "/v1/cicd/jobs/{job}"),
        ("post", "/v1/webhooks/github"),
        ("post", "/api/webhooks/{repository}"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
}

/// A client would put it where it is not looked for.
#[test]
fn what_is_said_to_be_in_a_path_is_in_it() {
    let document = serde_json::to_value(windlass::api::openapi()).unwrap();
    let mut elsewhere = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let names = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let names = names.map(|parameter| parameter["name"].as_str().unwrap().to_owned());
            let missing = names.filter(|name| !path.contains(&format!("{{{name}}}")));
            elsewhere.extend(missing.map(|name| format!("{method} {path}: {name}")));
        }
    }
    assert!(
        elsewhere.is_empty(),
        "their structs need `#[into_params(parameter_in = Query)]`, since `Params` is not known as a query: {elsewhere:#?}"
    );
}
