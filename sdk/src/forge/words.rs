//! Words that forges share: how to ask for no build, "no commit", and times.

use crate::UnixMs;

/// Whether a commit message asks not to be built: `[skip ci]`, `[ci skip]`, `[no ci]`, `[skip actions]` or
/// `[actions skip]` anywhere, or a trailer `skip-checks: true`. Letter case does not matter.
pub fn asks_to_skip_ci(message: &str) -> bool {
    const WORDS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|word| message.contains(word)) || has_skip_checks_trailer(&message)
}

/// Trailers are the last paragraph of a message that has more than one.
fn has_skip_checks_trailer(message: &str) -> bool {
    let lines: Vec<&str> = message.trim_end().lines().map(str::trim).collect();
    let Some(blank) = lines.iter().rposition(|line| line.is_empty()) else { return false };
    lines[blank..].iter().any(|line| {
        line.split_once(':')
            .is_some_and(|(name, value)| name.trim() == "skip-checks" && value.trim() == "true")
    })
}

/// Whether a commit id is git's way to say that there is none: zeros only.
pub fn is_no_commit(sha: &str) -> bool {
    sha.bytes().all(|byte| byte == b'0')
}

/// Whether it is 40 or 64 lower-case hexadecimal digits.
pub(super) fn is_commit(sha: &str) -> bool {
    matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Reads a time as RFC 3339 writes it, `2026-02-03T04:05:06.789+01:00`. `None` if it is none, or before 1970.
pub fn unix_ms(text: &str) -> Option<UnixMs> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    if date.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.split(':');
    let (hour, minute, second) =
        (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    if clock.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let ms = (seconds - offset_seconds(zone)?).checked_mul(1_000)? + milliseconds(fraction)?;
    u64::try_from(ms).ok()
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let good = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { text.parse().ok() } else { None }
}

fn milliseconds(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<3}")[..3].parse().ok()
}

fn offset_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, clock) = zone.split_at_checked(1)?;
    let (hours, minutes) = clock.split_once(':')?;
    let seconds = number(hours, 2)? * 3_600 + number(minutes, 2)? * 60;
    Some(if sign == "-" { -seconds } else { seconds })
}

/// Days of the Gregorian calendar, counted in years that begin in March, so that the leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_asks_for_no_build_in_any_of_the_known_ways() {
        for message in [
            "docs [skip ci]",
            "[CI Skip] docs",
            "a\n\nb [no ci] c",
            "[skip actions]",
            "[actions skip]",
            "docs\n\nSkip-Checks: true",
            "docs\n\nwhy\n\nSigned-off-by: a\nskip-checks:true\n",
        ] {
            assert!(asks_to_skip_ci(message), "{message:?}");
        }
    }

    #[test]
    fn other_messages_do_not() {
        for message in [
            "",
            "skip ci",
            "[skip]",
            "skip-checks: true",
            "docs\n\nskip-checks: true\n\nmore",
            "a\n\nskip-checks: false",
        ] {
            assert!(!asks_to_skip_ci(message), "{message:?}");
        }
    }

    #[test]
    fn times_are_read_with_zone_and_fraction() {
        assert_eq!(unix_ms("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(unix_ms("2019-05-15T15:20:41Z"), Some(1_557_933_641_000));
        assert_eq!(unix_ms("2019-05-15T17:20:41+02:00"), Some(1_557_933_641_000));
        assert_eq!(unix_ms("2019-05-15T08:20:41.5-07:00"), Some(1_557_933_641_500));
        assert_eq!(unix_ms("2024-02-29T23:59:59.123456Z"), Some(1_709_251_199_123));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in
            ["", "now", "2019-05-15", "2019-13-01T00:00:00Z", "2019-05-15T15:20:41", "1960-01-01T00:00:00Z"]
        {
            assert_eq!(unix_ms(text), None, "{text:?}");
        }
    }
}
