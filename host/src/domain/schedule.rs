//! Deployments and builds at set times: cron expressions, read in a time zone.
//!
//! Where clocks jump: a fixed time that is skipped in spring (02:30) is due at the first moment after the gap, one that
//! comes twice in autumn is due once, the first time. Expressions with `*` or steps in hours or minutes follow the clock
//! that runs: they skip the gap and are due in both hours of an overlap.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Id, UnixMs, reference};
use crate::error::{Error, Result};

/// A due time that is found later than this was missed: no server ran.
pub const LATE_MS: UnixMs = 90_000;

/// What is done at its due times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleOf {
    /// It is deployed.
    Stack(Id),
    /// A build of it is started at its provider.
    Job(Id),
}

impl ScheduleOf {
    pub fn stack(&self) -> Option<&Id> {
        if let Self::Stack(id) = self { Some(id) } else { None }
    }

    pub fn job(&self) -> Option<&Id> {
        if let Self::Job(id) = self { Some(id) } else { None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub id: Id,
    pub seq: i64,
    pub of: ScheduleOf,
    pub plan: SchedulePlan,
    /// The due time that comes next; none while it is off, or if it never comes.
    pub next_at: Option<UnixMs>,
    /// The last due time that was acted on, and what came of it.
    pub last_due_at: Option<UnixMs>,
    pub last_result: Option<String>,
    pub last_deployment_id: Option<Id>,
    pub last_build_id: Option<Id>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a person writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchedulePlan {
    /// Unique within the stack or job.
    pub name: String,
    /// Minute, hour, day of month, month, day of week; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    pub cron: String,
    /// IANA name of the time zone, as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Branch, tag or commit (of a job: branch or tag); the repository's or job's own branch if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// What happens to due times at which no server ran.
    #[serde(default)]
    pub missed: Missed,
    #[serde(default = "yes")]
    pub enabled: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One run makes up for all of them, as soon as a server runs again.
    #[default]
    RunOnce,
    /// They are left out.
    Skip,
}

impl Missed {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunOnce => "run_once",
            Self::Skip => "skip",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::RunOnce, Self::Skip].into_iter().find(|missed| missed.as_str() == word)
    }
}

fn utc() -> String {
    "UTC".into()
}

fn yes() -> bool {
    true
}

impl SchedulePlan {
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(&self) -> Result<()> {
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ');
        if self.name.trim().is_empty() || self.name.len() > 100 || !self.name.chars().all(is_name) {
            return Err(Error::invalid(
                "name",
                "name has to be 1 to 100 bytes of letters, digits, blanks and -_.",
            ));
        }
        self.cron()?;
        self.zone()?;
        match &self.git_ref {
            Some(name) => {
                reference::check_name(name).map_err(|error| Error::invalid("gitRef", error.to_string()))
            }
            None => Ok(()),
        }
    }

    fn cron(&self) -> Result<Cron> {
        let refuse = |why: String| {
            Error::invalid(
                "cron",
                format!(
                    "cron `{}` is not understood: {why}; it has five parts, minute hour day month weekday, as in \
                     `30 4 * * mon-fri`",
                    self.cron.chars().take(100).collect::<String>().escape_debug()
                ),
            )
        };
        if self.cron.len() > 200 {
            return Err(refuse("it is longer than 200 bytes".into()));
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        parser.parse(&self.cron).map_err(|error| refuse(error.to_string()))
    }

    fn zone(&self) -> Result<Tz> {
        self.time_zone.parse().map_err(|_| {
            let near = |zone: &&Tz| (strsim::jaro_winkler(zone.name(), &self.time_zone) * 1e6) as u64;
            let nearest = chrono_tz::TZ_VARIANTS.iter().max_by_key(near).map_or("UTC", |zone| zone.name());
            let given: String = self.time_zone.chars().take(100).collect();
            Error::invalid(
                "timeZone",
                format!(
                    "time zone `{}` is not known; it has to be a name of the IANA database, like `{nearest}`",
                    given.escape_debug()
                ),
            )
        })
    }

    /// The first due time after a moment; `None` if there is none in the years to come.
    ///
    /// # Errors
    /// As [`SchedulePlan::check`].
    pub fn next_after(&self, after: UnixMs) -> Result<Option<UnixMs>> {
        let start = DateTime::<Utc>::from_timestamp_millis(after).unwrap_or_default();
        let start = start.with_timezone(&self.zone()?);
        let found = self.cron()?.find_next_occurrence(&start, false);
        Ok(found.ok().map(|at| at.timestamp_millis()))
    }

    /// The next due times in the schedule's own zone, RFC 3339 with its offset then.
    ///
    /// # Errors
    /// As [`SchedulePlan::check`].
    pub fn upcoming(&self, after: UnixMs, count: usize) -> Result<Vec<String>> {
        let (mut times, mut at, zone) = (Vec::new(), after, self.zone()?);
        while times.len() < count
            && let Some(next) = self.next_after(at)?
        {
            let time = DateTime::<Utc>::from_timestamp_millis(next).unwrap_or_default();
            times.push(time.with_timezone(&zone).to_rfc3339());
            at = next;
        }
        Ok(times)
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
