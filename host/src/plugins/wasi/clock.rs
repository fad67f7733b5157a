//! A clock that nobody waits for: it begins at the same moment in each call, moves a little when it is read, and jumps
//! when it is slept on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wasmtime::component::{HasData, Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Where each call's wall clock begins: 2026-01-01T00:00:00Z, in seconds since 1970.
const BEGINNING: u64 = 1_767_225_600;
/// A guest that waits by reading the clock over and over comes to an end.
const READING: u64 = 1_000;

/// Nanoseconds since the call began, as the guest has it.
#[derive(Clone, Default)]
pub(super) struct Clock(Arc<Mutex<Time>>);

#[derive(Default)]
struct Time {
    now: u64,
    /// Until when those sleep that are polled right now.
    sleepers: Vec<u64>,
}

impl Clock {
    fn time(&self) -> MutexGuard<'_, Time> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> u64 {
        let mut time = self.time();
        time.now = time.now.saturating_add(READING);
        time.now
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        READING
    }

    fn now(&self) -> u64 {
        self.read()
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(READING)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(BEGINNING) + Duration::from_nanos(self.read())
    }
}

/// One `pollable` of the clock.
struct Sleep {
    clock: Clock,
    until: u64,
}

/// Takes a sleeper from the list, also when the poll ends without it.
struct Asleep<'a> {
    clock: &'a Clock,
    until: u64,
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let mut time = self.clock.time();
        if let Some(at) = time.sleepers.iter().position(|until| *until == self.until) {
            time.sleepers.swap_remove(at);
        }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Sleep {
    /// When all that a guest polls sleeps, nothing else can happen before the first one wakes: the clock jumps there.
    async fn ready(&mut self) {
        if self.clock.time().now >= self.until {
            return;
        }
        self.clock.time().sleepers.push(self.until);
        let _asleep = Asleep { clock: &self.clock, until: self.until };
        loop {
            // Everything else that is polled gets its turn first; what is ready then ends the poll.
            tokio::task::yield_now().await;
            let mut time = self.clock.time();
            let first = time.sleepers.iter().copied().min().unwrap_or(self.until);
            time.now = time.now.max(first);
            if time.now >= self.until {
                return;
            }
        }
    }
}

/// `wasi:clocks/monotonic-clock` of a guest.
pub(super) struct Clocks;

impl HasData for Clocks {
    type Data<'a> = ClockView<'a>;
}

pub(super) struct ClockView<'a> {
    pub(super) clock: &'a Clock,
    pub(super) table: &'a mut ResourceTable,
}

impl monotonic_clock::Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.read())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(READING)
    }

    fn subscribe_instant(&mut self, until: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let sleep = self.table.push(Sleep { clock: self.clock.clone(), until })?;
        subscribe(self.table, sleep)
    }

    fn subscribe_duration(&mut self, nanoseconds: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let until = self.clock.time().now.saturating_add(nanoseconds);
        self.subscribe_instant(until)
    }
}
