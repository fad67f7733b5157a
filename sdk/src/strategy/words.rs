//! Times and shares as people say them.

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A length of time: `60 s`, `5 min`, `1500 ms`, `24 h`. The largest unit that needs no fraction, and minutes only from
/// two on.
pub fn duration(ms: u64) -> String {
    for (unit, name) in [(HOUR, "h"), (MINUTE, "min"), (SECOND, "s")] {
        if ms.is_multiple_of(unit) && (ms >= 2 * unit || unit == SECOND) {
            return format!("{} {name}", ms / unit);
        }
    }
    format!("{ms} ms")
}

/// What is left of a time. In steps that are coarse enough that a label with it does not change all the time.
pub fn remaining(ms: u64) -> String {
    match ms {
        0..10_000 => "a few seconds".to_owned(),
        10_000..MINUTE => "less than a minute".to_owned(),
        MINUTE..HOUR => format!("{} min", ms.div_ceil(MINUTE)),
        _ => format!("{} h", ms.div_ceil(HOUR)),
    }
}

/// A share of 1 in percent, with one digit behind the point.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told: Vec<String> =
            [0, 1_500, 60_000, 90_000, 300_000, 86_400_000].into_iter().map(duration).collect();
        assert_eq!(told, ["0 s", "1500 ms", "60 s", "90 s", "5 min", "24 h"]);
        let left: Vec<String> = [1, 59_000, 240_000, 240_001, 7_200_000].into_iter().map(remaining).collect();
        assert_eq!(left, ["a few seconds", "less than a minute", "4 min", "5 min", "2 h"]);
    }
}
