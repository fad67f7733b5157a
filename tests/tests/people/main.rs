//! Who may do what, driven over HTTP against the real server.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod cli;
mod every_page;
mod leaks;
mod login;
mod matrix;
mod pages;
mod policies;
mod reach;
mod record;
mod tenants;
mod tokens;

use windlass_tests::world;
