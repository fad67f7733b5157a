//! The four figures by which delivery is judged (DORA), from what the store has counted. Pure arithmetic.

use super::UnixMs;
use super::deployment::DeploymentStatus;

const DAY_MS: i64 = 86_400_000;
/// Days that the figures are about, the present one included.
pub const DAYS: usize = 30;

/// How many deployments ended with a status on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    /// Days since 1970, in UTC.
    pub day: i64,
    pub status: DeploymentStatus,
    pub count: i64,
}

/// A day of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Day {
    /// When it began, in UTC.
    pub begins_at: UnixMs,
    pub successful: i64,
    /// Failed or rolled back.
    pub unsuccessful: i64,
}

/// The figures of the last [`DAYS`] days. What was cancelled counts in none of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Oldest first.
    pub days: Vec<Day>,
    pub successful: i64,
    pub unsuccessful: i64,
    /// Successful deployments a day.
    pub per_day: f64,
    /// In percent of those that ended; `None` before the first one has.
    pub success_percent: Option<f64>,
    /// Median from the push, or whatever asked for a deployment, until it was in service.
    pub lead_ms: Option<i64>,
    /// Median from the deployment that went wrong until the stack's next successful one.
    pub restore_ms: Option<i64>,
}

/// Where the time that the figures are about begins: at midnight, UTC.
pub fn since(now: UnixMs) -> UnixMs {
    let days = i64::try_from(DAYS).unwrap_or_default();
    (now.div_euclid(DAY_MS) - days + 1) * DAY_MS
}

impl Figures {
    /// `leads` and `restores` are durations in ms, in any order.
    pub fn of(counts: &[DayCount], leads: Vec<i64>, restores: Vec<i64>, now: UnixMs) -> Self {
        let first = since(now).div_euclid(DAY_MS);
        let mut days: Vec<Day> =
            (first..).take(DAYS).map(|day| Day { begins_at: day * DAY_MS, ..Day::default() }).collect();
        for row in counts {
            let day = usize::try_from(row.day - first).ok().and_then(|at| days.get_mut(at));
            match (day, row.status) {
                (Some(day), DeploymentStatus::Successful) => day.successful += row.count,
                (Some(day), DeploymentStatus::Failed | DeploymentStatus::RolledBack) => {
                    day.unsuccessful += row.count;
                }
                _ => {}
            }
        }
        let successful: i64 = days.iter().map(|day| day.successful).sum();
        let unsuccessful: i64 = days.iter().map(|day| day.unsuccessful).sum();
        let ended = successful + unsuccessful;
        Self {
            successful,
            unsuccessful,
            per_day: successful as f64 / DAYS as f64,
            success_percent: (ended > 0).then(|| successful as f64 * 100.0 / ended as f64),
            lead_ms: median(leads),
            restore_ms: median(restores),
            days,
        }
    }
}

/// Of an even number the lower of the two in the middle, so that it is one that was measured.
fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = 1_000 * DAY_MS + 5;

    fn count(day: i64, status: DeploymentStatus, count: i64) -> DayCount {
        DayCount { day, status, count }
    }

    #[test]
    fn the_days_end_with_today_and_what_is_older_does_not_count() {
        let counts = [
            count(1_000, DeploymentStatus::Successful, 2),
            count(971, DeploymentStatus::Failed, 1),
            count(970, DeploymentStatus::Failed, 7),
        ];
        let figures = Figures::of(&counts, Vec::new(), Vec::new(), NOW);
        assert_eq!(figures.days.len(), DAYS);
        assert_eq!(figures.days.last().map(|day| (day.begins_at, day.successful)), Some((1_000 * DAY_MS, 2)));
        assert_eq!(figures.days.first().map(|day| day.unsuccessful), Some(1));
        assert_eq!((figures.successful, figures.unsuccessful), (2, 1));
        assert_eq!(since(NOW), 971 * DAY_MS);
    }

    #[test]
    fn what_was_cancelled_is_neither_success_nor_failure() {
        let counts = [
            count(999, DeploymentStatus::Successful, 3),
            count(999, DeploymentStatus::RolledBack, 1),
            count(999, DeploymentStatus::Cancelled, 50),
        ];
        let figures = Figures::of(&counts, Vec::new(), Vec::new(), NOW);
        assert_eq!(figures.success_percent, Some(75.0));
        assert_eq!(figures.per_day, 0.1);
        assert_eq!(Figures::of(&[], Vec::new(), Vec::new(), NOW).success_percent, None);
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![9]), Some(9));
        assert_eq!(median(vec![9, 1]), Some(1));
        assert_eq!(median(vec![9, 1, 4]), Some(4));
    }
}
