//! YAML of values, in the style that people write it: blocks, and quotes only where they are needed.
//!
//! Whatever text is in the value, a reader of YAML 1.1 or 1.2 gets the same text back, as a string.

use serde_json::Value;

use super::shell::is_visible;

/// The value as the lines of a block, without an indent. Objects keep their order; an empty text stands for `{}` of nothing.
///
/// ```
/// use windlass_sdk::generator::yaml;
///
/// let text = yaml::block(&serde_json::json!({ "run": "make\nmake test\n", "if": "no", "with": { "version": "1.20" } }));
/// assert_eq!(text, "run: |\n  make\n  make test\nif: 'no'\nwith:\n  version: '1.20'\n");
/// ```
pub fn block(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = scalar(name);
                match value {
                    Value::Null => out += &format!("{name}:\n"),
                    value if is_nested(value) => out += &format!("{name}:\n{}", indented(&block(value))),
                    value => out += &format!("{name}: {}\n", inline(value)),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                if is_nested(item) {
                    // The first line moves up to the dash.
                    out += &format!("- {}", indented(&block(item)).trim_start());
                } else {
                    out += &format!("- {}\n", inline(item));
                }
            }
        }
        other => out += &format!("{}\n", inline(other)),
    }
    out
}

/// The text as a comment of any number of lines.
pub fn comment(text: &str) -> String {
    let visible = |line: &str| -> String { line.chars().filter(|c| is_visible(*c)).collect() };
    text.lines().map(|line| format!("# {}", visible(line)).trim_end().to_owned() + "\n").collect()
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn indented(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    text.lines().map(line).collect()
}

/// What stands behind a name or a dash.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if is_literal(text) => literal(text),
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Several lines of which each shows itself. The first must not begin with a space, by which the indent is told.
fn is_literal(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && text.chars().all(|c| c == '\n' || is_visible(c))
}

fn literal(text: &str) -> String {
    let head = if text.ends_with('\n') { "|" } else { "|-" };
    format!("{head}\n{}", indented(text).trim_end_matches('\n'))
}

/// A text on one line: plain, in single quotes, or with escapes in double quotes.
pub fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    if text.chars().all(is_visible) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            c if is_visible(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => out += &format!("\\u{:04x}", c as u32),
            c => out += &format!("\\U{:08x}", c as u32),
        }
    }
    out + "\""
}

/// Whether every reader takes the bare text for this string: not for a number, a truth value, a comment, a name.
fn is_plain(text: &str) -> bool {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let begins =
        text.starts_with(|c: char| c.is_ascii_alphabetic() || "/$".contains(c)) || text.starts_with("<< ");
    begins
        && !text.ends_with(' ')
        && !text.ends_with(':')
        && !text.contains(": ")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || " _./:@+,-$(){}<>=*&|!'\"".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}
