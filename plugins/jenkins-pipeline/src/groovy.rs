//! Strings of Groovy that are never interpolated, and blocks.

/// The text as a string in single quotes, on one line.
pub fn text(text: &str) -> String {
    let mut out = String::from("'");
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            c => push(&mut out, c, rest.peek().copied()),
        }
    }
    out + "'"
}

/// The text as a string of several lines. It keeps its quotes and line ends, unless they could end it.
pub fn lines(text: &str) -> String {
    let mut out = String::from("'''");
    let mut quotes = 0;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        quotes = if c == '\'' { quotes + 1 } else { 0 };
        match c {
            '\'' if quotes == 3 || rest.peek().is_none() => {
                out.push_str("\\'");
                quotes = 0;
            }
            '\'' | '\n' => out.push(c),
            c => push(&mut out, c, rest.peek().copied()),
        }
    }
    out + "'''"
}

/// One character. Groovy before 3 replaces `\u0027` by a quote before it looks for strings, so a backslash before a `u` is
/// written as its number.
fn push(out: &mut String, c: char, next: Option<char>) {
    match c {
        '\\' if next == Some('u') => out.push_str("\\134"),
        '\\' => out.push_str("\\\\"),
        c if c.is_control() => out.push_str(&format!("\\{:03o}", c as u32)),
        c => out.push(c),
    }
}

/// A block: its head, its lines a step further in, its end.
pub fn block(head: &str, body: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") };
    let body: String = body.lines().map(line).collect();
    format!("{head} {{\n{body}}}\n")
}
