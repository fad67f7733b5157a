//! What the server holds of the machine's memory, and gives back.

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
