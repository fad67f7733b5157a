//! The handle everything else holds: opens the database, lends read connections, carries out writes.

use std::{sync::Arc, time::Duration};

use sqlx::{Any, AnyPool, pool::PoolConnection};
use tokio::{
    sync::{Mutex, broadcast, mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    BoxFuture, Tx,
    audit::{AuditKey, AuditKeyBytes},
    call::{self, Recorder},
    faults::fault,
    migrate,
    notify::{self, AtEnd, Bus},
    sqlite,
    writer::{self, Job, Writer},
};
use crate::{
    domain::event::Event,
    error::{Error, Result},
};

/// A caller waits at most this long for its write, including the time it stands in line.
const CALLER_DEADLINE: Duration = Duration::from_secs(30);
/// Writes that stand in line. A caller beyond it waits for a place.
const LINE: usize = 1024;
/// Tries of a transaction that PostgreSQL wants to be repeated.
const TRIES: u32 = 5;

/// A lent connection for reading. It dereferences to [`Conn`](super::Conn).
pub type ReadConn = PoolConnection<Any>;

#[derive(Debug, Clone)]
pub struct DbConfig {
    /// `sqlite:<path>` or `postgres://user@host/database`.
    pub url: String,
    /// Connections to PostgreSQL. SQLite has one writer and four readers.
    pub max_connections: u32,
}

impl DbConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 16 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// Connections, before anything is known of what is in the database.
pub(super) struct Pools {
    pub engine: Engine,
    pub write: AnyPool,
    read: AnyPool,
}

impl Pools {
    pub async fn open(config: &DbConfig) -> Result<Self> {
        sqlx::any::install_default_drivers();
        if config.url.starts_with("sqlite:") {
            let (write, read) = sqlite::open(&config.url).await?;
            return Ok(Self { engine: Engine::Sqlite, write, read });
        }
        if config.url.starts_with("postgres://") || config.url.starts_with("postgresql://") {
            let pool = notify::open_postgres(config).await?;
            return Ok(Self { engine: Engine::Postgres, write: pool.clone(), read: pool });
        }
        Err(Error::invalid(
            "database.url",
            "database.url (WINDLASS_DATABASE_URL) has to start with sqlite: or postgres://",
        ))
    }

    pub async fn close(self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Cheap to clone. The tasks behind it end with [`Db::close`], or with its last clone.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    read: AnyPool,
    write: AnyPool,
    line: mpsc::Sender<Job>,
    bus: Arc<Bus>,
    /// What the ends of the record are sealed with, once it is known.
    audit_key: Arc<AuditKey>,
    stop: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

impl Db {
    /// Opens the database, creating SQLite's file where there is none, and brings it to this binary's schema.
    ///
    /// Fails with `Invalid` for a URL that is neither SQLite's nor PostgreSQL's, with `Conflict` where a newer binary
    /// has changed the schema, with `Unavailable` where the database does not answer.
    pub async fn open(config: &DbConfig) -> Result<Self> {
        let pools = Pools::open(config).await?;
        migrate_with_patience(pools.engine, &pools.write).await?;
        Self::start(pools, &config.url).await
    }

    /// Opens a database that a server may be using now, without changing its schema or making one.
    ///
    /// Fails with `Conflict` where there is none, or one of another schema than this binary's.
    pub async fn open_as_is(config: &DbConfig) -> Result<Self> {
        if let Some(path) = config.url.strip_prefix("sqlite:")
            && !std::path::Path::new(path.strip_prefix("//").unwrap_or(path)).exists()
        {
            return Err(Error::conflict(format!(
                "there is no database {path}; name the server's configuration file, or set WINDLASS_DATA_DIR"
            )));
        }
        let pools = Pools::open(config).await?;
        migrate::check_current(&mut *pools.read.acquire().await.map_err(fault)?).await?;
        Self::start(pools, &config.url).await
    }

    async fn start(pools: Pools, url: &str) -> Result<Self> {
        let Pools { engine, write, read } = pools;
        let (line, jobs) = mpsc::channel(LINE);
        let bus = Arc::new(Bus::new(engine == Engine::Postgres));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let begin = begin_statement(engine);
        tasks.spawn(Writer { pool: write.clone(), begin, jobs, bus: bus.clone() }.run(stop.clone()));
        if engine == Engine::Postgres {
            notify::spawn(&mut tasks, &read, url, &bus, &stop).await?;
        }
        let audit_key = Arc::default();
        let inner = Inner { engine, read, write, line, bus, audit_key, stop, tasks: Mutex::new(tasks) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A connection for reading. On SQLite it refuses to write. Fails with `Unavailable` when none gets free in time.
    pub async fn read(&self) -> Result<ReadConn> {
        self.inner.read.acquire().await.map_err(fault)
    }

    /// Carries `work` out in a transaction and answers once it is durable.
    ///
    /// On SQLite many callers' work shares one commit, each in a savepoint of its own; on PostgreSQL it is a
    /// transaction of its own, which is repeated when the database asks for that (hence `Clone`). An error or a panic
    /// of `work` undoes its changes and nobody else's. `work` should touch nothing but the database: others wait.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Clone + Send + 'static,
    {
        match self.inner.engine {
            Engine::Sqlite => self.submit(|reply| Job::closure(work, self.recorder(), reply)).await,
            Engine::Postgres => within_deadline(self.write_alone(work)).await,
        }
    }

    /// Writes the entries of the record for the work of whoever calls now.
    fn recorder(&self) -> Recorder {
        Recorder::new(call::current(), self.inner.audit_key.clone())
    }

    /// From now on the record's ends are sealed with this key. Later calls change nothing.
    pub fn seal_audit(&self, key: AuditKeyBytes) {
        self.inner.audit_key.set(key);
    }

    async fn write_alone<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Clone + Send + 'static,
    {
        let inner = &self.inner;
        if inner.stop.is_cancelled() {
            return Err(closed());
        }
        let mut recorder = self.recorder();
        let mut tries = 1;
        loop {
            let mut tx = Tx::begin(&inner.write, begin_statement(inner.engine)).await?;
            let mark = tx.mark();
            recorder.begin(&mut tx);
            let done = match writer::guarded(work.clone(), &mut tx).await {
                Ok(value) => recorder.record(&mut tx, mark).await.map(|()| value),
                Err(error) => Err(error),
            };
            let outcome = match done {
                Ok(value) => tx.commit().await.map(|signals| (value, signals)),
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            };
            match outcome {
                Ok((value, signals)) => {
                    recorder.committed();
                    inner.bus.committed(signals);
                    return Ok(value);
                }
                Err(Error::Unavailable(why)) if tries < TRIES => {
                    tracing::debug!(%why, tries, "a transaction is tried again");
                    tokio::time::sleep(Duration::from_millis(5 << tries)).await;
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands a job to the writer and waits for its answer.
    pub(super) async fn submit<T>(&self, job: impl FnOnce(oneshot::Sender<Result<T>>) -> Job) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        within_deadline(async {
            self.inner.line.send(job(reply)).await.map_err(|_| closed())?;
            answer.await.map_err(|_| closed())?
        })
        .await
    }

    /// Every event committed from now on, in commit order; on PostgreSQL those of other nodes as well. A reader that
    /// lags behind continues with [`events::list_after`](super::events::list_after).
    pub fn subscribe_events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.bus.events.subscribe()
    }

    /// Changes whenever there may be work for a queue.
    pub fn subscribe_queue(&self) -> watch::Receiver<u64> {
        self.inner.bus.queue.subscribe()
    }

    /// Changes whenever a running task may have been cancelled.
    pub fn subscribe_cancel(&self) -> watch::Receiver<u64> {
        self.inner.bus.cancel.subscribe()
    }

    /// Changes whenever somebody wants something of a rollout: that it stops, is held, goes on, or has its answer.
    pub fn subscribe_wishes(&self) -> watch::Receiver<u64> {
        self.inner.bus.wishes.subscribe()
    }

    /// Has this done with every deployment that this node brings to an end, after the commit. Only the first call counts.
    pub fn at_end_of_deployments(&self, at_end: AtEnd) {
        let _ = self.inner.bus.at_end.set(at_end);
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        self.inner.engine.word()
    }

    pub(super) fn readers(&self) -> &AnyPool {
        &self.inner.read
    }

    /// Takes no more writes, finishes those that were accepted, and closes the connections.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        let mut tasks = self.inner.tasks.lock().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the store ended badly");
            }
        }
        self.inner.read.close().await;
        self.inner.write.close().await;
    }
}

pub(super) fn begin_statement(engine: Engine) -> &'static str {
    match engine {
        // A deferred transaction that upgrades to a write may fail at once, whatever the busy timeout.
        Engine::Sqlite => "BEGIN IMMEDIATE",
        Engine::Postgres => "BEGIN",
    }
}

/// Two nodes that start on an empty PostgreSQL at once get in each other's way when they create the first table.
async fn migrate_with_patience(engine: Engine, pool: &AnyPool) -> Result<()> {
    let mut tries = 1;
    loop {
        let mut tx = Tx::begin(pool, begin_statement(engine)).await?;
        let outcome = match migrate::run(&mut tx).await {
            Ok(()) => tx.commit().await.map(|_| ()),
            Err(error) => {
                tx.rollback().await;
                Err(error)
            }
        };
        match outcome {
            Err(error) if engine == Engine::Postgres && tries < TRIES && !is_refusal(&error) => {
                tracing::debug!(error = error.for_log(), "migrating is tried again");
                tokio::time::sleep(Duration::from_millis(20 << tries)).await;
                tries += 1;
            }
            other => return other,
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Conflict(text) if text.contains("this binary"))
}

async fn within_deadline<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(CALLER_DEADLINE, work).await.unwrap_or_else(|_| {
        Err(Error::unavailable(format!(
            "the database has not confirmed a write within {} s; it is overloaded or its disk hangs",
            CALLER_DEADLINE.as_secs()
        )))
    })
}

fn closed() -> Error {
    Error::unavailable("the database is closed: the server is shutting down")
}
