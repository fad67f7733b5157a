//! What the router counts: requests by release and status, and how long they took, in total and over the last seconds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// Seconds that are remembered one by one.
pub const LONGEST_WINDOW: usize = 900;

/// Buckets of latencies: 16 to each power of two of microseconds, so a quantile is at most 3 % off. The last is for all
/// above 71 minutes.
const BUCKETS: usize = 480;
/// 1xx to 5xx.
const CLASSES: usize = 5;
/// What is told apart of the latencies since the router began, in milliseconds; one more bucket has no bound.
pub const BOUNDS_MS: [u32; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// One release of one route. Counting takes a few atomic additions.
#[derive(Debug)]
pub struct ReleaseStats {
    classes: [AtomicU64; CLASSES],
    broken: AtomicU64,
    pub in_flight: AtomicU64,
    latencies: Box<[AtomicU64]>,
    took_us: AtomicU64,
    seconds: Mutex<Seconds>,
}

#[derive(Debug)]
struct Seconds {
    /// The counts at the end of the last second.
    last: Counts,
    past: VecDeque<Second>,
}

/// What happened in one second; few buckets are hit in one.
#[derive(Debug)]
struct Second {
    classes: [u64; CLASSES],
    broken: u64,
    latencies: Vec<(u16, u64)>,
}

#[derive(Debug, Clone)]
struct Counts {
    classes: [u64; CLASSES],
    broken: u64,
    latencies: Vec<u64>,
}

/// Requests since the router counts this release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    pub requests: u64,
    /// Answers with 1xx, 2xx, 3xx, 4xx and 5xx. What the router answered in place of the release is among the 5xx.
    pub status: [u64; CLASSES],
    /// Answers that the release began and did not finish.
    pub broken: u64,
    /// Absent of a router of an older version.
    #[serde(default)]
    pub latencies: Latencies,
}

/// How long requests took until the head of the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latencies {
    /// Of all together, in microseconds.
    pub sum_us: u64,
    /// Up to each of the [`BOUNDS_MS`], without those up to the one before, and all above the last.
    pub counts: [u64; BOUNDS_MS.len() + 1],
}

/// The last seconds of a release. Latencies are from the request to the head of the answer, in milliseconds; 0 if there was
/// no request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    pub seconds: u64,
    pub requests: u64,
    pub errors_5xx: u64,
    pub broken: u64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

impl Default for ReleaseStats {
    fn default() -> Self {
        Self {
            classes: Default::default(),
            broken: AtomicU64::default(),
            in_flight: AtomicU64::default(),
            latencies: (0..BUCKETS).map(|_| AtomicU64::default()).collect(),
            took_us: AtomicU64::default(),
            seconds: Mutex::new(Seconds { last: Counts::zero(), past: VecDeque::new() }),
        }
    }
}

impl Counts {
    fn zero() -> Self {
        Self { classes: [0; CLASSES], broken: 0, latencies: vec![0; BUCKETS] }
    }

    fn add(&mut self, second: &Second) {
        self.classes.iter_mut().zip(second.classes).for_each(|(sum, count)| *sum += count);
        self.broken += second.broken;
        for (bucket, count) in &second.latencies {
            self.latencies[usize::from(*bucket)] += count;
        }
    }

    fn since(&self, before: &Self) -> Second {
        let mut classes = self.classes;
        classes.iter_mut().zip(before.classes).for_each(|(now, then)| *now -= then);
        let grown = self.latencies.iter().zip(&before.latencies).enumerate();
        let latencies = grown
            .filter(|(_, (now, then))| now > then)
            .filter_map(|(at, (now, then))| Some((u16::try_from(at).ok()?, now - then)))
            .collect();
        Second { classes, broken: self.broken - before.broken, latencies }
    }

    fn quantile_ms(&self, quantile: f64) -> f64 {
        let all: u64 = self.latencies.iter().sum();
        // The rank of a nearest-rank quantile; counts are far below what a float holds exactly.
        let rank = ((all as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        let at = self.latencies.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        at.map_or(0.0, |at| middle_us(at) / 1000.0)
    }
}

impl ReleaseStats {
    /// An answer's head went out after so many microseconds.
    pub fn answered(&self, status: u16, microseconds: u64) {
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.latencies[bucket(microseconds)].fetch_add(1, Ordering::Relaxed);
        self.took_us.fetch_add(microseconds, Ordering::Relaxed);
    }

    pub fn broke(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }

    /// To be called once a second.
    pub fn tick(&self) {
        let now = self.counts();
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let second = now.since(&seconds.last);
        seconds.last = now;
        seconds.past.push_back(second);
        if seconds.past.len() > LONGEST_WINDOW {
            seconds.past.pop_front();
        }
    }

    pub fn totals(&self) -> Totals {
        let counts = self.counts();
        Totals {
            requests: counts.classes.iter().sum(),
            status: counts.classes,
            broken: counts.broken,
            latencies: Latencies {
                sum_us: self.took_us.load(Ordering::Relaxed),
                counts: within_bounds(&counts.latencies),
            },
        }
    }

    /// The last `seconds` full seconds, and what has happened since.
    pub fn window(&self, seconds: usize) -> Window {
        let mut sum = Counts::zero();
        let kept = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        sum.add(&self.counts().since(&kept.last));
        kept.past.iter().rev().take(seconds).for_each(|second| sum.add(second));
        drop(kept);
        Window {
            seconds: seconds as u64,
            requests: sum.classes.iter().sum(),
            errors_5xx: sum.classes[CLASSES - 1],
            broken: sum.broken,
            p50_ms: sum.quantile_ms(0.50),
            p95_ms: sum.quantile_ms(0.95),
            p99_ms: sum.quantile_ms(0.99),
        }
    }

    fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            classes: std::array::from_fn(|at| read(&self.classes[at])),
            broken: read(&self.broken),
            latencies: self.latencies.iter().map(read).collect(),
        }
    }
}

fn bucket(microseconds: u64) -> usize {
    if microseconds < 16 {
        return microseconds as usize;
    }
    let power = microseconds.ilog2() as usize;
    let part = (microseconds >> (power - 4)) as usize & 15;
    ((power - 3) * 16 + part).min(BUCKETS - 1)
}

/// What is in a few wide buckets of what is in many narrow ones.
fn within_bounds(narrow: &[u64]) -> [u64; BOUNDS_MS.len() + 1] {
    let mut wide = [0; BOUNDS_MS.len() + 1];
    for (at, count) in narrow.iter().enumerate() {
        let is_within = |bound: &u32| middle_us(at) <= f64::from(*bound) * 1000.0;
        wide[BOUNDS_MS.iter().position(is_within).unwrap_or(BOUNDS_MS.len())] += count;
    }
    wide
}

/// The middle of a bucket in microseconds.
fn middle_us(bucket: usize) -> f64 {
    if bucket < 16 {
        return bucket as f64;
    }
    let (power, part) = (bucket / 16 + 3, bucket % 16);
    let width = (1_u64 << (power - 4)) as f64;
    (16 + part) as f64 * width + width / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_in_a_bucket_whose_middle_is_near() {
        for microseconds in (0..40).map(|power| 3_u64.pow(power) % 4_000_000_000).chain([15, 16, 17, 31, 32])
        {
            let (middle, real) = (middle_us(bucket(microseconds)), microseconds as f64);
            assert!((middle - real).abs() <= real * 0.032 + 0.51, "{microseconds}: {middle}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_window_forgets_what_was_before_it() {
        let stats = ReleaseStats::default();
        for _ in 0..100 {
            stats.answered(500, 90_000);
        }
        stats.tick();
        for n in 1..=100 {
            stats.answered(200, n * 1000);
        }
        stats.tick();
        stats.answered(503, 1000);
        let window = stats.window(1);
        assert_eq!((window.requests, window.errors_5xx), (101, 1));
        assert!((window.p50_ms - 50.0).abs() < 2.0, "{window:?}");
        assert!((window.p95_ms - 95.0).abs() < 4.0, "{window:?}");
        let all = stats.window(2);
        assert_eq!((all.requests, all.errors_5xx), (201, 101));
        assert_eq!(stats.totals().status, [0, 100, 0, 0, 101]);
    }

    #[test]
    fn what_was_ever_answered_is_counted_by_how_long_it_took() {
        let stats = ReleaseStats::default();
        for microseconds in [100, 4_000, 7_000, 90_000, 20_000_000] {
            stats.answered(200, microseconds);
        }
        stats.tick();
        let told = stats.totals().latencies;
        assert_eq!(told.counts, [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(told.sum_us, 20_101_100);
        let old: Totals =
            serde_json::from_str(r#"{"requests":0,"status":[0,0,0,0,0],"broken":0}"#).expect("it is read");
        assert_eq!(old, Totals::default());
    }

    #[test]
    fn without_requests_there_is_no_latency() {
        let window = ReleaseStats::default().window(60);
        assert_eq!((window.requests, window.p99_ms), (0, 0.0));
    }
}
