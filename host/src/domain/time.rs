//! Points in time as the database holds them, and as people write them.

use chrono::{DateTime, Days, NaiveDate, NaiveTime};

use crate::error::{Error, Result};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMs = i64;

/// The first moment that is meant: an RFC 3339 time, or the beginning of a date, in UTC. `None` if nothing is said.
///
/// # Errors
/// `Invalid` with the field.
pub fn from_moment(field: &str, text: Option<&str>) -> Result<Option<UnixMs>> {
    moment(field, text, 0)
}

/// The first moment that is not meant any more: an RFC 3339 time, or the end of a date, in UTC.
///
/// # Errors
/// `Invalid` with the field.
pub fn until_moment(field: &str, text: Option<&str>) -> Result<Option<UnixMs>> {
    moment(field, text, 1)
}

fn moment(field: &str, text: Option<&str>, later: u64) -> Result<Option<UnixMs>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let date = || {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.checked_add_days(Days::new(later))?;
        Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
    };
    let time = DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis());
    time.or_else(date).map(Some).ok_or_else(|| {
        let text = text.escape_debug();
        Error::invalid(
            field,
            format!("`{text}` is no date like 2030-01-31 and no RFC 3339 time like 2030-01-31T08:00:00Z"),
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_a_whole_day_and_a_time_is_a_moment() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        let (from, until) =
            (|text| from_moment("since", Some(text)), |text| until_moment("until", Some(text)));
        assert_eq!(from("2028-02-29").unwrap(), Some(at("2028-02-29T00:00:00Z")));
        assert_eq!(until("2028-02-29").unwrap(), Some(at("2028-03-01T00:00:00Z")));
        for read in [from, until] {
            assert_eq!(read("2030-01-31T08:00:00+01:00").unwrap(), Some(at("2030-01-31T07:00:00Z")));
            assert_eq!(read(" ").unwrap(), None);
            for wrong in ["yesterday", "2030-02-30", "2030-1-31T", "08:00"] {
                assert!(matches!(read(wrong), Err(Error::Invalid { .. })), "{wrong}");
            }
        }
    }
}
