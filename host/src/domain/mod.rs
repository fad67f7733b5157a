//! Nouns, their state machines and the deciding parts. Pure: no I/O, no async, no clock, no randomness.

pub mod build;
pub mod build_config;
pub mod cassette;
pub mod deployment;
pub mod event;
pub mod health;
pub mod id;
pub mod page;
pub mod path;
pub mod plan;
pub mod plugin;
pub mod project;
pub mod recording;
pub mod reference;
pub mod release;
pub mod repository;
pub mod retention;
pub mod rollout;
pub mod stack;
pub mod task;
pub mod text;
pub mod time;
pub mod token;
pub mod webhook;

pub use id::Id;
pub use time::UnixMs;
