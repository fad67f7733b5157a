//! The store and the queue against SQLite and PostgreSQL: one suite, run twice.
#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod backups;
mod builds;
mod calls;
mod certificates;
mod ci;
mod claims;
mod commits;
mod crash;
mod deliveries;
mod figures;
mod forge;
mod history;
mod nodes;
mod notifications;
mod plans;
mod previews;
mod queue;
mod record;
mod rollouts;
mod rotation;
mod schema;
mod tables;
mod targets;
mod templates;
mod tenants;
mod triggers;
mod writes;
