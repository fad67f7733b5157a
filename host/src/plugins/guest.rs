//! What belongs to one call: its limits, what it has used of them, and what a guest may do, which is to log and, on a
//! connection, to send requests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Engine, ResourceLimiter, Store, UpdateDeadline};

use super::bindings::base::windlass::host::{http, log};
use super::broker::{Refusal, Request, Session};
use super::engine::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES};
use super::metrics::Metrics;
use super::recorder::{Transcript, answer_to};
use super::settings::Limits;
use super::tape::{CpuTime, Tape};
use super::text;
use super::ticker::TICK;
use super::wasi::{Door, Wasi};

/// Messages kept of one call.
const LOG_MESSAGES: u32 = 256;
/// Handles that a guest may hold at the same time, of all its instances together.
const HANDLES: usize = 10_000;
/// Fields kept of one message.
const LOG_FIELDS: usize = 32;

pub(super) struct GuestState {
    plugin: Arc<str>,
    call: &'static str,
    started: Instant,
    ticks: u32,
    log_messages: u32,
    pub(super) usage: Usage,
    /// Only calls on a connection have one.
    pub(super) session: Option<Session>,
    /// When the call has to end.
    deadline: Instant,
    metrics: Metrics,
    digest: Arc<str>,
    /// What WASI's random numbers are made up from, beside the component.
    pub(super) seed: [u8; 32],
    /// Made when a guest first asks for it; most never do.
    wasi: Option<Box<Wasi>>,
    /// What guest and host tell each other.
    pub(super) transcript: Transcript,
    /// What goes in and comes out. A call without one is not recorded.
    pub(super) tape: Option<Tape>,
}

/// Counts what the instances of one store hold, all together: a component may bring several memories.
pub(super) struct Usage {
    memory_limit: usize,
    memory: usize,
    table_elements: usize,
    /// The guest wanted more memory than it may have. If it goes on to fail, that is why.
    pub(super) memory_refused: bool,
}

/// The error by which a call ends that has used up its time.
#[derive(Debug)]
pub(super) struct OutOfTime {
    pub(super) after: Duration,
}

impl fmt::Display for OutOfTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "out of time after {} ms", self.after.as_millis())
    }
}

impl std::error::Error for OutOfTime {}

/// Whose call it is.
pub(super) struct Who {
    pub(super) plugin: Arc<str>,
    /// sha256 of the component, in hex.
    pub(super) digest: Arc<str>,
}

/// A fresh store: nothing survives from one call to the next.
pub(super) fn store(
    engine: &Engine,
    limits: &Limits,
    who: Who,
    call: &'static str,
    metrics: Metrics,
    session: impl FnOnce(Instant) -> Option<Session>,
) -> Store<GuestState> {
    let usage =
        Usage { memory_limit: limits.memory_bytes, memory: 0, table_elements: 0, memory_refused: false };
    let started = Instant::now();
    let deadline = started + limits.wall;
    let state = GuestState {
        plugin: who.plugin,
        call,
        started,
        ticks: 0,
        log_messages: 0,
        usage,
        session: session(deadline),
        deadline,
        metrics,
        digest: who.digest,
        seed: [0; 32],
        wasi: None,
        transcript: Transcript::live(),
        tape: None,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.usage);
    store.set_hostcall_fuel(limits.answer_bytes);
    store.set_max_component_handles(HANDLES);
    let (cpu, wall) = (limits.cpu, limits.wall);
    let mut first_tick = None::<CpuTime>;
    // The callback runs when the guest itself meets a tick. A guest that is not on the processor meets none, so ticks
    // count its time there, to within one. What the host works for it, it meets one tick for, however long that takes:
    // so the thread's own clock counts as well, from the first tick on.
    store.epoch_deadline_callback(move |mut context| {
        let state = context.data_mut();
        state.ticks = state.ticks.saturating_add(1);
        let after = state.started.elapsed();
        let worked = TICK + first_tick.get_or_insert_with(CpuTime::now).elapsed();
        if worked.max(TICK * state.ticks) >= cpu || after >= wall {
            return Err(wasmtime::Error::new(OutOfTime { after }));
        }
        Ok(UpdateDeadline::Continue(1))
    });
    store.set_epoch_deadline(1);
    store
}

impl ResourceLimiter for Usage {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory_limit {
            self.memory_refused = true;
            return Ok(false);
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.table_elements.saturating_add(desired.saturating_sub(current));
        if wanted > TABLE_ELEMENTS {
            return Ok(false);
        }
        self.table_elements = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

impl super::bindings::base::windlass::types::types::Host for GuestState {}

impl log::Host for GuestState {
    fn emit(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        self.log_messages = self.log_messages.saturating_add(1);
        if self.log_messages > LOG_MESSAGES {
            return;
        }
        let message = text::line(&self.scrubbed(&message), text::MESSAGE_BYTES);
        let fields = text::line(&self.scrubbed(&joined(&fields)), text::MESSAGE_BYTES);
        self.transcript.note("windlass:host/log@0.1.0#emit", &(level, &message, &fields), None::<&()>);
        if self.transcript.is_replay() {
            return;
        }
        let (plugin, call) = (&*self.plugin, self.call);
        match level {
            log::Level::Trace => tracing::trace!(plugin, call, fields, "[@plugin:{plugin}] {message}"),
            log::Level::Debug => tracing::debug!(plugin, call, fields, "[@plugin:{plugin}] {message}"),
            log::Level::Info => tracing::info!(plugin, call, fields, "[@plugin:{plugin}] {message}"),
            log::Level::Warn => tracing::warn!(plugin, call, fields, "[@plugin:{plugin}] {message}"),
            log::Level::Error => tracing::error!(plugin, call, fields, "[@plugin:{plugin}] {message}"),
        }
    }
}

fn joined(fields: &[(String, String)]) -> String {
    let mut all = String::new();
    for (name, value) in fields.iter().take(LOG_FIELDS) {
        if all.len() > text::MESSAGE_BYTES {
            break;
        }
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(name);
        all.push('=');
        all.push_str(value);
    }
    all
}

impl http::Host for GuestState {
    fn send(&mut self, request: http::Request) -> wasmtime::Result<Result<http::Response, http::Error>> {
        let noted = request.clone();
        let request = Request {
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            credential: request.credential,
            idempotency_key: request.idempotency_key,
            timeout: request.timeout_ms.map(|milliseconds| Duration::from_millis(milliseconds.into())),
        };
        let result = match &self.session {
            Some(session) => session.send_blocking(request),
            None => Err(Refusal::no_connection()),
        };
        self.metrics.record_request(&self.plugin, result.as_ref().err());
        let answer = answer_to(result);
        let in_time = self.check_time();
        self.transcript.note_request(&noted, in_time.is_ok().then_some(&answer));
        in_time.map(|()| answer)
    }
}

impl GuestState {
    /// Text that the guest wrote, without the call's secrets. It never had any; this is the second lock.
    pub(super) fn scrubbed(&self, text: &str) -> String {
        match &self.session {
            Some(session) => session.scrubbed(text),
            None => text.to_owned(),
        }
    }

    /// Ends a call whose time passed while it waited.
    fn check_time(&self) -> wasmtime::Result<()> {
        if Instant::now() < self.deadline {
            return Ok(());
        }
        Err(wasmtime::Error::new(OutOfTime { after: self.started.elapsed() }))
    }

    pub(super) fn wasi(&mut self) -> &mut Wasi {
        let Self { wasi, plugin, digest, seed, session, deadline, metrics, transcript, .. } = self;
        wasi.get_or_insert_with(|| {
            let door = Door {
                plugin: plugin.clone(),
                session: session.clone(),
                deadline: *deadline,
                metrics: metrics.clone(),
                transcript: transcript.clone(),
            };
            Box::new(Wasi::new(digest, seed, door))
        })
    }

    /// Says how many messages were not kept, and what the guest wrote to its standard streams.
    pub(super) fn close_log(&self) {
        if self.transcript.is_replay() {
            return;
        }
        if let Some(written) = self.wasi.as_ref().map(|wasi| wasi.written()).filter(|text| !text.is_empty()) {
            let (plugin, call) = (&*self.plugin, self.call);
            for line in written.lines().take(LOG_MESSAGES as usize) {
                let line = text::line(&self.scrubbed(line), text::MESSAGE_BYTES);
                tracing::info!(plugin, call, "[@plugin:{plugin}] {line}");
            }
        }
        if self.log_messages > LOG_MESSAGES {
            let (plugin, call) = (&*self.plugin, self.call);
            let dropped = self.log_messages - LOG_MESSAGES;
            tracing::warn!(
                plugin,
                call,
                "[@plugin:{plugin}] {dropped} more messages of this call were not kept"
            );
        }
    }
}
