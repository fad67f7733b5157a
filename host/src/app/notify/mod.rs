//! Notifications: who is told what happened, and that they were.
//!
//! `spread` reads the outbox behind everybody's back and turns an event into deliveries, in the transaction that moves its
//! cursor: each event is asked about exactly once, whatever dies. `send` carries a delivery out, a task of the queue each, until
//! it was taken or given up; a receiver may see one twice, with the same id. An outgoing webhook is a channel like any other.

pub mod channel;
pub mod delivery;
pub mod rule;
mod send;
mod spread;
mod tell;

pub use send::delivery_run;
pub use spread::spread_keep;

use crate::domain::task::NewTask;
use crate::domain::task::Task;
use crate::domain::{Id, UnixMs};
use crate::store;

/// Receivers that are talked to at the same time.
pub const AT_ONCE: usize = 16;
/// After which a delivery is given up, however few attempts it had.
const DEADLINE_MS: UnixMs = 24 * 3600 * 1000;

/// Has a delivery carried out at that time; nothing happens if that is planned already.
fn task(delivery: &Id, at: UnixMs) -> NewTask {
    NewTask {
        id: store::new_id(),
        task: Task::Notify { delivery_id: delivery.clone() },
        priority: 0,
        unique_key: Some(key(delivery)),
        concurrency_key: None,
        run_at: Some(at),
        trace: None,
    }
}

fn key(delivery: &Id) -> String {
    format!("notify:{delivery}")
}
