//! A stack's history as a picture, drawn here as inline SVG that takes its colours from the stylesheet.

use askama::Template;
use askama::filters::HtmlSafe;

use super::ui::{Badge, Tone, duration};
use crate::domain::UnixMs;
use crate::domain::deployment::Deployment;

/// Bars a history shows.
pub const BARS: i64 = 20;
const BAR_STEP: i64 = 10;
/// Half the height: what went well stands above the axis, everything else hangs below it.
const HALF: i64 = 16;

/// The last deployments of a stack, oldest first: a bar each, its height the time it took.
#[derive(Template)]
#[template(path = "parts/history.html")]
pub struct History {
    bars: Vec<Bar>,
    width: i64,
    summary: String,
}

struct Bar {
    x: i64,
    y: i64,
    height: i64,
    class: &'static str,
    seq: i64,
    words: String,
}

impl HtmlSafe for History {}

impl History {
    /// `rows` are newest first, as lists are.
    pub fn of(rows: &[Deployment], now: UnixMs) -> Self {
        let took = |row: &Deployment| row.completed_at.unwrap_or(now) - row.started_at;
        let longest = rows.iter().map(took).max().unwrap_or(1).max(1);
        let free = BARS - i64::try_from(rows.len()).unwrap_or(BARS);
        let bars = rows.iter().rev().zip(free..).map(|(row, slot)| {
            let badge = Badge::from(row.status);
            let took = took(row);
            let height = 3 + took.clamp(0, longest) * (HALF - 3) / longest;
            let y = if matches!(badge.tone, Tone::Good | Tone::Running | Tone::Waiting) {
                HALF - height
            } else {
                HALF + 1
            };
            Bar {
                x: slot * BAR_STEP + 1,
                y,
                height,
                class: badge.tone.class(),
                seq: row.seq,
                words: format!("Deployment {}: {}, {}", row.seq, badge.word, duration(took)),
            }
        });
        let ended = rows.iter().filter(|row| row.status.is_terminal()).count();
        let good = rows.iter().filter(|row| Badge::from(row.status).tone == Tone::Good).count();
        let summary = match ended {
            0 => "No deployment has ended yet".to_string(),
            1 => format!("{good} of 1 deployment successful"),
            _ => format!("{good} of the last {ended} deployments successful"),
        };
        Self { bars: bars.collect(), width: BARS * BAR_STEP, summary }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;
    use crate::domain::deployment::DeploymentStatus;
    use crate::web::timeline::tests::deployment;

    #[test]
    fn what_failed_hangs_below_the_axis() {
        let history =
            History::of(&[deployment(DeploymentStatus::Failed), deployment(DeploymentStatus::Successful)], 0);
        let (good, bad) = (history.bars.first().unwrap(), history.bars.last().unwrap());
        assert!(good.y < HALF && bad.y > HALF);
        assert_eq!(history.summary, "1 of the last 2 deployments successful");
    }
}
