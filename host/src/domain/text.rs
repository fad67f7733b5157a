//! Text that strangers wrote, made safe to look at.

use serde_json::Value;

/// Characters that change how their neighbours look, or that nobody sees: they could make a terminal or a page lie.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Indented JSON in which deceptive characters are escaped, so that it is still the same JSON.
pub fn pretty_json(value: &Value) -> String {
    let text = format!("{value:#}");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || !is_deceptive(c) {
            out.push(c);
        } else {
            // They only occur inside of texts, where JSON takes them escaped as UTF-16.
            out.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_cannot_deceive_and_is_the_same_json() {
        let value = json!({ "a\u{202e}": ["b\u{9b}c", "\u{e0041}\n"] });
        let text = pretty_json(&value);
        assert!(text.is_ascii() && text.contains("\\u202e") && text.contains("\\udb40\\udc41"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value));
    }
}
