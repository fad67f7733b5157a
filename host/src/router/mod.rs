//! The router: a process of its own that owns the public ports and carries the requests, so that the server can stop, crash or be
//! replaced without anybody noticing.
//!
//! A request passes [`listen`] → [`proxy`] → [`upstream`] and comes back as a [`body`]; what it is decided by is in
//! `domain::route`. The table arrives over the [`control`] socket and is applied by [`state`]. [`client`] and [`watch`] are the
//! server's side.

mod access;
mod account;
mod body;
mod certificates;
pub mod client;
mod control;
mod handover;
mod headers;
mod keep;
mod listen;
mod live;
mod page;
mod probe;
mod proxy;
mod quiet;
pub mod report;
mod run;
mod state;
pub mod stats;
mod tunnel;
mod upstream;
pub mod watch;

pub use run::run;

use std::path::{Path, PathBuf};

/// Where a router keeps its table and sockets, below the data folder.
pub fn folder(data: &Path) -> PathBuf {
    data.join("router")
}
