//! The store and the queue against SQLite and PostgreSQL: one suite, run twice.
#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod calls;
mod claims;
mod crash;
mod deliveries;
mod nodes;
mod plans;
mod queue;
mod rollouts;
mod rotation;
mod schema;
mod tables;
mod templates;
mod writes;
