//! Text that a guest wrote is bounded and scrubbed before anyone stores, prints or logs it.

use crate::domain::text::is_deceptive;

/// Most bytes kept of a message, label or reason.
pub(super) const MESSAGE_BYTES: usize = 4096;

/// One line: line ends and tabs become blanks, other control characters vanish, what is longer than `max` bytes is cut.
pub(super) fn line(text: &str, max: usize) -> String {
    clean(text, max, |c| if matches!(c, '\n' | '\r' | '\t') { Some(' ') } else { None })
}

/// Like [`line`], but line ends and tabs stay: for text that has lines by nature, such as a commit's message.
pub(super) fn block(text: &str, max: usize) -> String {
    clean(text, max, |c| matches!(c, '\n' | '\t').then_some(c))
}

fn clean(text: &str, max: usize, keep: impl Fn(char) -> Option<char>) -> String {
    const MARK: &str = "…";
    let mut kept = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let c = match keep(c) {
            Some(c) => c,
            None if is_deceptive(c) => continue,
            None => c,
        };
        if kept.len() + c.len_utf8() > max {
            while kept.len() + MARK.len() > max && kept.pop().is_some() {}
            kept.push_str(MARK);
            break;
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters_and_no_line_ends() {
        assert_eq!(line("a\x1b[31mb\nc\u{202e}d\0", 100), "a[31mb cd");
    }

    #[test]
    fn a_block_keeps_its_lines() {
        assert_eq!(block("a\r\n\tb\x07", 100), "a\n\tb");
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_marked() {
        let cut = line(&"ä".repeat(100), 16);
        assert_eq!(cut, "ääääää…");
        assert!(cut.len() <= 16);
        assert_eq!(line("exact", 5), "exact");
    }
}
