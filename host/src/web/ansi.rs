//! Colours and styles in a program's output (ECMA-48, "Select Graphic Rendition") as classes of the style sheet.
//!
//! Every other escape sequence is dropped, with what it carries. The text itself is never trusted: it is handed on as text
//! and escaped by the template. The script does the same for lines that arrive live.

#[derive(Debug, PartialEq, Eq)]
pub struct Span {
    /// Classes; empty for plain text.
    pub class: String,
    pub text: String,
}

#[derive(Default)]
struct Style {
    text: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    inverse: bool,
}

/// Splits a line where its style changes.
pub fn spans(line: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut style = Style::default();
    for (index, piece) in line.split('\u{1b}').enumerate() {
        let text = if index == 0 { piece } else { style.after_sequence(piece) };
        if !text.is_empty() {
            spans.push(Span { class: style.class(), text: text.to_string() });
        }
    }
    spans
}

impl Style {
    /// Takes what follows an escape character, and returns the text behind the sequence.
    fn after_sequence<'a>(&mut self, piece: &'a str) -> &'a str {
        let mut chars = piece.chars();
        match chars.next() {
            Some('[') => {
                let rest = chars.as_str();
                let end = rest.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(rest.len());
                let (codes, after) = rest.split_at(end);
                if after.starts_with('m') {
                    self.apply(codes);
                }
                after.get(1..).unwrap_or("")
            }
            // A title or a link: up to the bell, which logs do not keep, or to the next escape character.
            Some(']') => piece.split_once('\u{fffd}').map_or("", |(_, after)| after),
            Some('(' | ')') => chars.as_str().get(1..).unwrap_or(""),
            Some('0'..='~') => chars.as_str(),
            _ => piece,
        }
    }

    fn apply(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| code.parse::<u8>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                7 => self.inverse = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                30..=37 | 90..=97 => self.text = Some(code % 10),
                38 => self.text = extended(&mut codes).or(self.text),
                39 => self.text = None,
                40..=47 | 100..=107 => self.back = Some(code % 10),
                48 => self.back = extended(&mut codes).or(self.back),
                49 => self.back = None,
                _ => {}
            }
        }
    }

    fn class(&self) -> String {
        let (text, back) = if self.inverse { (self.back, self.text) } else { (self.text, self.back) };
        let mut classes: Vec<String> = Vec::new();
        classes.extend(text.map(|colour| format!("ansi-{colour}")));
        classes.extend(back.map(|colour| format!("ansi-bg-{colour}")));
        let words = [
            (self.bold, "ansi-bold"),
            (self.dim, "ansi-dim"),
            (self.italic, "ansi-italic"),
            (self.underline, "ansi-underline"),
            (self.inverse && text.is_none() && back.is_none(), "ansi-inverse"),
        ];
        classes.extend(words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word.to_string()));
        classes.join(" ")
    }
}

/// `5;<of 256>` or `2;<red>;<green>;<blue>`, as the nearest of the eight.
fn extended(codes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    match codes.next()? {
        5 => Some(match codes.next()? {
            colour @ 0..=15 => colour % 8,
            colour @ 16..=231 => {
                let cube = colour - 16;
                nearest(cube / 36 * 51, cube / 6 % 6 * 51, cube % 6 * 51)
            }
            grey => nearest(8 + (grey - 232) * 10, 8 + (grey - 232) * 10, 8 + (grey - 232) * 10),
        }),
        2 => Some(nearest(codes.next()?, codes.next()?, codes.next()?)),
        _ => None,
    }
}

fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most - least < 48 {
        return if most < 160 { 0 } else { 7 };
    }
    let middle = least + (most - least) / 2;
    u8::from(red > middle) | u8::from(green > middle) << 1 | u8::from(blue > middle) << 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> Vec<(String, String)> {
        spans(line).into_iter().map(|span| (span.class, span.text)).collect()
    }

    fn expect(line: &str, wanted: &[(&str, &str)]) {
        let wanted: Vec<(String, String)> =
            wanted.iter().map(|(class, text)| (class.to_string(), text.to_string())).collect();
        assert_eq!(shown(line), wanted, "{line:?}");
    }

    #[test]
    fn colours_and_styles_become_classes() {
        expect(
            "plain \u{1b}[1;31mred\u{1b}[0m \u{1b}[2Kend",
            &[("", "plain "), ("ansi-1 ansi-bold", "red"), ("", " "), ("", "end")],
        );
        expect(
            "\u{1b}[97;44;4mx\u{1b}[49my",
            &[("ansi-7 ansi-bg-4 ansi-underline", "x"), ("ansi-7 ansi-underline", "y")],
        );
        expect("\u{1b}[32;7mx", &[("ansi-bg-2", "x")]);
        expect("\u{1b}[7mx\u{1b}[27my", &[("ansi-inverse", "x"), ("", "y")]);
    }

    #[test]
    fn a_colour_of_many_becomes_the_nearest_of_eight() {
        expect("\u{1b}[38;5;196mx", &[("ansi-1", "x")]);
        expect("\u{1b}[38;5;1;1mx", &[("ansi-1 ansi-bold", "x")]);
        expect("\u{1b}[38;2;10;200;30mx", &[("ansi-2", "x")]);
        expect("\u{1b}[48:5:250mx", &[("ansi-bg-7", "x")]);
        expect("\u{1b}[38mx", &[("", "x")]);
    }

    #[test]
    fn other_sequences_vanish_with_what_they_carry() {
        expect("a\u{1b}]0;title\u{fffd}b", &[("", "a"), ("", "b")]);
        expect("\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\!", &[("", "link"), ("", "!")]);
        expect("a\u{1b}(Bb\u{1b}=c\u{1b}", &[("", "a"), ("", "b"), ("", "c")]);
        expect("\u{1b}[\u{1b}[31", &[]);
    }
}
