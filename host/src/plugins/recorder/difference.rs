//! Where two JSON values differ.

use serde_json::Value;

/// Differences that are listed.
const LISTED: usize = 32;
/// Characters shown of a value.
const SHOWN: usize = 120;

/// A line for each place, beginning with its path.
pub(super) fn differences(at: &str, recorded: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(at, Some(recorded), Some(now), &mut found);
    let more = found.len().saturating_sub(LISTED);
    found.truncate(LISTED);
    if more > 0 {
        found.push(format!("{at}: {more} more differences"));
    }
    found
}

fn compare(at: &str, recorded: Option<&Value>, now: Option<&Value>, found: &mut Vec<String>) {
    match (recorded, now) {
        (Some(Value::Object(recorded)), Some(Value::Object(now))) => {
            for (key, value) in recorded {
                compare(&format!("{at}/{key}"), Some(value), now.get(key), found);
            }
            for (key, value) in now.iter().filter(|(key, _)| !recorded.contains_key(*key)) {
                compare(&format!("{at}/{key}"), None, Some(value), found);
            }
        }
        (Some(Value::Array(recorded)), Some(Value::Array(now))) => {
            for n in 0..recorded.len().max(now.len()) {
                compare(&format!("{at}/{n}"), recorded.get(n), now.get(n), found);
            }
        }
        (recorded, now) if recorded == now => {}
        (recorded, now) => found.push(format!("{at}: recorded {}, now {}", shown(recorded), shown(now))),
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".into() };
    let mut text = value.to_string();
    if let Some((at, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_says_where_it_is_and_what_was_and_is() {
        let recorded = json!({ "ok": { "progress": 40, "actions": ["a", "b"] }, "gone": null });
        let now = json!({ "ok": { "progress": 50, "actions": ["a"] }, "new": 1 });
        let expected = [
            "output/ok/progress: recorded 40, now 50",
            "output/ok/actions/1: recorded \"b\", now nothing",
            "output/gone: recorded null, now nothing",
            "output/new: recorded nothing, now 1",
        ];
        assert_eq!(differences("output", &recorded, &now), expected);
        assert!(differences("output", &recorded, &recorded).is_empty());
    }
}
