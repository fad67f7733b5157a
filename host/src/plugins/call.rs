//! One call into a guest: a slot, a thread that may block, a fresh store, and a typed error if it does not end well.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store};

use super::bindings::base::windlass::types::types;
use super::broker::{Broker, Outbound, Session};
use super::guest::{self, GuestState, OutOfTime};
use super::metrics::Metrics;
use super::settings::Limits;
use super::supervisor::{Purpose, Supervisor, Watch};
use super::text;
use super::ticker::Ticker;
use crate::error::{Error, PluginError, PluginErrorKind, Result};

/// Everything calls share. Plugins come and go above it.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    broker: Broker,
    pub(super) supervisor: Supervisor,
    slots: Arc<Semaphore>,
    ticker: Ticker,
}

/// A guest that can be called.
#[derive(Clone)]
pub(super) struct Callee {
    pub(super) name: Arc<str>,
    pub(super) pre: InstancePre<GuestState>,
    /// sha256 of the component, in hex.
    pub(super) digest: Arc<str>,
    /// Where the call may send requests; without it, none.
    pub(super) outbound: Option<Outbound>,
    /// sha256 of the call's arguments, if the component has WASI's clocks and random numbers made up from them.
    pub(super) input: [u8; 32],
    pub(super) imports_wasi: bool,
    /// What is held against it; none while it is loaded.
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) purpose: Purpose,
}

impl Callee {
    /// Says what the call's arguments are.
    pub(super) fn with_input(mut self, input: &dyn fmt::Debug) -> Self {
        struct Hash(Sha256);
        impl fmt::Write for Hash {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.update(text);
                Ok(())
            }
        }
        if self.imports_wasi {
            let mut hash = Hash(Sha256::new());
            // The hash takes everything, and the formats are derived.
            let _ = write!(hash, "{input:?}");
            self.input = hash.0.finalize().into();
        }
        self
    }
}

/// How a call may end badly from an adapter's view.
pub(super) enum CallError {
    /// The guest or wasmtime gave up.
    Guest(wasmtime::Error),
    /// There is an answer, and it is a failure or makes no sense.
    Answer(PluginErrorKind),
}

impl From<wasmtime::Error> for CallError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error)
    }
}

impl From<PluginErrorKind> for CallError {
    fn from(kind: PluginErrorKind) -> Self {
        Self::Answer(kind)
    }
}

impl From<types::Failure> for CallError {
    fn from(failure: types::Failure) -> Self {
        let (retryable, retry_after_secs) = match failure.disposition {
            types::Disposition::Retry(after) | types::Disposition::RateLimited(after) => (true, after),
            types::Disposition::Permanent
            | types::Disposition::AuthRequired
            | types::Disposition::Other(_) => (false, None),
        };
        Self::Answer(PluginErrorKind::Failure {
            code: text::line(&failure.code, 64),
            message: text::line(&failure.message, text::MESSAGE_BYTES),
            retry_after_secs,
            retryable,
        })
    }
}

pub(super) fn nonsense(what: impl Into<String>) -> CallError {
    CallError::Answer(PluginErrorKind::Nonsense(what.into()))
}

impl Runtime {
    pub(super) fn new(engine: Engine, limits: Limits, broker: Broker) -> Result<Self> {
        let ticker = Ticker::start(engine.clone())
            .map_err(|error| Error::internal(format!("the plugins' clock does not start: {error}")))?;
        let slots = Arc::new(Semaphore::new(limits.concurrent_calls as usize));
        let supervisor = Supervisor::new(&limits);
        Ok(Self { engine, limits, metrics: Metrics::new(), broker, supervisor, slots, ticker })
    }

    /// A way out for what the host sends on a plugin's behalf, with the time that a call has.
    pub(super) fn session(&self, outbound: Outbound) -> Session {
        Session::new(self.broker.clone(), outbound, Instant::now() + self.limits.wall)
    }

    /// Runs `work` with a fresh store, on a thread that may block: a guest may take its whole 2 s.
    pub(super) async fn call<R: Send + 'static>(
        self: &Arc<Self>,
        callee: Callee,
        call: &'static str,
        work: impl FnOnce(&mut Store<GuestState>, &InstancePre<GuestState>) -> Result<R, CallError>
        + Send
        + 'static,
    ) -> Result<R> {
        let slot = tokio::time::timeout(self.limits.wall, self.slots.clone().acquire_owned())
            .await
            .map_err(|_| Error::unavailable("all plugin slots have been busy for too long; try again later"))?
            .map_err(Error::internal)?;
        let (runtime, span) = (self.clone(), tracing::Span::current());
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            span.in_scope(|| runtime.call_blocking(&callee, call, work))
        })
        .await
        .map_err(|error| Error::internal(format!("a plugin call broke off: {error}")))?
    }

    /// The same on this very thread.
    pub(super) fn call_blocking<R>(
        &self,
        callee: &Callee,
        call: &'static str,
        work: impl FnOnce(&mut Store<GuestState>, &InstancePre<GuestState>) -> Result<R, CallError>,
    ) -> Result<R> {
        let failed = |kind| PluginError { plugin: callee.name.to_string(), call, kind };
        if let Some(watch) = &callee.watch {
            self.supervisor.enter(watch, &callee.purpose).map_err(failed)?;
        }
        let (started, on_cpu) = (Instant::now(), thread_cpu());
        let running = self.ticker.running();
        let session = |deadline| {
            let outbound = callee.outbound.clone()?;
            Some(Session::new(self.broker.clone(), outbound, deadline))
        };
        let mut store = guest::store(&self.engine, &self.limits, callee, call, self.metrics.clone(), session);
        let result = work(&mut store, &callee.pre);
        drop(running);
        let state = store.data();
        state.close_log();
        let result = result.map_err(|error| match error {
            CallError::Answer(kind) => kind,
            CallError::Guest(error) => self.kind_of(&error, state, &callee.name, call),
        });
        let result = result.map_err(|kind| scrubbed(kind, state));
        let (wall, cpu) = (started.elapsed(), thread_cpu().saturating_sub(on_cpu));
        let error = result.as_ref().err();
        self.metrics.record(&callee.name, call, error, wall);
        let opened = callee
            .watch
            .as_ref()
            .is_some_and(|watch| self.supervisor.leave(watch, &callee.purpose, call, error, (cpu, wall)));
        self.metrics.spent(&callee.name, cpu, opened);
        result.map_err(|kind| failed(kind).into())
    }

    fn kind_of(
        &self,
        error: &wasmtime::Error,
        state: &GuestState,
        plugin: &str,
        call: &str,
    ) -> PluginErrorKind {
        if let Some(out_of_time) = error.downcast_ref::<OutOfTime>() {
            let milliseconds = u64::try_from(out_of_time.after.as_millis()).unwrap_or(u64::MAX);
            return PluginErrorKind::Timeout { milliseconds };
        }
        if state.usage.memory_refused {
            return PluginErrorKind::Memory { limit_bytes: self.limits.memory_bytes as u64 };
        }
        // The backtrace helps the plugin's author; in an error message it would only be in the way.
        let details = state.scrubbed(&format!("{error:?}"));
        tracing::debug!("[@plugins:call] {plugin} {call}: {}", text::line(&details, text::MESSAGE_BYTES));
        let cause = text::line(&error.root_cause().to_string(), 512);
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(_) => PluginErrorKind::Trap(cause),
            // What is no trap of the code is an answer that cannot be read: a wrong pointer, broken UTF-8, too many bytes.
            None => PluginErrorKind::Nonsense(cause),
        }
    }
}

/// What a guest said about its end, without the call's secrets.
fn scrubbed(kind: PluginErrorKind, state: &GuestState) -> PluginErrorKind {
    match kind {
        PluginErrorKind::Failure { code, message, retry_after_secs, retryable } => PluginErrorKind::Failure {
            code: state.scrubbed(&code),
            message: state.scrubbed(&message),
            retry_after_secs,
            retryable,
        },
        PluginErrorKind::Trap(said) => PluginErrorKind::Trap(state.scrubbed(&said)),
        PluginErrorKind::Nonsense(said) => PluginErrorKind::Nonsense(state.scrubbed(&said)),
        other => other,
    }
}

/// Processor time of this thread. A call stays on its thread from beginning to end, so the difference is what it used.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
