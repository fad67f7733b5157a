//! What this server writes at the forge of a repository, with the repository's own token: what has become of a commit, what is
//! deployed where, and the webhook. A deployment never waits for it and never fails of it: each is a task of the queue's, or
//! what a person asked for.

mod deployment;
mod hook;
mod status;

pub(in crate::app) use deployment::Shown;
pub(in crate::app) use hook::{hook_drop, hook_owe};
pub use hook::{hook_register, hook_remove, hook_run};
pub(in crate::app) use status::owe;
pub use status::{announce, commit_status_run};
