//! Write a Windlass plugin in Rust: **one trait and one macro a kind**.
//!
//! | kind | you implement | you write at the end |
//! |---|---|---|
//! | reads a git forge's webhooks | [`forge::Forge`] | [`export_forge!`] |
//! | runs jobs at a CI/CD provider | [`provider::Provider`] | [`export_provider!`] |
//! | writes a vendor's pipeline files | [`generator::Generator`] | [`export_generator!`] |
//! | decides how a commit becomes an image | [`planner::Planner`] | [`export_planner!`] |
//! | decides how a release comes into service | [`strategy::Strategy`] | [`export_strategy!`] |
//! | tells people what happened | [`notifier::Notifier`] | [`export_notifier!`] |
//!
//! Optional abilities are traits of their own, named after the plugin: `export_forge!(Mine, repository, commit_status)`.
//! A plugin of several kinds is exported with [`export_plugin!`].
//!
//! The contract itself is the folder `wit/`; this crate only makes it pleasant. A plugin is an ordinary crate with
//! `crate-type = ["cdylib", "rlib"]`. It is compiled for `wasm32-unknown-unknown` with the linker
//! `wasm-component-ld`, which writes a component; there is no further tool. Natively the very same code compiles as
//! well, so its logic is tested with plain `cargo test`.
//!
//! A plugin is a function of its arguments, and of the responses to its requests where its kind may send any: there
//! is no clock, no randomness, no file, no socket and no environment. The host hands in the time where a kind needs it.
//! This is what makes every call repeatable.
//!
//! The feature `testkit`, for `[dev-dependencies]`, has the simulator that puts a strategy into thousands of worlds.
//!
//! Planners, generators, strategies and notifiers import nothing at all. A provider and a forge may write messages with
//! [`log`] and send requests with [`http`]; a strategy that sent any would be refused by the host for the import.

mod bindings;
mod client;
mod connection;
mod delivery;
mod export;
mod failure;
mod manifest;

pub mod forge;
pub mod generator;
pub mod http;
pub mod log;
pub mod notifier;
pub mod params;
pub mod planner;
pub mod provider;
pub mod strategy;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use bindings::base::exports::windlass::plugin::manifest::{
    CredentialSlot, Manifest, Permission, WebhookContract, WebhookScheme,
};
pub use bindings::base::windlass::types::types::{
    Connection, Delivery, Disposition, Extras, Failure, Problem, UnixMs,
};
pub use delivery::malformed;

/// What the export macros need. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
    pub use crate::bindings::{base, forge, generator, notifier, planner, provider, strategy};
}
