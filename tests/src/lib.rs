//! What the tests share: real servers and a real engine, made for one test and gone with it.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

pub mod acme;
pub mod anvil;
pub mod browser;
pub mod calls;
pub mod cli;
pub mod compiled;
pub mod components;
pub mod compose;
pub mod crossing;
pub mod cutover;
pub mod database;
pub mod docker;
pub mod fixture;
pub mod frozen;
pub mod git_server;
pub mod guests;
pub mod hostile;
pub mod languages;
pub mod log_rig;
pub mod machine;
pub mod mail;
pub mod ordering;
pub mod peer;
pub mod pipelines;
pub mod port;
pub mod postgres;
pub mod registry;
pub mod routed;
pub mod router;
pub mod sample;
pub mod script;
pub mod search;
pub mod sender;
pub mod server;
pub mod token_gate;
pub mod tools;
pub mod vendors;
pub mod world;

/// How long a test waits for what has to happen. A test that passes never waits so long; a machine that is busy with other
/// things may need much of it.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);
