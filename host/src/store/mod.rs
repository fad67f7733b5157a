//! All SQL. A file per table, free functions, the same verbs everywhere; `db` is how to get at a connection.
//!
//! Functions that read or write one table take `&mut Conn`: a read connection, a [`Tx`], whatever dereferences to it.
//! Functions that also tell somebody (append an event, wake the queue) take `&mut Tx`, because that happens after the
//! commit. `insert` returns what it has stored, with the number the store has given it. `find` fails with
//! [`Error::NotFound`](crate::error::Error::NotFound), `find_opt` answers `None`.

mod batch;
mod call;
mod catalog;
mod db;
mod faults;
mod import;
mod migrate;
mod notify;
mod packed;
mod rows;
mod snapshot;
mod sqlite;
mod tx;
mod writer;

pub mod approvals;
pub mod artifacts;
pub mod at_forge;
pub mod audit;
pub mod backups;
pub mod badges;
pub mod build_args;
pub mod build_configs;
pub mod builds;
pub mod certificates;
pub mod ci_builds;
pub mod cicd_jobs;
pub mod cicd_providers;
pub mod commit_fates;
pub mod counters;
pub mod deployment_cicd_mappings;
pub mod deployments;
pub mod events;
pub mod figures;
pub mod git_heads;
pub mod git_looks;
pub mod invitations;
pub mod key_rotations;
pub mod memberships;
pub mod notification_channels;
pub mod notification_deliveries;
pub mod oidc_identities;
pub mod owners;
pub mod plugin_calls;
pub mod plugin_components;
pub mod plugins;
pub mod previews;
pub mod projects;
pub mod protections;
pub mod registries;
pub mod releases;
pub mod repositories;
pub mod rollout_steps;
pub mod routes;
pub mod schedules;
pub mod sealed;
pub mod stack_ci;
pub mod stacks;
pub mod targets;
pub mod task_stats;
pub mod tasks;
pub mod teams;
pub mod templates;
pub mod tenants;
pub mod tokens;
pub mod users;
pub mod webhook_events;
pub mod webhooks;

pub use db::{Db, DbConfig, ReadConn};
pub use import::Import;
pub use snapshot::{Rows, Snapshot};
pub use tx::Tx;

use crate::domain::{Id, UnixMs};

/// A connection, whoever lent it.
pub type Conn = sqlx::AnyConnection;

/// What an async closure given to [`Db::write`] returns.
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;

/// A new UUIDv7: ids made by one process sort in the order they were made.
pub fn new_id() -> Id {
    Id::from_text(uuid::Uuid::now_v7().to_string())
}

/// Smaller than every id made from this moment on, and larger than those made in the milliseconds before.
pub fn id_at(at: UnixMs) -> Id {
    let millis = u64::try_from(at).unwrap_or_default();
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid();
    Id::from_text(id.to_string())
}

/// The clock of this machine.
pub fn now() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
