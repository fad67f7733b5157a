//! The event as the receiver gets it.

use serde::Serialize;
use serde_json::value::RawValue;
use windlass_sdk::Failure;
use windlass_sdk::notifier::{Event, Severity};

#[derive(Serialize)]
pub struct Message {
    id: String,
    /// As Standard Webhooks calls an event's kind.
    #[serde(rename = "type")]
    kind: String,
    timestamp: String,
    severity: String,
    title: String,
    text: String,
    stack: Option<String>,
    url: Option<String>,
    data: Box<RawValue>,
}

/// # Errors
/// `permanent` with the code `malformed-event` if the host's JSON is none.
pub fn of(event: Event) -> Result<Message, Failure> {
    let data = RawValue::from_string(event.data).map_err(|error| {
        Failure::permanent("malformed-event", format!("The event's data is no JSON: {error}."))
    })?;
    Ok(Message {
        id: event.id,
        kind: event.kind,
        timestamp: rfc3339(event.at),
        severity: word(event.severity),
        title: event.title,
        text: event.text,
        stack: event.stack,
        url: event.url,
        data,
    })
}

fn word(severity: Severity) -> String {
    match severity {
        Severity::Info => "info".to_owned(),
        Severity::Success => "success".to_owned(),
        Severity::Warning => "warning".to_owned(),
        Severity::Error => "error".to_owned(),
        Severity::Other(word) => word,
    }
}

/// Unix milliseconds as RFC 3339 in UTC. The days are counted from the first of March of the year 0, so that the leap day
/// is a year's last one; 400 years have 146,097 days.
pub fn rfc3339(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, time) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on: 153 days are five of them.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}
