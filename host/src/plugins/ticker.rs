//! The clock of the guests: one thread that advances the engine's epoch every 10 ms while calls are running.
//!
//! It sleeps while nothing runs, so an idle server is not woken a hundred times a second.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

pub(super) const TICK: Duration = Duration::from_millis(10);

pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running_calls: usize,
    /// The thread sleeps until a call begins. While it ticks, or has yet to see that nothing runs any more, nobody has
    /// to wake it, which would cost each call more than all its other bookkeeping.
    is_asleep: bool,
    stopped: bool,
}

/// Keeps the clock going while a call runs.
pub(super) struct Running(Arc<Shared>);

impl Ticker {
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("plugin-epoch".into())
            .spawn(move || tick_until_stopped(&of_thread, &engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn running(&self) -> Running {
        let mut state = self.shared.lock();
        state.running_calls += 1;
        // Only the thread itself says that it is awake: what woke it may be over before it looks, and then it sleeps on.
        if state.is_asleep {
            self.shared.changed.notify_all();
        }
        Running(self.shared.clone())
    }
}

fn tick_until_stopped(shared: &Shared, engine: &Engine) {
    let mut state = shared.lock();
    loop {
        state.is_asleep = state.running_calls == 0;
        state = shared
            .changed
            .wait_while(state, |state| state.running_calls == 0 && !state.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_asleep = false;
        state = shared
            .changed
            .wait_timeout_while(state, TICK, |state| !state.stopped)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        if state.stopped {
            return;
        }
        engine.increment_epoch();
    }
}

impl Shared {
    /// The state is a few plain values that are never half changed, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running_calls -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then it is gone as well.
            let _ = thread.join();
        }
    }
}
