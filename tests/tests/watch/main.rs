//! Watching the server and logging in from outside: the overview, badges, metrics, traces, headers, OpenID, and where requests of
//! the server may not go.
#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod activity;
mod badges;
mod grade;
mod headers;
mod outside;
mod overview;
mod pages;
mod sign_on;
mod tasks;
mod traces;
