//! What the numbers depend on: processors, how busy they are, and how fast the disk confirms a write.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::report::{Report, median};

/// Writes of one probe of the disk.
const PROBES: usize = 100;

pub fn describe(report: &mut Report) {
    report.section("Machine");
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches([' ', '\t', ':']);
    report.note(&format!("{cpus} processors {model}; load average {}", load()));
    report.note(&format!("disk: {}", disk(&std::env::temp_dir())));
    if cfg!(debug_assertions) {
        report
            .note("this benchmark was compiled without optimisation: plugin calls are slower than they are");
    }
}

/// The load average of the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_string()
}

/// How long `fdatasync` takes after 4 KiB were appended to a file in `folder`.
pub fn disk(folder: &Path) -> String {
    let mut file = tempfile::tempfile_in(folder).unwrap();
    let block = [7_u8; 4096];
    let mut took: Vec<f64> = (0..PROBES)
        .map(|_| {
            file.write_all(&block).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    took.sort_by(f64::total_cmp);
    format!("fdatasync p50 {:.0} µs, p99 {:.0} µs", median(&took), took[PROBES * 99 / 100])
}

/// A line of `/proc/PID/status` in MB, as people count memory.
pub fn status_mb(pid: u32, key: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    let kib: f64 = line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    kib * 1024.0 / 1e6
}

/// Time on the processor that a process has used. The kernel counts it in hundredths of a second.
pub fn cpu_time(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
