//! What the program holds of the machine's memory, and gives back.
//!
//! Whatever code runs once stays mapped, with 64 KiB around it, and starting runs a good deal of it: two thirds of the
//! server's resident memory would be code that hardly ever runs again. Its pages go back to the system now and then;
//! what still runs is mapped again from the page cache within microseconds.

use std::ffi::c_void;
use std::io;

use rustix::mm::{Advice, madvise};

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

/// Unmaps the code of this program until it runs again; answers how many bytes of address space that was.
///
/// # Errors
/// If the system does not tell what is mapped, or refuses.
pub fn give_back_code() -> io::Result<usize> {
    let own = std::fs::read_link("/proc/self/exe")?;
    let own = own.to_string_lossy();
    let mut given = 0;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let Some((start, len)) = code(line, &own) else { continue };
        let start = std::ptr::with_exposed_provenance_mut::<c_void>(start);
        // SAFETY: the range is a mapping of a file that is only read and executed, so it has no content of its own: the
        // next access brings the same bytes back.
        unsafe { madvise(start, len, Advice::LinuxDontNeed) }?;
        given += len;
    }
    Ok(given)
}

/// Start and length of a line of `/proc/PID/maps` (see proc(5)), if it is code of the program.
fn code(line: &str, program: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, permissions) = (words.next()?, words.next()?);
    // `p`: what the file says, and not what others write there. Data is never both executable and not writable.
    if permissions != "r-xp" || !line.ends_with(program) {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_code_is_given_back() {
        let program = "/usr/bin/windlass";
        let line =
            |permissions: &str, path: &str| format!("1000-3000 {permissions} 00f4f000 fe:00 17    {path}");
        assert_eq!(code(&line("r-xp", program), program), Some((0x1000, 0x2000)));
        for (permissions, path) in
            [("r--p", program), ("rw-p", program), ("rwxp", program), ("r-xp", "/lib/libc.so")]
        {
            assert_eq!(code(&line(permissions, path), program), None, "{permissions} {path}");
        }
    }

    #[test]
    fn the_program_runs_on_without_its_code_in_memory() {
        assert!(give_back_code().expect("the system tells") > 0);
        assert!(give_back_code().expect("the system tells") > 0);
    }
}
