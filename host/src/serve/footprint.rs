//! What the server holds of the machine's memory, gives back, and keeps from others.

/// Buffers from this size on are the system's again as soon as they are free, in bytes.
const LARGE: i32 = 256 * 1024;

/// Has the allocator return large buffers at once. glibc otherwise takes the first one that is freed as a sign to keep all of
/// that size, in an arena for each few threads: some answers of 8 MiB, and tens of MiB stay taken (mallopt(3)).
pub fn return_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes two numbers, and may be made at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
    }
}

/// Gives the system what the allocator keeps of memory that is free: most of it is from the start, when many things are read and
/// few of them kept (malloc_trim(3)).
pub fn return_free_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes a number, and may be made at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has the system write no core file of this process and let nobody but root look into its memory: secrets are in it while
/// they are used (prctl(2), PR_SET_DUMPABLE). Where the system refuses, the server runs all the same and says so.
pub fn keep_no_core() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let none = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    let limited = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    let limited =
        limited.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(error) = limited {
        eprintln!("windlass: core files of this process cannot be turned off: {error}");
    }
}
