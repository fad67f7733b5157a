//! The answer to "is everything all right?" above the stacks: what needs attention, and how delivery goes, as a picture.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use super::ui::{Badge, Tone, When, duration};
use crate::app::doctor::{Check, Verdict};
use crate::app::overview::Overview;
use crate::domain::overview::{DAYS, Day, Figures};

const BAR_STEP: i64 = 12;
/// Half the height of the picture, as in a stack's history: what went well stands above the axis.
const HALF: i64 = 28;

#[derive(Template)]
#[template(path = "parts/overview.html")]
pub struct OverviewPart {
    heading: &'static str,
    badge: Badge,
    checks: Vec<CheckRow>,
    troubled: Vec<TroubledRow>,
    figures: Vec<FigureRow>,
    bars: Vec<Bar>,
    width: i64,
    summary: String,
}

impl HtmlSafe for OverviewPart {}

struct CheckRow {
    name: &'static str,
    /// Empty where there is no page about it.
    link: &'static str,
    badge: Badge,
    detail: String,
    advice: String,
}

struct TroubledRow {
    stack: String,
    deployment: i64,
    badge: Badge,
    at: When,
}

struct FigureRow {
    name: &'static str,
    value: String,
    means: &'static str,
}

struct Bar {
    x: i64,
    good: i64,
    bad: i64,
    words: String,
}

impl OverviewPart {
    pub fn new(overview: Overview, is_admin: bool) -> Self {
        let (heading, badge) = match overview.verdict() {
            Verdict::Ok => ("Everything is all right", Badge { tone: Tone::Good, word: "all right" }),
            Verdict::Warn => ("Something needs a look", Badge { tone: Tone::Waiting, word: "needs a look" }),
            Verdict::Fail => ("Something does not work", Badge { tone: Tone::Bad, word: "does not work" }),
        };
        let troubled = overview.troubled.iter().map(|row| TroubledRow {
            stack: row.stack.clone(),
            deployment: row.deployment,
            badge: row.status.into(),
            at: When::new(row.at),
        });
        let figures = &overview.figures;
        Self {
            heading,
            badge,
            troubled: troubled.collect(),
            bars: bars(&figures.days),
            width: i64::try_from(DAYS).unwrap_or_default() * BAR_STEP,
            summary: summary(figures),
            figures: rows(figures),
            checks: overview.checks.into_iter().map(|check| CheckRow::new(check, is_admin)).collect(),
        }
    }
}

impl CheckRow {
    fn new(check: Check, is_admin: bool) -> Self {
        let (tone, word) = match check.verdict {
            Verdict::Ok => (Tone::Good, "works"),
            Verdict::Warn => (Tone::Waiting, "needs a look"),
            Verdict::Fail => (Tone::Bad, "does not work"),
        };
        let (name, link) = match check.name {
            "stacks" => ("Stacks", "/deployments"),
            "queue" => ("Queue", "/status"),
            "database" => ("Database", "/status"),
            "docker" => ("Docker Engine", "/status"),
            "plugins" => ("Plugins", "/plugins"),
            "providers" if is_admin => ("Providers", "/providers"),
            "certificates" => ("Certificates", ""),
            "backup" => ("Backups", "/backups"),
            "disk" => ("Disk", ""),
            "security" => ("Security", "/security"),
            other => (other, ""),
        };
        let advice = check.advice.unwrap_or_default();
        Self { name, link, badge: Badge { tone, word }, detail: check.detail, advice }
    }
}

fn rows(figures: &Figures) -> Vec<FigureRow> {
    let none = || "–".to_string();
    let percent = figures.success_percent.map_or_else(none, |percent| format!("{percent:.0} %"));
    vec![
        FigureRow {
            name: "Deployments a day",
            value: format!("{:.1}", figures.per_day),
            means: "that were successful",
        },
        FigureRow { name: "Success rate", value: percent, means: "of those that were not cancelled" },
        FigureRow {
            name: "Lead time",
            value: figures.lead_ms.map_or_else(none, duration),
            means: "from the push until it serves, median",
        },
        FigureRow {
            name: "Time to restore",
            value: figures.restore_ms.map_or_else(none, duration),
            means: "from a failure to the next success, median",
        },
    ]
}

fn summary(figures: &Figures) -> String {
    let good = figures.successful;
    match good + figures.unsuccessful {
        0 => format!("No deployment has ended in the last {DAYS} days"),
        1 if good == 1 => format!("The one deployment of the last {DAYS} days was successful"),
        1 => format!("The one deployment of the last {DAYS} days was not successful"),
        total => format!("{good} of the {total} deployments of the last {DAYS} days were successful"),
    }
}

fn bars(days: &[Day]) -> Vec<Bar> {
    let most = days.iter().map(|day| day.successful.max(day.unsuccessful)).max().unwrap_or(0).max(1);
    // Even one deployment among thousands is to be seen.
    let height = |count: i64| if count == 0 { 0 } else { (count * (HALF - 2) / most).max(2) };
    let bars = days.iter().zip(0..).map(|(day, slot)| Bar {
        x: slot * BAR_STEP + 1,
        good: height(day.successful),
        bad: height(day.unsuccessful),
        words: format!("{}: {} successful, {} not", date(day), day.successful, day.unsuccessful),
    });
    bars.collect()
}

fn date(day: &Day) -> String {
    DateTime::<Utc>::from_timestamp_millis(day.begins_at).unwrap_or_default().format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_among_many_successes_is_seen() {
        let day = |successful, unsuccessful| Day { begins_at: 0, successful, unsuccessful };
        let found = bars(&[day(5000, 1), day(0, 0)]);
        let heights: Vec<_> = found.iter().map(|bar| (bar.good, bar.bad)).collect();
        assert_eq!(heights, [(HALF - 2, 2), (0, 0)]);
        assert_eq!(found.first().map(|bar| bar.words.as_str()), Some("1970-01-01: 5000 successful, 1 not"));
    }
}
