//! What the router tells about itself over its control socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::stats::{Totals, Window};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub pid: u32,
    /// Tells one build of the program from another.
    pub build: String,
    /// Of the table in use; 0 if none was ever applied.
    pub version: u64,
    /// Unix milliseconds. Counts begin at 0 then.
    pub started_at: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub health: Health,
    pub routes: Vec<RouteReport>,
    pub releases: Vec<ReleaseReport>,
    /// Requests and WebSockets by target, where there are any; targets that left the table are among them.
    pub in_flight: BTreeMap<SocketAddr, u64>,
    /// Requests that no route was for.
    pub unrouted: u64,
    pub log_lines_dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteReport {
    pub route: String,
    /// Requests that wait now.
    pub held: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReport {
    pub route: String,
    pub release: String,
    /// `None` if it has left the table and finishes what it does.
    pub weight: Option<u8>,
    pub in_flight: u64,
    pub total: Totals,
    pub window: Window,
    pub targets: Vec<TargetReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    pub address: SocketAddr,
    pub healthy: bool,
    /// Why not.
    pub reason: String,
}
