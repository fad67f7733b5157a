//! Windlass: one self-hosted server that hoists code from a git push to running, healthy containers.
//!
//! The module map, and who may import whom, is in `README.md` and enforced by `tests/tests/architecture.rs`.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod docker;
pub mod domain;
pub mod error;
pub mod git;
pub mod jobs;
pub mod network;
pub mod plugins;
pub mod queue;
pub mod router;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod web;
