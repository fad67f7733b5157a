//! The route table: which release answers a request. One versioned document, checked as a whole.
//!
//! Pure: the router process carries the requests; here is only what they are decided by.

pub mod check;
pub mod choice;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Everything the router knows. It replaces the table before it at once, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteTable {
    /// Grows with every change. A table that is not newer than the one in use is refused, so whoever acts on old knowledge
    /// changes nothing.
    pub version: u64,
    #[serde(default)]
    pub routes: Vec<Route>,
    #[serde(default)]
    pub certificates: Vec<CertificateFiles>,
    /// What the router answers to an ACME server (RFC 8555, 8.3), before anything else and for every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challenges: Vec<Challenge>,
}

/// `GET /.well-known/acme-challenge/<token>` is answered with `answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    pub token: String,
    pub answer: String,
}

/// Requests for some hosts and a path, and who answers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Unique in the table; names the route in statistics, logs and error pages.
    pub name: String,
    /// `app.example.org`, or `*.example.org` for any name below it. Empty: every host that no other route names.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Requests below this path; the longest path wins. `/shop` takes `/shop` and `/shop/cart`, not `/shopping`.
    #[serde(default = "root")]
    pub path: String,
    /// Who answers. Empty: the route exists, but nothing serves it yet.
    #[serde(default)]
    pub releases: Vec<Share>,
    /// Whether a client stays with its release. Without it every request is decided by itself.
    #[serde(default)]
    pub sticky: Option<Sticky>,
    /// Requests with such a header go to that release, whatever its weight.
    #[serde(default)]
    pub headers: Vec<HeaderRoute>,
    /// Requests wait until a table without this arrives: for services that can have one copy only.
    #[serde(default)]
    pub hold: Option<Hold>,
    /// Plain HTTP is answered with a redirect to HTTPS.
    #[serde(default)]
    pub redirect_https: bool,
    #[serde(default)]
    pub timeouts: Timeouts,
}

/// One release and its part of the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Share {
    pub release: String,
    /// Parts per 100; those of a route add up to 100.
    pub weight: u8,
    /// Requests take turns among them.
    pub targets: Vec<Target>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// IP address and port.
    #[schema(value_type = String)]
    pub address: SocketAddr,
    /// Without it the target is taken to be healthy.
    #[serde(default)]
    pub probe: Option<Probe>,
}

/// How the router itself watches a target. Any answer from 200 to 399 is a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Probe {
    pub path: String,
    pub interval_ms: u64,
    pub timeout_ms: u64,
    /// Failures in a row that take the target out of rotation.
    pub unhealthy_after: u32,
    /// Successes in a row that bring it back.
    pub healthy_after: u32,
}

impl Default for Probe {
    fn default() -> Self {
        Self { path: root(), interval_ms: 1_000, timeout_ms: 1_000, unhealthy_after: 3, healthy_after: 1 }
    }
}

/// What a client is known by. Clients are dealt to 100 places, and releases own places by weight: as a candidate's weight
/// grows, clients move to it and none moves back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, tag = "by")]
pub enum Sticky {
    /// A cookie that the router sets.
    #[serde(rename_all = "camelCase")]
    Cookie {
        #[serde(default = "cookie_name")]
        name: String,
        #[serde(default = "day")]
        max_age_secs: u32,
    },
    /// The client's address.
    Address,
    /// A header that clients send; without it a request is decided by itself.
    Header { name: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderRoute {
    pub header: String,
    /// Compared as a whole, and byte for byte.
    pub value: String,
    pub release: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hold {
    /// How long one request waits at most, counted from its arrival. Then it is answered with 503.
    pub deadline_ms: u64,
    /// How many requests wait at most; further ones are answered with 503 at once.
    pub queue: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// To connect to a target.
    pub connect_ms: u64,
    /// From the end of the request, its body included, to the head of the answer.
    pub response_ms: u64,
    /// Without a byte in either direction, in a body or a WebSocket.
    pub idle_ms: u64,
    /// What a release that left the table gets to finish; then its connections are cut.
    pub drain_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: 3_000, response_ms: 60_000, idle_ms: 900_000, drain_ms: 300_000 }
    }
}

/// A certificate and its key, as PEM files on the router's machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateFiles {
    /// As in a route; empty: for every name that no other certificate is for.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The certificate, followed by those that signed it.
    #[schema(value_type = String)]
    pub chain: PathBuf,
    #[schema(value_type = String)]
    pub key: PathBuf,
}

fn root() -> String {
    "/".into()
}

fn cookie_name() -> String {
    "windlass_route".into()
}

fn day() -> u32 {
    86_400
}
