//! Calling a function of the contract with a tape running: the same for every kind of plugin.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, InstancePre, Lift, Lower};

use super::guest::GuestState;
use super::recorder::Limited;

/// Bytes kept of a call's input and of its output each. A larger value is kept in part, and marked.
const RECORDED_BYTES: usize = 512 << 10;

/// A function of the contract.
#[derive(Clone, Copy)]
pub(super) struct Function {
    /// With its version: `windlass:deployment-strategy/strategy@0.1.0`.
    pub(super) interface: &'static str,
    pub(super) name: &'static str,
}

/// What is kept of a call while it runs.
pub(super) struct Tape {
    pub(super) interface: &'static str,
    pub(super) input: String,
    pub(super) output: Option<String>,
    pub(super) cut: bool,
}

impl Function {
    /// Which part of the contract it is of, which is the kind of the plugin that is called as one: `ci-provider`. What every
    /// plugin has to have is of `plugin`.
    pub(super) fn kind(self) -> &'static str {
        let package = self.interface.split('/').next().unwrap_or_default();
        package.strip_prefix("windlass:").unwrap_or(package)
    }

    /// The input is noted before anything can go wrong.
    pub(super) fn tape(self, params: &impl Serialize) -> Tape {
        let (input, cut) = written(params);
        Tape { interface: self.interface, input, output: None, cut }
    }

    /// Instantiates and calls, and notes the answer where there is a tape.
    pub(super) fn run<P, R>(
        self,
        store: &mut Store<GuestState>,
        pre: &InstancePre<GuestState>,
        params: P,
    ) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Serialize + Send + Sync + 'static,
        R: Lift + Serialize + Send + Sync + 'static,
    {
        let component = pre.component();
        let index = component
            .get_export_index(None, self.interface)
            .and_then(|interface| component.get_export_index(Some(&interface), self.name))
            .ok_or_else(|| {
                wasmtime::Error::msg(format!("it does not export `{}` of `{}`", self.name, self.interface))
            })?;
        let instance = pre.instantiate(&mut *store)?;
        let function = instance.get_typed_func::<P, (R,)>(&mut *store, &index)?;
        let (answer,) = function.call(&mut *store, params)?;
        if let Some(tape) = &mut store.data_mut().tape {
            let (output, cut) = written(&answer);
            tape.output = Some(output);
            tape.cut |= cut;
        }
        Ok(answer)
    }
}

/// What WASI's random numbers are made up from, together with the component: the same in a replay.
pub(super) fn seed(function: &str, input: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(function);
    hash.update([0]);
    hash.update(input);
    hash.finalize().into()
}

fn written(value: &impl Serialize) -> (String, bool) {
    let mut json = Limited::new(RECORDED_BYTES);
    json.write(value);
    json.finish()
}

/// When a call began, on each of the clocks.
pub(super) struct Clock {
    pub(super) started: Instant,
    pub(super) unix_ms: i64,
    cpu: CpuTime,
}

/// A moment on the clock of this thread, which only runs while the thread is on a processor.
#[derive(Clone, Copy)]
pub(super) struct CpuTime(rustix::time::Timespec);

impl CpuTime {
    pub(super) fn now() -> Self {
        Self(clock_gettime(ClockId::ThreadCPUTime))
    }

    pub(super) fn elapsed(self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        let nanoseconds = (now.tv_sec - self.0.tv_sec) * 1_000_000_000 + (now.tv_nsec - self.0.tv_nsec);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or_default())
    }
}

impl Clock {
    pub(super) fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            started: Instant::now(),
            unix_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            cpu: CpuTime::now(),
        }
    }

    /// A call never leaves its thread, so the thread's time is the call's.
    pub(super) fn cpu(&self) -> Duration {
        self.cpu.elapsed()
    }
}
