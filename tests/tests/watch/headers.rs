//! What a browser may do with an answer of the server, whichever it is.

use reqwest::Method;
use windlass_tests::server::TestServer;

const PATHS: [&str; 8] = [
    "/login",
    "/no-such-page",
    "/assets/none.css",
    "/healthz",
    "/api/v1/stacks",
    "/api/v1/no-such-route",
    "/api/badges/0/status.svg",
    "/login/oidc",
];

#[tokio::test]
async fn every_answer_forbids_frames_sniffing_and_what_is_not_ours() {
    let server = TestServer::start().await;
    for path in PATHS {
        let response = server.stranger(Method::GET, path).send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert!(!header("referrer-policy").is_empty(), "{path}");
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header("strict-transport-security"), "", "{path} is not reached by HTTPS");
    }
}

#[tokio::test]
async fn a_server_behind_https_says_that_it_is_never_reached_otherwise() {
    let server = TestServer::start_with(&[("WINDLASS_PUBLIC_URL", "https://deploy.example.org")]).await;
    for path in PATHS {
        let response = server.stranger(Method::GET, path).send().await.unwrap();
        let said = response.headers().get("strict-transport-security").map(|value| value.to_str().unwrap());
        assert_eq!(said, Some("max-age=31536000"), "{path}");
    }
}
