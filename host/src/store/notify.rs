//! Telling others what was committed: inside this process at once, on PostgreSQL the other nodes as well.

use std::{
    str::FromStr as _,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AnyPool, ConnectOptions as _,
    any::{AnyConnectOptions, AnyPoolOptions},
    postgres::PgListener,
};
use tokio::{
    sync::{Notify, broadcast, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{DbConfig, events, faults::fault, tx::Signals};
use crate::{
    domain::{access::Reach, deployment::Deployment, event::Event},
    error::Result,
};

/// Events a slow subscriber may lag behind before it has to read them from the table.
const EVENTS_KEPT: usize = 4096;
/// NOTIFY takes a lock on the whole cluster at commit, so a node sends at most one in this time.
const NOTIFY_PAUSE: Duration = Duration::from_millis(10);
/// Should a notification get lost, events are found this much later.
const SAFETY_NET: Duration = Duration::from_secs(1);
const CHANNEL: &str = "windlass";

const QUEUE: u8 = 1;
const CANCEL: u8 = 2;
const EVENTS: u8 = 4;
const WISH: u8 = 8;
const ALL: u8 = QUEUE | CANCEL | EVENTS | WISH;

/// What is done with a deployment that has ended.
pub type AtEnd = Box<dyn Fn(&Deployment) + Send + Sync>;

pub(super) struct Bus {
    /// Only of this node, so that each is counted once.
    pub at_end: OnceLock<AtEnd>,
    pub events: broadcast::Sender<Arc<Event>>,
    pub queue: watch::Sender<u64>,
    pub cancel: watch::Sender<u64>,
    pub wishes: watch::Sender<u64>,
    /// Other nodes write to the same database: events go out in the order in which the table has them.
    shared: bool,
    outgoing: AtomicU8,
    outgoing_changed: Notify,
    events_changed: Notify,
}

impl Bus {
    pub fn new(shared: bool) -> Self {
        Self {
            at_end: OnceLock::new(),
            events: broadcast::Sender::new(EVENTS_KEPT),
            queue: watch::Sender::new(0),
            cancel: watch::Sender::new(0),
            wishes: watch::Sender::new(0),
            shared,
            outgoing: AtomicU8::new(0),
            outgoing_changed: Notify::new(),
            events_changed: Notify::new(),
        }
    }

    /// Called once for each commit.
    pub fn committed(&self, signals: Signals) {
        if let Some(at_end) = self.at_end.get() {
            signals.ended.iter().for_each(at_end);
        }
        let mut bits = 0;
        if signals.queue {
            bits |= QUEUE;
        }
        if signals.cancel {
            bits |= CANCEL;
        }
        if signals.wish {
            bits |= WISH;
        }
        if !signals.events.is_empty() {
            bits |= EVENTS;
        }
        if bits == 0 {
            return;
        }
        self.wake(bits);
        if self.shared {
            self.outgoing.fetch_or(bits, Ordering::AcqRel);
            self.outgoing_changed.notify_one();
        } else {
            for event in signals.events {
                // Nobody listens: nothing to do.
                let _ = self.events.send(Arc::new(event));
            }
        }
    }

    fn wake(&self, bits: u8) {
        if bits & QUEUE != 0 {
            self.queue.send_modify(|n| *n = n.wrapping_add(1));
        }
        if bits & CANCEL != 0 {
            self.cancel.send_modify(|n| *n = n.wrapping_add(1));
        }
        if bits & WISH != 0 {
            self.wishes.send_modify(|n| *n = n.wrapping_add(1));
        }
        if bits & EVENTS != 0 {
            self.events_changed.notify_one();
        }
    }
}

/// The pool for PostgreSQL, for reading and writing.
pub(super) async fn open_postgres(config: &DbConfig) -> Result<AnyPool> {
    const SESSION: &str = "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'";
    let options = AnyConnectOptions::from_str(&config.url).map_err(fault)?.disable_statement_logging();
    AnyPoolOptions::new()
        .max_connections(config.max_connections.max(4))
        .acquire_timeout(Duration::from_secs(10))
        .after_connect(|conn, _| {
            Box::pin(async move { sqlx::raw_sql(SESSION).execute(conn).await.map(|_| ()) })
        })
        .connect_with(options)
        .await
        .map_err(fault)
}

/// Starts what keeps nodes on one PostgreSQL in touch. Events committed after this returns are delivered.
pub(super) async fn spawn(
    tasks: &mut JoinSet<()>,
    pool: &AnyPool,
    url: &str,
    bus: &Arc<Bus>,
    stop: &CancellationToken,
) -> Result<()> {
    let cursor = events::latest_seq(&mut *pool.acquire().await.map_err(fault)?).await?;
    let listener = listen(url).await?;
    tasks.spawn(until(stop.clone(), send(pool.clone(), bus.clone())));
    tasks.spawn(until(stop.clone(), receive(url.to_owned(), listener, bus.clone())));
    tasks.spawn(until(stop.clone(), pump(pool.clone(), bus.clone(), cursor)));
    Ok(())
}

async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    stop.run_until_cancelled_owned(work).await;
}

async fn listen(url: &str) -> Result<PgListener> {
    let mut listener = PgListener::connect(url).await.map_err(fault)?;
    listener.listen(CHANNEL).await.map_err(fault)?;
    Ok(listener)
}

async fn send(pool: AnyPool, bus: Arc<Bus>) {
    loop {
        bus.outgoing_changed.notified().await;
        let bits = bus.outgoing.swap(0, Ordering::AcqRel);
        if bits != 0
            && let Err(error) = super::rows::query("SELECT pg_notify('windlass', $1)")
                .bind(bits.to_string())
                .execute(&pool)
                .await
        {
            tracing::warn!(%error, "other nodes could not be notified; they will find out by themselves");
        }
        sleep(NOTIFY_PAUSE).await;
    }
}

async fn receive(url: String, mut listener: PgListener, bus: Arc<Bus>) {
    loop {
        match listener.recv().await {
            // A payload that is not ours wakes everything: that costs a look and misses nothing.
            Ok(notification) => bus.wake(notification.payload().parse().unwrap_or(ALL)),
            Err(error) => {
                tracing::warn!(%error, "listening to other nodes is interrupted");
                listener = loop {
                    sleep(SAFETY_NET).await;
                    if let Ok(listener) = listen(&url).await {
                        break listener;
                    }
                };
                bus.wake(ALL);
            }
        }
    }
}

/// Publishes events in the table's order, whichever node appended them.
async fn pump(pool: AnyPool, bus: Arc<Bus>, mut cursor: i64) {
    const CHUNK: i64 = 500;
    loop {
        let chunk = async {
            let mut conn = pool.acquire().await.map_err(fault)?;
            events::list_after(&mut conn, cursor, CHUNK, None, &Reach::EVERYTHING).await
        };
        match chunk.await {
            Ok(events) if !events.is_empty() => {
                for event in events {
                    cursor = event.seq;
                    let _ = bus.events.send(Arc::new(event));
                }
            }
            Ok(_) => {
                // Running into the timeout is the safety net.
                let _ = timeout(SAFETY_NET, bus.events_changed.notified()).await;
            }
            Err(error) => {
                tracing::warn!(error = error.for_log(), "events cannot be read");
                sleep(SAFETY_NET).await;
            }
        }
    }
}
