//! Windlass: one self-hosted server that hoists code from a git push to running, healthy containers.
//!
//! The module map, and who may import whom, is in `README.md` and enforced by `tests/architecture.rs`.

pub mod domain;
pub mod error;
pub mod queue;
pub mod store;
