//! Strings of Groovy that are never interpolated, and blocks.

/// The text as a string in single quotes, on one line.
pub fn text(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            c => push(&mut out, c),
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
            c => push(&mut out, c),
        }
    }
    out + "'''"
}

/// One character. A backslash is always doubled, which is also what keeps `\u0027` from becoming a quote: Groovy before 3
/// replaces that before it looks for strings, and Groovy since 3 replaces numbers like `\134` before it.
fn push(out: &mut String, c: char) {
    match c {
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
