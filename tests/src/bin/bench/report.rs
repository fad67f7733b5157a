//! What was measured: a table while it is measured, or JSON at the end.

use std::time::Duration;

use serde_json::{Value, json};

/// What a number should be at most, or at least.
#[derive(Clone, Copy)]
pub enum Goal {
    None,
    AtMost(f64),
    AtLeast(f64),
}

pub struct Report {
    json: bool,
    section: String,
    rows: Vec<Value>,
}

impl Report {
    pub fn new(json: bool) -> Self {
        Self { json, section: String::new(), rows: Vec::new() }
    }

    pub fn section(&mut self, title: &str) {
        self.section = title.to_string();
        self.print(&format!("\n{title}"));
    }

    /// One number, what it should be, and what belongs to it in words.
    pub fn row(&mut self, name: &str, value: f64, unit: &str, goal: Goal, note: &str) {
        let (wanted, met) = match goal {
            Goal::None => (String::new(), None),
            Goal::AtMost(limit) => (format!("≤ {} {unit}", number(limit)), Some(value <= limit)),
            Goal::AtLeast(limit) => (format!("≥ {} {unit}", number(limit)), Some(value >= limit)),
        };
        let verdict = met.map_or("", |met| if met { "met" } else { "MISSED" });
        let shown = format!("{} {unit}", number(value));
        self.print(format!("  {name:<46} {shown:>14}  {wanted:<14} {verdict:<7} {note}").trim_end());
        self.rows.push(json!({
            "section": self.section, "name": name, "value": value, "unit": unit, "goal": wanted, "met": met, "note": note
        }));
    }

    /// The middle of several measurements, with their extremes.
    pub fn spread(&mut self, name: &str, values: &[f64], unit: &str, goal: Goal) {
        let note =
            format!("min {}, max {}, n {}", number(least(values)), number(greatest(values)), values.len());
        self.row(name, median(values), unit, goal, &note);
    }

    /// Something to know that is no number.
    pub fn note(&mut self, text: &str) {
        self.print(&format!("  {text}"));
        self.rows.push(json!({ "section": self.section, "note": text }));
    }

    /// A part that cannot be measured here, and why.
    pub fn skip(&mut self, what: &str, why: &str) {
        self.print(&format!("  SKIPPED {what}: {why}"));
        self.rows.push(json!({ "section": self.section, "skipped": what, "why": why }));
    }

    pub fn finish(self) {
        if self.json {
            println!("{:#}", Value::Array(self.rows));
        }
    }

    fn print(&self, line: &str) {
        if !self.json {
            println!("{line}");
        }
    }
}

/// As many digits as say something.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn greatest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
