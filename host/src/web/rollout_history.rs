//! What a rollout was like: its figures over time, drawn here as inline SVG, and what was decided, in sentences.

use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;

use super::split::milliseconds;
use super::ui::{When, duration};
use crate::domain::UnixMs;
use crate::domain::rollout::history::{Answers, Decided, History, Point, Verdict};

/// Pictures below each other that share their axis of time. All of them are as wide as there is room; what is written
/// stands beside them, so that it can be read on a phone.
#[derive(Template)]
#[template(path = "parts/charts.html")]
pub struct Charts {
    charts: Vec<Chart>,
    marks: Vec<Mark>,
    took: String,
}

impl HtmlSafe for Charts {}

struct Chart {
    name: &'static str,
    /// The newest figures, in words.
    newest: String,
    /// What the upper edge stands for.
    top: String,
    /// Below the line of the new release, where that means something.
    area: String,
    new: String,
    stable: String,
}

/// A decision that moved requests, and the end.
struct Mark {
    x: String,
    words: String,
}

/// One decision.
pub struct DecidedRow {
    pub reason: String,
    pub after: String,
    pub at: When,
    pub share: Option<u32>,
    pub figures: String,
}

/// Where times and figures are in a picture: 1000 wide and 100 high.
struct Axes<'a> {
    history: &'a History,
    from: UnixMs,
    to: UnixMs,
}

impl Charts {
    /// `None` if there is too little to draw: fewer than two changes of the share, and fewer than two looks at how the
    /// new release answers.
    pub fn of(history: &History, now: UnixMs) -> Option<Self> {
        let from = history.begun_at?;
        let to = history.ended_at.unwrap_or(now).max(from + 1);
        let answered = history.points.iter().filter(|point| point.answers.new.is_some()).count();
        if answered < 2 && history.shares.len() < 2 {
            return None;
        }
        let axes = Axes { history, from, to };
        let mut charts = vec![axes.share()];
        if answered > 1 {
            charts.push(axes.chart("95 % of the answers within", milliseconds, |told| told.p95_ms));
            charts.push(axes.chart("Answers that failed", percent, |told| told.error_percent));
        }
        let is_marked = |one: &&Decided| one.verdict != Verdict::Step;
        let marks = history.decided.iter().filter(is_marked).map(|one| Mark {
            x: axes.x(one.at),
            words: format!("After {}: {}", duration(one.at - from), one.reason),
        });
        Some(Self { marks: marks.collect(), charts, took: duration(to - from) })
    }
}

impl Axes<'_> {
    fn x(&self, at: UnixMs) -> String {
        let part = (at - self.from).clamp(0, self.to - self.from) as f64 / (self.to - self.from) as f64;
        format!("{:.1}", 1000.0 * part)
    }

    /// The share changes at once, and stays.
    fn share(&self) -> Chart {
        let mut line = "M0 100".to_owned();
        for (at, percent) in &self.history.shares {
            // Writing to a string cannot fail.
            let _ = write!(line, "H{}V{}", self.x(*at), y(f64::from(*percent), 100.0));
        }
        line.push_str("H1000");
        let last = self.history.shares.last().map_or(0, |(_, percent)| *percent);
        Chart {
            name: "Share of the new release",
            newest: format!("{last} %"),
            top: "100 %".to_owned(),
            area: format!("{line}V100Z"),
            new: line,
            stable: String::new(),
        }
    }

    fn chart(&self, name: &'static str, words: fn(f64) -> String, figure: fn(&Answers) -> f64) -> Chart {
        let points = &self.history.points;
        let of_new = |point: &Point| point.answers.new.as_ref().map(figure);
        let of_stable = |point: &Point| point.answers.stable.as_ref().map(figure);
        let all = points.iter().flat_map(|point| [of_new(point), of_stable(point)]).flatten();
        let top = ceiling(all.fold(0.0, f64::max));
        let last = |of: &dyn Fn(&Point) -> Option<f64>, name| {
            points.iter().rev().find_map(of).map(|figure| format!("{name} {}", words(figure)))
        };
        let newest: Vec<String> =
            [last(&of_new, "new"), last(&of_stable, "stable")].into_iter().flatten().collect();
        Chart {
            name,
            newest: newest.join(", "),
            top: words(top),
            area: String::new(),
            new: self.line(top, of_new),
            stable: self.line(top, of_stable),
        }
    }

    /// Broken where there is no figure, and where the counts began anew because the share changed.
    fn line(&self, top: f64, figure: impl Fn(&Point) -> Option<f64>) -> String {
        let mut line = String::new();
        let mut at_share = None;
        for point in &self.history.points {
            let Some(figure) = figure(point) else {
                at_share = None;
                continue;
            };
            let share = self.history.shares.partition_point(|(changed, _)| *changed <= point.at);
            let (x, y) = (self.x(point.at), y(figure, top));
            // One point alone is seen as a dot.
            let _ = match at_share.replace(share) {
                Some(before) if before == share => write!(line, "L{x} {y}"),
                _ => write!(line, "M{x} {y}h.1"),
            };
        }
        line
    }
}

fn y(figure: f64, top: f64) -> String {
    format!("{:.1}", (100.0 - 100.0 * figure / top).clamp(0.0, 100.0))
}

/// The next of 1, 2, 5, 10, 20, 50 and so on.
fn ceiling(most: f64) -> f64 {
    let mut top = 1.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(30) {
        if most <= top {
            break;
        }
        top *= factor;
    }
    top
}

fn percent(figure: f64) -> String {
    format!("{figure:.1} %")
}

pub fn decided_rows(history: &History) -> Vec<DecidedRow> {
    let begun = history.begun_at.unwrap_or_default();
    let row = |one: &Decided| DecidedRow {
        reason: one.reason.clone(),
        after: duration(one.at - begun),
        at: When::new(one.at),
        share: match one.verdict {
            Verdict::Share(percent) => Some(percent),
            Verdict::Step | Verdict::End => None,
        },
        figures: figures(one),
    };
    history.decided.iter().map(row).collect()
}

/// What the answers had been until then; nothing while the new release had none, and where nothing changed.
fn figures(one: &Decided) -> String {
    let (Some(new), false) = (&one.answers.new, one.verdict == Verdict::Step) else { return String::new() };
    let told = |name: &str, told: &Answers| {
        let answers = if told.requests == 1 { "answer" } else { "answers" };
        format!(
            "{name}: {} of {} {answers} failed, 95 % came within {}.",
            percent(told.error_percent),
            told.requests,
            milliseconds(told.p95_ms)
        )
    };
    let both = [Some(told("New", new)), one.answers.stable.as_ref().map(|stable| told("Stable", stable))];
    both.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;
    use crate::domain::rollout::history::Both;

    fn answers(error_percent: f64, p95_ms: f64) -> Option<Answers> {
        Some(Answers { requests: 40, per_second: None, error_percent, p50_ms: 1.0, p95_ms })
    }

    fn decided(at: UnixMs, verdict: Verdict, reason: &str) -> Decided {
        let answers = Both { new: answers(5.0, 8.0), stable: answers(0.0, 4.0) };
        Decided { at, verdict, reason: reason.into(), answers }
    }

    /// Ten seconds from 1000 on: a fifth of the requests after two, none after eight.
    fn taken_back() -> History {
        let point = |at, percent, new, stable| Point { at, percent, answers: Both { new, stable } };
        History {
            begun_at: Some(1_000),
            ended_at: Some(11_000),
            shares: vec![(3_000, 20), (9_000, 0)],
            points: vec![
                point(2_000, 0, None, answers(0.0, 5.0)),
                point(4_000, 20, answers(0.0, 10.0), answers(0.0, 5.0)),
                point(6_000, 20, answers(5.0, 8.0), answers(0.0, 5.0)),
                point(10_000, 0, None, answers(0.0, 5.0)),
            ],
            decided: vec![
                decided(1_500, Verdict::Step, "Starting <it>"),
                decided(3_000, Verdict::Share(20), "Sending 20 %"),
                decided(9_000, Verdict::Share(0), "Restoring"),
            ],
        }
    }

    #[test]
    fn the_share_is_a_staircase_and_lines_break_where_the_counts_begin_anew() {
        let charts = Charts::of(&taken_back(), 0).unwrap();
        let lines: Vec<_> =
            charts.charts.iter().map(|chart| (chart.new.as_str(), chart.stable.as_str())).collect();
        let wanted = [
            ("M0 100H200.0V80.0H800.0V100.0H1000", ""),
            ("M300.0 0.0h.1L500.0 20.0", "M100.0 50.0h.1M300.0 50.0h.1L500.0 50.0M900.0 50.0h.1"),
            ("M300.0 100.0h.1L500.0 0.0", "M100.0 100.0h.1M300.0 100.0h.1L500.0 100.0M900.0 100.0h.1"),
        ];
        assert_eq!(lines, wanted);
        let tops: Vec<_> =
            charts.charts.iter().map(|chart| (chart.top.as_str(), chart.newest.as_str())).collect();
        let wanted =
            [("100 %", "0 %"), ("10 ms", "new 8.0 ms, stable 5.0 ms"), ("5.0 %", "new 5.0 %, stable 0.0 %")];
        assert_eq!(tops, wanted);
        let marks: Vec<_> = charts.marks.iter().map(|mark| (mark.x.as_str(), mark.words.as_str())).collect();
        let wanted = [("200.0", "After 2.0 s: Sending 20 %"), ("800.0", "After 8.0 s: Restoring")];
        assert_eq!(marks, wanted);
    }

    #[test]
    fn too_little_is_not_drawn() {
        assert!(Charts::of(&History::default(), 5).is_none());
        let mut history = taken_back();
        history.shares.truncate(1);
        history.points.truncate(2);
        assert!(Charts::of(&history, 0).is_none(), "one share and one look at the new release");
        history.shares.push((9_000, 100));
        assert_eq!(Charts::of(&history, 0).unwrap().charts.len(), 1, "the share alone");
    }

    #[test]
    fn a_decision_that_moved_requests_says_how_the_answers_had_been() {
        let rows = decided_rows(&taken_back());
        let told: Vec<_> = rows.iter().map(|row| (row.after.as_str(), row.share)).collect();
        assert_eq!(told, [("500 ms", None), ("2.0 s", Some(20)), ("8.0 s", Some(0))]);
        assert_eq!(rows[0].figures, "");
        let wanted = "New: 5.0 % of 40 answers failed, 95 % came within 8.0 ms. \
                      Stable: 0.0 % of 40 answers failed, 95 % came within 4.0 ms.";
        assert_eq!(rows[2].figures, wanted);
    }

    #[test]
    fn the_upper_edge_is_a_round_figure() {
        assert_eq!([0.0, 1.0, 1.1, 3.0, 61.0, 130.0].map(ceiling), [1.0, 1.0, 2.0, 5.0, 100.0, 200.0]);
    }
}
