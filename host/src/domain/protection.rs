//! What a stack asks for before anything new may come into service: people who agree, a time, and no freeze.

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, Utc, Weekday};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::UnixMs;
use crate::error::{Error, Result};

const MAX_APPROVALS: u32 = 10;
const MAX_WINDOWS: usize = 20;
const MAX_REASON: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protection {
    /// People who have to approve a deployment before its rollout begins, 0 to 10.
    #[serde(default)]
    pub approvals: u32,
    /// Whether whoever asked for a deployment may approve it, and answer what its rollout asks.
    #[serde(default)]
    pub self_approval: bool,
    /// When rollouts may begin; at any time if there are none.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Why nothing may be rolled out until further notice; absent if there is no freeze.
    #[serde(default)]
    pub freeze: Option<String>,
    /// Whether all this holds for the previews of the stack's pull requests as well.
    #[serde(default)]
    pub previews: bool,
}

/// A time of the day, in UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`; every day if left out.
    #[serde(default)]
    pub days: Vec<Day>,
    /// `HH:MM`.
    pub from: String,
    /// `HH:MM`; before `from`, it is on the day after.
    pub until: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn parse(text: &str) -> Option<Self> {
        Some(text.parse::<Weekday>().ok()?.into())
    }
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Self {
        match day {
            Weekday::Mon => Self::Mon,
            Weekday::Tue => Self::Tue,
            Weekday::Wed => Self::Wed,
            Weekday::Thu => Self::Thu,
            Weekday::Fri => Self::Fri,
            Weekday::Sat => Self::Sat,
            Weekday::Sun => Self::Sun,
        }
    }
}

impl Protection {
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(&self) -> Result<()> {
        if self.approvals > MAX_APPROVALS {
            return Err(Error::invalid(
                "approvals",
                format!("at most {MAX_APPROVALS} people can be asked for"),
            ));
        }
        if self.windows.len() > MAX_WINDOWS {
            return Err(Error::invalid("windows", format!("a stack has at most {MAX_WINDOWS} windows")));
        }
        for window in &self.windows {
            window.times()?;
        }
        match &self.freeze {
            Some(reason) if reason.trim().is_empty() || reason.chars().count() > MAX_REASON => {
                Err(Error::invalid("freeze", format!("say why, in 1 to {MAX_REASON} characters")))
            }
            _ => Ok(()),
        }
    }

    /// Why no rollout may begin at that time; `None` if it may. What people have to say comes on top.
    pub fn obstacle(&self, now: UnixMs) -> Option<String> {
        if let Some(reason) = &self.freeze {
            return Some(format!("the stack is frozen: {reason}"));
        }
        let is_open = self.windows.is_empty() || self.windows.iter().any(|window| window.is_open(now));
        (!is_open).then(|| {
            let windows: Vec<String> = self.windows.iter().map(Window::words).collect();
            format!("the time has not come; rollouts begin {} (UTC)", windows.join(", "))
        })
    }
}

/// As it is written by people: `mon,tue 09:00-16:00`, or `09:00-16:00` for every day.
impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let days: Vec<String> = self.days.iter().map(|day| format!("{day:?}").to_lowercase()).collect();
        let gap = if days.is_empty() { "" } else { " " };
        write!(f, "{}{gap}{}-{}", days.join(","), self.from, self.until)
    }
}

impl Window {
    /// Reads what [`Display`](std::fmt::Display) writes. Whether the times make sense is [`Protection::check`]'s to say.
    ///
    /// # Errors
    /// `Invalid` with an example.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            let text = text.escape_debug();
            Error::invalid("windows", format!("`{text}` is no window like mon,tue 09:00-16:00"))
        };
        let (days, times) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
        let (from, until) = times.split_once('-').ok_or_else(wrong)?;
        let days = days.split(',').map(str::trim).filter(|day| !day.is_empty());
        let days: Option<Vec<Day>> = days.map(Day::parse).collect();
        Ok(Self { days: days.ok_or_else(wrong)?, from: from.into(), until: until.into() })
    }

    fn times(&self) -> Result<(NaiveTime, NaiveTime)> {
        let time = |field: &str, text: &str| {
            let wrong = || Error::invalid(field, format!("`{}` is no time like 09:30", text.escape_debug()));
            NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| wrong())
        };
        let (from, until) = (time("windows.from", &self.from)?, time("windows.until", &self.until)?);
        if from == until {
            return Err(Error::invalid("windows.until", "a window ends at another time than it begins"));
        }
        Ok((from, until))
    }

    fn is_open(&self, now: UnixMs) -> bool {
        let (Ok((from, until)), Some(now)) = (self.times(), DateTime::<Utc>::from_timestamp_millis(now))
        else {
            return false;
        };
        let (time, today) = (now.time(), now.weekday());
        let yesterday = (now - TimeDelta::days(1)).weekday();
        let is_day = |day: Weekday| self.days.is_empty() || self.days.contains(&day.into());
        if from < until {
            return is_day(today) && from <= time && time < until;
        }
        // Over midnight: what began yesterday, or what begins today.
        is_day(today) && from <= time || is_day(yesterday) && time < until
    }

    fn words(&self) -> String {
        let days: Vec<String> = self.days.iter().map(|day| format!("{day:?}")).collect();
        let days = if days.is_empty() { "every day".into() } else { days.join(" ") };
        format!("{days} from {} to {}", self.from, self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMs {
        DateTime::parse_from_rfc3339(text).expect("a time").timestamp_millis()
    }

    fn window(days: &[Day], from: &str, until: &str) -> Protection {
        let window = Window { days: days.to_vec(), from: from.into(), until: until.into() };
        Protection { windows: vec![window], ..Protection::default() }
    }

    #[test]
    fn a_window_begins_with_its_first_minute_and_ends_before_its_last() {
        // 2026-11-20 is a Friday.
        let office = window(&[Day::Mon, Day::Fri], "09:00", "17:00");
        assert!(office.check().is_ok());
        for (time, is_open) in [
            ("2026-11-20T08:59:59Z", false),
            ("2026-11-20T09:00:00Z", true),
            ("2026-11-20T16:59:59Z", true),
            ("2026-11-20T17:00:00Z", false),
            ("2026-11-21T12:00:00Z", false),
            ("2026-11-23T12:00:00Z", true),
        ] {
            assert_eq!(office.obstacle(at(time)).is_none(), is_open, "{time}");
        }
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_began() {
        let night = window(&[Day::Fri], "22:00", "02:00");
        for (time, is_open) in [
            ("2026-11-20T01:00:00Z", false),
            ("2026-11-20T23:00:00Z", true),
            ("2026-11-21T01:59:00Z", true),
            ("2026-11-21T02:00:00Z", false),
            ("2026-11-21T23:00:00Z", false),
        ] {
            assert_eq!(night.obstacle(at(time)).is_none(), is_open, "{time}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["mon,fri 09:00-17:00", "22:00-02:00"] {
            assert_eq!(Window::parse(text).map(|window| window.to_string()).ok().as_deref(), Some(text));
        }
        for odd in ["", "mon", "someday 09:00-17:00", "mon,, tue 9"] {
            assert!(Window::parse(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_a_freeze_says_why() {
        assert!(window(&[], "9", "17:00").check().is_err());
        assert!(window(&[], "25:00", "17:00").check().is_err());
        assert!(window(&[], "09:00", "09:00").check().is_err());
        assert!(Protection { approvals: 11, ..Protection::default() }.check().is_err());
        assert!(Protection { freeze: Some(" ".into()), ..Protection::default() }.check().is_err());
        let frozen = Protection { freeze: Some("the year ends".into()), ..Protection::default() };
        assert!(frozen.obstacle(0).is_some_and(|text| text.contains("the year ends")));
        assert_eq!(Protection::default().obstacle(0), None);
    }
}
