//! Words for people: times, durations, status, and text from elsewhere made safe for a terminal.

use chrono::{DateTime, Utc};

use super::output::Tone;
use crate::domain::deployment::DeploymentStatus;

/// One line without control characters, and without the marks that turn the direction of text around: a commit message
/// or an error may have been written by anybody.
pub fn clean(text: &str) -> String {
    text.trim()
        .chars()
        .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A line of a log. Colours (`ESC [ … m`) stay where colours are wanted; everything else that steers a terminal goes.
pub fn log_line(line: &str, colours: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = sequence_length(rest);
        if colours && rest[..length].ends_with('m') {
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    if colours && out.contains('\u{1b}') {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// Length of the control sequence (ECMA-48, `ESC [` parameters, final byte) or lone control character at the start.
fn sequence_length(text: &str) -> usize {
    let lone = text.chars().next().map_or(0, char::len_utf8);
    let Some(body) = text.strip_prefix("\u{1b}[") else { return lone };
    match body.find(|c: char| !matches!(c, ' '..='?')) {
        Some(end) if matches!(body.as_bytes()[end], b'@'..=b'~') => 2 + end + 1,
        _ => lone,
    }
}

pub fn status_tone(status: DeploymentStatus) -> Tone {
    match status {
        DeploymentStatus::Successful => Tone::Good,
        DeploymentStatus::Failed => Tone::Bad,
        DeploymentStatus::RolledBack => Tone::Warning,
        DeploymentStatus::Cancelled => Tone::Faint,
        DeploymentStatus::Pending | DeploymentStatus::Building | DeploymentStatus::Deploying => Tone::Busy,
    }
}

/// `rolled_back` as people write it.
pub fn status_word(status: DeploymentStatus) -> &'static str {
    match status {
        DeploymentStatus::RolledBack => "rolled back",
        other => other.as_str(),
    }
}

/// An RFC 3339 time, seen from now.
pub fn ago(time: &str) -> String {
    match DateTime::parse_from_rfc3339(time) {
        Ok(at) => {
            relative(Utc::now().signed_duration_since(at).num_seconds(), &at.format("%Y-%m-%d").to_string())
        }
        Err(_) => clean(time),
    }
}

fn relative(seconds: i64, date: &str) -> String {
    let distance = seconds.abs();
    let amount = match distance {
        0..5 => return "just now".into(),
        5..60 => format!("{distance} s"),
        60..3600 => format!("{} min", distance / 60),
        3600..86_400 => format!("{} h", distance / 3600),
        86_400..2_592_000 => format!("{} d", distance / 86_400),
        _ => return date.to_string(),
    };
    if seconds < 0 { format!("in {amount}") } else { format!("{amount} ago") }
}

/// From one RFC 3339 time to another.
pub fn between(from: &str, to: &str) -> String {
    match (DateTime::parse_from_rfc3339(from), DateTime::parse_from_rfc3339(to)) {
        (Ok(from), Ok(to)) => seconds(to.signed_duration_since(from).num_seconds()),
        _ => clean(to),
    }
}

/// Seconds as `34 s`, `2 min 5 s` or `1 h 3 min`.
pub fn seconds(total: i64) -> String {
    match total.max(0) {
        total @ 0..60 => format!("{total} s"),
        total @ 60..3600 => format!("{} min {} s", total / 60, total % 60),
        total => format!("{} h {} min", total / 3600, total % 3600 / 60),
    }
}

pub fn bytes(size: u64) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{} KiB", size / 1024),
        1_048_576..1_073_741_824 => format!("{} MiB", size / 1_048_576),
        _ => format!("{}.{} GiB", size / 1_073_741_824, size % 1_073_741_824 * 10 / 1_073_741_824),
    }
}

/// With a full stop. Many messages begin with a name, so their first letter stays as it is.
pub fn sentence(text: &str) -> String {
    let end = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{text}{end}")
}

/// The first seven characters of a commit.
pub fn short(commit: &str) -> String {
    clean(commit).chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}]0;x\u{7}b\nc\u{202e}d"), "a ]0;x b cd");
        assert_eq!(log_line("\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m\tx", false), "red\tx");
        let coloured = log_line("\u{1b}[31mred\u{1b}]8;;u\u{7}", true);
        assert_eq!(coloured, "\u{1b}[31mred]8;;u\u{1b}[0m");
        assert_eq!(log_line("a\u{9b}31mb", true), "a31mb");
        assert_eq!(log_line("\u{1b}[", true), "[");
    }

    #[test]
    fn times_are_told_from_now() {
        assert_eq!(relative(2, "d"), "just now");
        assert_eq!(relative(59, "d"), "59 s ago");
        assert_eq!(relative(-7200, "d"), "in 2 h");
        assert_eq!(relative(86_400 * 29, "d"), "29 d ago");
        assert_eq!(relative(86_400 * 30, "2026-01-01"), "2026-01-01");
        assert_eq!(ago("soon"), "soon");
    }

    #[test]
    fn durations_have_at_most_two_units() {
        assert_eq!([seconds(34), seconds(125), seconds(3780)].join(", "), "34 s, 2 min 5 s, 1 h 3 min");
        assert_eq!([bytes(5), bytes(2048), bytes(1_610_612_736)].join(", "), "5 B, 2 KiB, 1.5 GiB");
    }
}
