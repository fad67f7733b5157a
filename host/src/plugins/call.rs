//! One call into a guest: a slot, a thread that may block, a fresh store, a typed error if it does not end well, and a
//! recording of it all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{ComponentNamedList, InstancePre, Lift, Lower};
use wasmtime::{Engine, Store};

use super::bindings::base::windlass::types::types;
use super::broker::{Broker, Outbound, Refusal, Session};
use super::guest::{self, GuestState, OutOfTime, Who};
use super::metrics::{Metrics, outcome};
use super::recorder::{Diverged, Occasion, Recorder, occasion};
use super::settings::{Limits, Settings};
use super::supervisor::{Purpose, Supervisor, Watch};
use super::tape::{Clock, Function, seed};
use super::text;
use super::ticker::{Running, Ticker};
use crate::domain::recording::{Outcome, Recording};
use crate::error::{Disposition, Error, PluginError, PluginErrorKind, Result};
use crate::network::Policy;

/// Everything calls share. Plugins come and go above it.
pub(super) struct Runtime {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    broker: Broker,
    pub(super) supervisor: Supervisor,
    pub(super) recorder: Recorder,
    slots: Arc<Semaphore>,
    ticker: Arc<Ticker>,
}

/// A guest that can be called.
#[derive(Clone)]
pub(super) struct Callee {
    pub(super) name: Arc<str>,
    /// sha256 of the component, in hex.
    pub(super) digest: Arc<str>,
    pub(super) pre: InstancePre<GuestState>,
    /// Where the call may send requests; without it, none.
    pub(super) outbound: Option<Outbound>,
    /// Whether its arguments matter to WASI's random numbers.
    pub(super) imports_wasi: bool,
    /// What is held against it; none while it is loaded.
    pub(super) watch: Option<Arc<Watch>>,
    pub(super) purpose: Purpose,
}

impl Callee {
    fn who(&self) -> Who {
        Who { plugin: self.name.clone(), digest: self.digest.clone() }
    }
}

/// A call's place among those that run at the same time.
struct Turn {
    _slot: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
}

fn busy() -> Error {
    Error::unavailable("all plugin slots have been busy for too long; try again later")
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
        let disposition = match failure.disposition {
            types::Disposition::Retry(after) => Disposition::Retry(after),
            types::Disposition::RateLimited(after) => Disposition::RateLimited(after),
            types::Disposition::Permanent => Disposition::Permanent,
            types::Disposition::AuthRequired => Disposition::AuthRequired,
            types::Disposition::Other(word) => Disposition::Other(text::line(&word, 64)),
        };
        Self::Answer(PluginErrorKind::Failure {
            code: text::line(&failure.code, 64),
            message: text::line(&failure.message, text::MESSAGE_BYTES),
            disposition,
            request_sent: failure.request_sent,
        })
    }
}

pub(super) fn nonsense(what: impl Into<String>) -> CallError {
    CallError::Answer(PluginErrorKind::Nonsense(what.into()))
}

impl Runtime {
    /// A request of the server itself; see [`Broker::fetch`].
    pub(super) async fn fetch(
        &self,
        request: http::Request<Vec<u8>>,
        policy: Policy,
        trusted: Option<&str>,
    ) -> std::result::Result<http::Response<Vec<u8>>, Refusal> {
        self.broker.fetch(request, policy, trusted).await
    }

    pub(super) fn new(engine: Engine, settings: &Settings) -> Result<Self> {
        let limits = settings.limits.clone();
        let ticker = Ticker::start(engine.clone())
            .map_err(|error| Error::internal(format!("the plugins' clock does not start: {error}")))?;
        Ok(Self {
            engine,
            metrics: Metrics::new(),
            broker: Broker::new(settings.network.clone()),
            supervisor: Supervisor::new(&limits),
            recorder: Recorder::new(settings.record),
            slots: Arc::new(Semaphore::new(limits.concurrent_calls as usize)),
            limits,
            ticker: Arc::new(ticker),
        })
    }

    /// Another one on the same engine, with budgets, breakers, measures and slots of its own: what is called there is not
    /// held against the plugin, and keeps no call of the server's waiting.
    pub(super) fn apart(&self, limits: Limits) -> Self {
        Self {
            engine: self.engine.clone(),
            metrics: Metrics::new(),
            broker: self.broker.clone(),
            supervisor: Supervisor::new(&limits),
            recorder: Recorder::new(false),
            slots: Arc::new(Semaphore::new(limits.concurrent_calls as usize)),
            limits,
            ticker: self.ticker.clone(),
        }
    }

    /// A way out for what the host sends on a plugin's behalf, with the time that a call has.
    pub(super) fn session(&self, outbound: Outbound) -> Session {
        Session::new(self.broker.clone(), outbound, Instant::now() + self.limits.wall)
    }

    /// Calls one function of the contract with a fresh store, where it may block (a guest may take its whole 2 s),
    /// and has `read` make sense of the answer. This is how adapters call: what goes in and what comes out is recorded
    /// here, for all kinds alike.
    pub(super) async fn invoke<P, R, T>(
        self: &Arc<Self>,
        callee: Callee,
        function: Function,
        params: P,
        read: impl FnOnce(R) -> Result<T, CallError> + Send + 'static,
    ) -> Result<T>
    where
        P: ComponentNamedList + Lower + Serialize + Send + Sync + 'static,
        R: Lift + Serialize + Send + Sync + 'static,
        T: Send + 'static,
    {
        let occasion = occasion();
        let is_recorded = self.recorder.is_on && !matches!(occasion, Occasion::Unrecorded);
        let imports_wasi = callee.imports_wasi;
        let share = callee.watch.as_ref().map(|watch| watch.share.clone());
        let turn = tokio::time::timeout(self.limits.wall, self.turn(share));
        let turn = turn.await.map_err(|_| busy())??;
        // A guest without a way out and without WASI waits for nothing, and most are done in microseconds: for them
        // the way to another thread and back is most of the call. The runtime gives this thread's other work away.
        let is_quick = callee.outbound.is_none() && !imports_wasi;
        let work = move |runtime: &Self| {
            runtime.call_blocking(&callee, function, occasion, |store, pre| {
                let state = store.data_mut();
                if is_recorded || imports_wasi {
                    let tape = function.tape(&params);
                    state.seed = seed(function.name, &tape.input);
                    state.tape = is_recorded.then_some(tape);
                }
                read(function.run(store, pre, params)?)
            })
        };
        if is_quick && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
            let result = tokio::task::block_in_place(|| work(self));
            drop(turn);
            return result;
        }
        self.elsewhere(turn, work).await?
    }

    /// Runs `work` on a thread that may block, when it is its turn.
    pub(super) async fn on_slot<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> Result<R> {
        let turn = tokio::time::timeout(self.limits.wall, self.turn(None));
        let turn = turn.await.map_err(|_| busy())??;
        self.elsewhere(turn, work).await
    }

    /// Waits for one of the plugin's own share of slots, and then for a slot.
    async fn turn(&self, share: Option<Arc<Semaphore>>) -> Result<Turn> {
        let share = match share {
            Some(share) => Some(share.acquire_owned().await.map_err(Error::internal)?),
            None => None,
        };
        let slot = self.slots.clone().acquire_owned().await.map_err(Error::internal)?;
        Ok(Turn { _slot: slot, _share: share })
    }

    async fn elsewhere<R: Send + 'static>(
        self: &Arc<Self>,
        turn: Turn,
        work: impl FnOnce(&Self) -> R + Send + 'static,
    ) -> Result<R> {
        let (runtime, span) = (self.clone(), tracing::Span::current());
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            span.in_scope(|| work(&runtime))
        })
        .await
        .map_err(|error| Error::internal(format!("a plugin call broke off: {error}")))
    }

    /// Keeps the guests' clock going.
    pub(super) fn running(&self) -> Running {
        self.ticker.running()
    }

    /// Runs `work` with a fresh store on this very thread.
    pub(super) fn call_blocking<R>(
        &self,
        callee: &Callee,
        function: Function,
        occasion: Occasion,
        work: impl FnOnce(&mut Store<GuestState>, &InstancePre<GuestState>) -> Result<R, CallError>,
    ) -> Result<R> {
        let (call, kind) = (function.name, function.kind());
        let failed = |kind| PluginError { plugin: callee.name.to_string(), call, kind };
        if let Some(watch) = &callee.watch {
            self.supervisor.enter(watch, &callee.purpose).map_err(failed)?;
        }
        let clock = Clock::start();
        let running = self.ticker.running();
        let session = |deadline| {
            let outbound = callee.outbound.clone()?;
            Some(Session::new(self.broker.clone(), outbound, deadline))
        };
        let mut store =
            guest::store(&self.engine, &self.limits, callee.who(), call, self.metrics.clone(), session);
        let result = work(&mut store, &callee.pre);
        drop(running);
        let state = store.data();
        state.close_log();
        let result = result.map_err(|error| match error {
            CallError::Answer(kind) => kind,
            CallError::Guest(error) => self.kind_of(&error, state, &callee.name, call),
        });
        let result = result.map_err(|kind| scrubbed(kind, state));
        let (wall, cpu) = (clock.started.elapsed(), clock.cpu());
        let error = result.as_ref().err();
        self.metrics.record((&callee.name, kind), call, error, wall);
        let opened = callee
            .watch
            .as_ref()
            .is_some_and(|watch| self.supervisor.leave(watch, &callee.purpose, call, error, (cpu, wall)));
        self.metrics.spent((&callee.name, kind), cpu, opened);
        self.record(callee, call, occasion, (&clock, cpu), error, store.data_mut());
        result.map_err(|kind| failed(kind).into())
    }

    fn record(
        &self,
        callee: &Callee,
        call: &str,
        occasion: Occasion,
        (clock, cpu): (&Clock, Duration),
        error: Option<&PluginErrorKind>,
        state: &mut GuestState,
    ) {
        let subject = match occasion {
            Occasion::For(subject) => Some(subject),
            Occasion::Unknown | Occasion::Unrecorded => None,
        };
        let Some(tape) = state.tape.take() else { return };
        let (exchange, exchange_cut) = state.transcript.close();
        self.recorder.offer(Recording {
            plugin: callee.name.to_string(),
            digest: callee.digest.to_string(),
            interface: tape.interface.into(),
            function: call.into(),
            subject,
            started_at: clock.unix_ms,
            duration_us: i64::try_from(clock.started.elapsed().as_micros()).unwrap_or(i64::MAX),
            cpu_us: i64::try_from(cpu.as_micros()).unwrap_or(i64::MAX),
            outcome: error.map_or(Outcome::Ok, outcome),
            error: error.map(ToString::to_string),
            input: tape.input,
            exchange,
            output: tape.output,
            cut: tape.cut || exchange_cut,
        });
    }

    pub(super) fn kind_of(
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
        if let Some(Diverged(how)) = error.downcast_ref() {
            return PluginErrorKind::Nonsense(text::line(how, text::MESSAGE_BYTES));
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
        PluginErrorKind::Failure { code, message, disposition, request_sent } => {
            let disposition = match disposition {
                Disposition::Other(word) => Disposition::Other(state.scrubbed(&word)),
                known => known,
            };
            PluginErrorKind::Failure {
                code: state.scrubbed(&code),
                message: state.scrubbed(&message),
                disposition,
                request_sent,
            }
        }
        PluginErrorKind::Trap(said) => PluginErrorKind::Trap(state.scrubbed(&said)),
        PluginErrorKind::Nonsense(said) => PluginErrorKind::Nonsense(state.scrubbed(&said)),
        other => other,
    }
}
