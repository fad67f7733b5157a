//! Places where a debug build can be made to die, for the crash harness. A release build has none.

/// One place before or after an effect. With `WINDLASS_CRASH_AT=<n>` the n-th place that is reached ends the process with
/// SIGKILL, as a power cut would: nothing is flushed, no destructor runs.
#[cfg(debug_assertions)]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static AT: OnceLock<Option<u64>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let Some(at) = AT.get_or_init(|| std::env::var("WINDLASS_CRASH_AT").ok()?.parse().ok()) else {
        return;
    };
    let n = REACHED.fetch_add(1, Ordering::SeqCst) + 1;
    eprintln!("crash point {n}: {name}");
    if n == *at {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

#[cfg(not(debug_assertions))]
pub fn point(_name: &str) {}
