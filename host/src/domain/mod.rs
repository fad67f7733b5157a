//! Nouns, their state machines and the deciding parts. Pure: no I/O, no async, no clock, no randomness.

pub mod admission;
pub mod breaker;
pub mod budget;
pub mod build;
pub mod build_config;
pub mod cassette;
pub mod ci;
pub mod conformance;
pub mod deployment;
pub mod event;
pub mod forge;
pub mod health;
pub mod id;
pub mod notification;
pub mod page;
pub mod path;
pub mod pipeline;
pub mod plan;
pub mod plugin;
pub mod project;
pub mod recording;
pub mod reference;
pub mod release;
pub mod repository;
pub mod retention;
pub mod rollout;
pub mod route;
pub mod stack;
pub mod task;
pub mod text;
pub mod time;
pub mod token;
pub mod webhook;

pub use id::Id;
pub use time::UnixMs;
