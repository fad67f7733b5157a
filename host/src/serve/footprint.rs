//! What the server holds of the machine's memory, gives back, and keeps from others.

use std::ops::Range;

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

/// Gives the system what the start needed and nothing after it does: memory that the allocator keeps though it is free, for many
/// things are read then and few of them kept (malloc_trim(3)), and the pages of the program, its libraries and the plugins'
/// code, which is at the addresses `code` and stays there during the call. The kernel maps 64 KiB around each page that is
/// touched, and a start goes through much of them once; the pages stay in the system's file cache, where whoever needs one finds
/// it (madvise(2), MADV_DONTNEED).
pub fn return_memory_of_the_start(code: &[Range<usize>]) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes a number, and may be made at any time.
    unsafe {
        libc::malloc_trim(0);
    }
    #[cfg(target_os = "linux")]
    if let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") {
        let own = return_memory_of_the_start as *const () as usize;
        for range in clean_pages(&smaps, own, code) {
            let start = std::ptr::with_exposed_provenance_mut(range.start);
            // SAFETY: the range is of a file that stays mapped (the program and its libraries until the end, plugins by the
            // caller's promise), cannot be written to, and was not: each of its pages is read again as it was.
            let dropped =
                unsafe { rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed) };
            if let Err(error) = dropped {
                tracing::debug!(%error, "[@server:memory] pages of a file stay");
            }
        }
    }
}

/// Where the program's file (it has the code at `own`), its libraries and `code` can neither be written to nor were
/// (proc_pid_smaps(5)): what the loader changed counts as anonymous.
#[cfg(target_os = "linux")]
fn clean_pages(smaps: &str, own: usize, code: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut mappings = Vec::new();
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
        if let Some((start, end)) = first.split_once('-')
            && let (Ok(start), Ok(end)) = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
        {
            // After the place in the file, its device and its number; what has none is no file.
            let path = line.splitn(6, ' ').nth(5).map(str::trim_start).filter(|path| path.starts_with('/'));
            mappings.push((start..end, path, !second.contains('w')));
        } else if first == "Anonymous:"
            && let Some((_, _, clean)) = mappings.last_mut()
        {
            *clean &= second == "0";
        }
    }
    let program = mappings.iter().find(|(range, ..)| range.contains(&own)).and_then(|(_, path, _)| *path);
    let is_library = |path: &str| path.ends_with(".so") || path.contains(".so.");
    let is_code = |range: &Range<usize>| code.iter().any(|code| code.contains(&range.start));
    let stays =
        |range: &Range<usize>, path: &str| Some(path) == program || is_library(path) || is_code(range);
    mappings.retain(|(range, path, clean)| *clean && path.is_some_and(|path| stays(range, path)));
    mappings.into_iter().map(|(range, ..)| range).collect()
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::slice;

    use super::*;

    const SMAPS: &str = "\
55d0-55e0 r--p 00000000 fd:01 77 /usr/bin/windlass
Rss: 64 kB
Anonymous: 0 kB
55e0-55f0 r-xp 00001000 fd:01 77 /usr/bin/windlass
Anonymous: 0 kB
55f0-5600 r--p 00002000 fd:01 77 /usr/bin/windlass
Anonymous: 4 kB
5600-5610 rw-p 00003000 fd:01 77 /usr/bin/windlass
Anonymous: 0 kB
5610-5620 rw-p 00000000 00:00 0 [heap]
Anonymous: 8 kB
7f00-7f10 r-xp 00000000 fd:01 78 /usr/lib/libc.so.6
Anonymous: 0 kB
7f20-7f30 r--p 00000000 fd:01 79 /data/plugins/code/one.cwasm
Anonymous: 0 kB
7f30-7f40 r-xp 00001000 fd:01 79 /data/plugins/code/one.cwasm
Anonymous: 0 kB
7f50-7f60 r-xp 00000000 fd:01 80 /data/plugins/code/unloaded.cwasm
Anonymous: 0 kB
";

    #[test]
    fn only_pages_that_stay_mapped_and_that_nobody_wrote_are_given_back() {
        let library = 0x7f00..0x7f10;
        let found = clean_pages(SMAPS, 0x55e8, slice::from_ref(&(0x7f20..0x7f38)));
        let wanted = [0x55d0..0x55e0, 0x55e0..0x55f0, library.clone(), 0x7f20..0x7f30, 0x7f30..0x7f40];
        assert_eq!(found, wanted);
        assert_eq!(
            clean_pages(SMAPS, 0x5618, &[]),
            slice::from_ref(&library),
            "the program has no file there"
        );
        assert_eq!(clean_pages(SMAPS, 0x9000, &[]), [library], "nothing is there");
    }

    #[test]
    fn the_program_runs_on_without_its_pages() {
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("this is Linux");
        let here = clean_pages as *const () as usize;
        assert!(clean_pages(&smaps, here, &[]).iter().any(|range| range.contains(&here)));
        return_memory_of_the_start(&[]);
        let sum: usize = (0..1_000).map(|number: usize| number.to_string().len()).sum();
        assert_eq!(sum, 2_890);
    }
}
