//! Times as HTTP and GitHub write them.

use windlass_sdk::UnixMs;
use windlass_sdk::forge::unix_ms;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The header `Date` (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn of_date(text: &str) -> Option<UnixMs> {
    let (_, text) = text.split_once(", ")?;
    let mut words = text.split(' ');
    let (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    unix_ms(&format!("{year}-{month:02}-{day}T{clock}Z"))
}

/// RFC 3339 in seconds: `1994-11-06T08:49:37Z`.
pub fn to_text(at: UnixMs) -> String {
    let (mut days, seconds) = (at / 86_400_000, at / 1000 % 86_400);
    let mut year = 1970;
    let length = |year: u64| {
        let leaps = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        if leaps { 366 } else { 365 }
    };
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let mut month = 0;
    let of_month = |month: usize| match month {
        1 => length(year) - 337,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    while days >= of_month(month) {
        days -= of_month(month);
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_header_is_read() {
        assert_eq!(of_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        for bad in ["", "now", "Sun, 06 Foo 1994 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(of_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59Z",
            "2023-12-31T00:00:01Z",
            "2024-03-01T12:00:00Z",
            "2100-03-01T00:00:00Z",
        ] {
            assert_eq!(to_text(unix_ms(text).expect("it is a time")), text);
        }
    }
}
