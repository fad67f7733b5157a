//! Words for bash.

/// Makes one word for bash of any text: printable, on one line, and never more than that word.
///
/// ```
/// use windlass_sdk::generator::Shell;
///
/// let shell = Shell::default();
/// assert_eq!(shell.word("v1.2"), "v1.2");
/// assert_eq!(shell.word("it's $(id)"), r"'it'\''s $(id)'");
/// assert_eq!(shell.word("two\nlines"), r"$'two\nlines'");
/// assert_eq!(Shell::avoiding("<<").word("1 << 2"), r"$'1 \x3c\x3c 2'");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Shell {
    opening: &'static str,
}

impl Shell {
    /// For a command inside of a language that has expressions of its own, which begin like this: `${{`, `<<`. They do not
    /// occur in any word. The first character has to be ASCII.
    pub const fn avoiding(opening: &'static str) -> Self {
        Self { opening }
    }

    /// Whether the language around the command would take a part of the text for an expression of its own.
    pub fn is_expression(&self, text: &str) -> bool {
        !self.opening.is_empty() && text.contains(self.opening)
    }

    /// The text as one word. NUL, which no argument can hold, has to be refused before; it is left out.
    pub fn word(&self, text: &str) -> String {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:@%+,-".contains(&b)) {
            return text.to_owned();
        }
        if text.chars().all(is_visible) && !self.is_expression(text) {
            return format!("'{}'", text.replace('\'', r"'\''"));
        }
        let opening = self.opening.chars().next();
        let mut word = String::from("$'");
        for c in text.chars().filter(|c| *c != '\0') {
            match c {
                c if Some(c) == opening => word.push_str(&format!("\\x{:02x}", c as u32)),
                '\n' => word.push_str("\\n"),
                '\t' => word.push_str("\\t"),
                '\'' | '\\' => word.extend(['\\', c]),
                c if !is_visible(c) => {
                    let mut buffer = [0; 4];
                    let bytes = c.encode_utf8(&mut buffer).bytes();
                    word.extend(bytes.map(|byte| format!("\\x{byte:02x}")));
                }
                c => word.push(c),
            }
        }
        word + "'"
    }

    /// The path as one word that no program takes for an option or looks for elsewhere.
    pub fn path(&self, path: &str) -> String {
        let is_plain = path.contains('/') && !path.starts_with('-');
        if is_plain { self.word(path) } else { self.word(&format!("./{path}")) }
    }
}

/// Whether a reader sees the character where it stands. Line ends that only some languages know and marks that turn the
/// direction of the text are not.
pub(super) fn is_visible(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
        && (c as u32) & 0xfffe != 0xfffe
}
