//! A write transaction, and what is to be told once it has been committed.

use std::ops::{Deref, DerefMut};

use serde_json::{Value, json};
use sqlx::{Any, AnyPool, Transaction};

use super::{Conn, faults::fault};
use crate::{
    domain::{access::Owner, audit, deployment::Deployment, event::Event},
    error::Result,
};

/// A connection inside a transaction. It dereferences to [`Conn`].
pub struct Tx {
    inner: Transaction<'static, Any>,
    signals: Signals,
    /// What the record is to say of this work beside its events.
    changes: Vec<Value>,
    /// Whose the things are that it changes, beside those that its events are about.
    owners: Vec<Owner>,
    /// Of whoever caused the work.
    trace: Option<String>,
}

/// What other tasks and nodes hear of after the commit.
#[derive(Default)]
pub(super) struct Signals {
    pub events: Vec<Event>,
    /// Deployments that this work has brought to an end.
    pub ended: Vec<Deployment>,
    pub queue: bool,
    pub cancel: bool,
    pub wish: bool,
}

/// How far the signals had come when a savepoint was set.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    events: usize,
    ended: usize,
    queue: bool,
    cancel: bool,
    wish: bool,
}

impl Tx {
    pub(super) async fn begin(pool: &AnyPool, statement: &'static str) -> Result<Self> {
        let inner = pool.begin_with(statement).await.map_err(fault)?;
        Ok(Self { inner, signals: Signals::default(), changes: Vec::new(), owners: Vec::new(), trace: None })
    }

    pub(super) async fn commit(self) -> Result<Signals> {
        self.inner.commit().await.map_err(fault)?;
        Ok(self.signals)
    }

    pub(super) async fn rollback(self) {
        if let Err(error) = self.inner.rollback().await {
            tracing::debug!(%error, "rolling back failed; the connection is thrown away");
        }
    }

    pub(super) fn mark(&self) -> Mark {
        let signals = &self.signals;
        Mark {
            events: signals.events.len(),
            ended: signals.ended.len(),
            queue: signals.queue,
            cancel: signals.cancel,
            wish: signals.wish,
        }
    }

    /// Forgets what was signalled since the mark, because it was rolled back.
    pub(super) fn forget_since(&mut self, mark: Mark) {
        self.signals.events.truncate(mark.events);
        self.signals.ended.truncate(mark.ended);
        self.signals.queue = mark.queue;
        self.signals.cancel = mark.cancel;
        self.signals.wish = mark.wish;
        self.changes.clear();
        self.owners.clear();
    }

    /// Tells the record what this work changes: how it was (null if it was not there) and how it will be (null if it is
    /// gone). Fields that stay as they are, and secrets, are left out.
    pub fn changed(&mut self, what: &str, before: Value, after: Value) {
        let mut change = json!({ "what": what });
        if let (Some(members), Value::Object(sides)) =
            (change.as_object_mut(), audit::difference(before, after))
        {
            members.extend(sides);
        }
        self.changes.push(change);
    }

    /// Tells the record whose things this work is about, where no event of it says so.
    pub fn is_about(&mut self, owner: Owner) {
        self.owners.push(owner);
    }

    pub(super) fn take_owners(&mut self) -> Vec<Owner> {
        std::mem::take(&mut self.owners)
    }

    pub(super) fn take_changes(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.changes)
    }

    pub(super) fn events_since(&self, mark: Mark) -> &[Event] {
        self.signals.events.get(mark.events..).unwrap_or_default()
    }

    pub(super) fn publish(&mut self, event: Event) {
        self.signals.events.push(event);
    }

    pub(super) fn ended(&mut self, deployment: Deployment) {
        self.signals.ended.push(deployment);
    }

    /// What is added from now on is caused by the span with that context.
    pub(super) fn set_trace(&mut self, trace: Option<String>) {
        self.trace = trace;
    }

    /// In W3C form, if there is a trace.
    pub(super) fn trace(&self) -> Option<String> {
        self.trace.clone()
    }

    /// After the commit, queues look for work at once, on every node.
    pub fn wake_queue(&mut self) {
        self.signals.queue = true;
    }

    /// After the commit, queues look for running tasks that are to be cancelled, on every node.
    pub fn wake_cancel(&mut self) {
        self.signals.cancel = true;
    }

    /// After the commit, rollouts look for what people want of them, on every node.
    pub(super) fn tell_wish(&mut self) {
        self.signals.wish = true;
    }
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.inner
    }
}
