//! What comes piece by piece, and what is shown of it.

use windlass::cli::EventParser;
use windlass::docker::Lines;
use windlass::domain::cookie;
use windlass::web::spans;

use super::halves;

/// Two pieces of an input, wherever its first byte says.
fn pieces(text: &str) -> (&[u8], &[u8]) {
    let bytes = text.as_bytes();
    let at = bytes.first().map_or(0, |first| usize::from(*first) % (bytes.len() + 1));
    bytes.split_at(at)
}

/// A cookie that is found was sent under that name.
pub fn cookie(text: &str) {
    let (name, headers) = halves(text);
    if let Some(value) = cookie::find(headers.lines(), name) {
        assert!(headers.contains(&format!("{name}={value}")) && !value.contains(';'), "{text:?}");
    }
}

/// Lines are the same however they arrive.
pub fn lines(text: &str) {
    let read = |pieces: &[&[u8]]| {
        let (mut all, mut lines) = (Vec::new(), Lines::default());
        for piece in pieces {
            lines.push(piece, |line| all.push(line));
        }
        all.extend(lines.finish());
        all
    };
    let (one, other) = pieces(text);
    let found = read(&[one, other]);
    assert_eq!(found, read(&[text.as_bytes()]), "{text:?}");
    assert!(found.iter().all(|line| !line.contains(['\n', '\r'])), "{text:?}");
}

/// Events are the same however they arrive.
pub fn sse(text: &str) {
    let read = |pieces: &[&[u8]]| {
        let mut parser = EventParser::default();
        pieces.iter().flat_map(|piece| parser.push(piece)).collect::<Vec<_>>()
    };
    let (one, other) = pieces(text);
    assert_eq!(read(&[one, other]), read(&[text.as_bytes()]), "{text:?}");
}

/// A page gets only classes of ours, and no more text than there was.
pub fn colours(text: &str) {
    let found = spans(text);
    let is_class = |class: &str| class.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ' '));
    assert!(found.iter().all(|span| is_class(&span.class) && !span.text.contains('\u{1b}')), "{text:?}");
    assert!(found.iter().map(|span| span.text.len()).sum::<usize>() <= text.len(), "{text:?}");
}
