//! The router as a process: real sockets on both sides.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod carry;
mod choice;
mod control;
mod process;
mod secure;
