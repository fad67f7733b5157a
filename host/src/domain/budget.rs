//! A rolling budget: what was used in the last minute, second by second. Pure: the caller has the clock.

use super::UnixMs;

/// Seconds of the window.
pub const WINDOW_SECS: i64 = 60;
const BUCKETS: usize = WINDOW_SECS as usize;

/// Microseconds of some resource that may be used in any [`WINDOW_SECS`]. What is running when it is used up may end; the
/// next call has to wait.
#[derive(Debug, Clone)]
pub struct Budget {
    limit_us: u64,
    used_us: u64,
    buckets: [u64; BUCKETS],
    /// The second that the newest bucket is for.
    newest: i64,
}

impl Budget {
    pub fn new(limit_us: u64) -> Self {
        Self { limit_us, used_us: 0, buckets: [0; BUCKETS], newest: i64::MIN }
    }

    /// Writes down what was used. A clock that goes back charges the newest second.
    pub fn charge(&mut self, now: UnixMs, used_us: u64) {
        self.forget(now);
        if let Some(bucket) = self.buckets.get_mut(slot(self.newest)) {
            *bucket = bucket.saturating_add(used_us);
            self.used_us = self.used_us.saturating_add(used_us);
        }
    }

    /// Microseconds used in the window that ends now.
    pub fn used_us(&mut self, now: UnixMs) -> u64 {
        self.forget(now);
        self.used_us
    }

    /// When enough of it will be forgotten; `None` if there is something left now.
    pub fn free_at(&mut self, now: UnixMs) -> Option<UnixMs> {
        self.forget(now);
        let mut left = self.used_us;
        if left < self.limit_us {
            return None;
        }
        for second in self.newest - WINDOW_SECS + 1..=self.newest {
            left = left.saturating_sub(self.buckets.get(slot(second)).copied().unwrap_or(0));
            if left < self.limit_us {
                return Some((second + WINDOW_SECS) * 1000);
            }
        }
        // A limit of nothing is never free.
        Some((self.newest + WINDOW_SECS) * 1000)
    }

    /// Empties the buckets of the seconds that have passed since the newest one.
    fn forget(&mut self, now: UnixMs) {
        let second = now.div_euclid(1000);
        if second <= self.newest {
            return;
        }
        let first = self.newest.saturating_add(1).max(second - WINDOW_SECS + 1);
        for passed in first..=second {
            if let Some(bucket) = self.buckets.get_mut(slot(passed)) {
                self.used_us = self.used_us.saturating_sub(*bucket);
                *bucket = 0;
            }
        }
        self.newest = second;
    }
}

fn slot(second: i64) -> usize {
    usize::try_from(second.rem_euclid(WINDOW_SECS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMs = 1_700_000_000_000;

    #[test]
    fn what_is_left_may_be_used_and_what_is_used_up_names_its_end() {
        let mut budget = Budget::new(100);
        budget.charge(START, 60);
        assert_eq!(budget.free_at(START + 5_000), None);
        budget.charge(START + 5_000, 60);
        assert_eq!(budget.free_at(START + 5_500), Some(START + 60_000), "the first 60 go first");
        assert_eq!(budget.free_at(START + 59_999), Some(START + 60_000));
        assert_eq!(budget.free_at(START + 60_000), None);
    }

    #[test]
    fn it_names_the_second_that_frees_enough() {
        let mut budget = Budget::new(10);
        budget.charge(START, 1);
        budget.charge(START + 1_000, 20);
        assert_eq!(budget.free_at(START + 2_000), Some(START + 61_000));
    }

    #[test]
    fn after_a_minute_everything_is_forgotten() {
        let mut budget = Budget::new(10);
        budget.charge(START, 1_000);
        assert_eq!(budget.used_us(START + 59_000), 1_000);
        assert_eq!(budget.used_us(START + 60_000), 0);
        budget.charge(START + 600_000, 3);
        assert_eq!(budget.used_us(START + 600_000), 3);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut budget = Budget::new(10);
        budget.charge(START, 10);
        budget.charge(START - 30_000, 5);
        assert_eq!(budget.used_us(START - 30_000), 15);
        assert_eq!(budget.free_at(START - 30_000), Some(START + 60_000));
    }

    #[test]
    fn a_budget_of_nothing_is_never_free() {
        assert_eq!(Budget::new(0).free_at(START), Some(START + 60_000));
    }
}
