//! What adapters check in every answer: nothing unbounded, nothing cut that identifies something, no odd URLs.

use super::call::{CallError, nonsense};
use super::text::{self, MESSAGE_BYTES};
use crate::domain::UnixMs;

/// Most bytes of an id or a cursor.
const ID_BYTES: usize = 1024;
const CURSOR_BYTES: usize = 4096;

/// A value that identifies something is taken whole or not at all: cut, it would name something else. Whether it is
/// well-formed is for those to say who use it.
pub(super) fn whole(what: &str, value: String) -> Result<String, CallError> {
    within(what, value, MESSAGE_BYTES)
}

/// The other side's name for something; the host only hands it back.
pub(super) fn id(what: &str, value: String) -> Result<String, CallError> {
    if value.is_empty() {
        return Err(nonsense(format!("an empty {what}")));
    }
    within(what, value, ID_BYTES)
}

/// Where to go on next time; the host only hands it back.
pub(super) fn cursor(value: String) -> Result<String, CallError> {
    within("cursor", value, CURSOR_BYTES)
}

/// A page for people. What is no plain web address is not shown as one: a link to `javascript:` is worse than none.
pub(super) fn link(value: Option<String>) -> Option<String> {
    value.filter(|url| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        url.len() <= MESSAGE_BYTES
            && !authority.is_empty()
            && !authority.contains('@')
            && url.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\`".contains(&b))
    })
}

pub(super) fn count(what: &str, found: usize, max: usize) -> Result<(), CallError> {
    if found > max {
        return Err(nonsense(format!("{found} {what} (at most {max} make sense)")));
    }
    Ok(())
}

/// Points in time that the host cannot write are the last one it can.
pub(super) fn time(at: u64) -> UnixMs {
    UnixMs::try_from(at).unwrap_or(UnixMs::MAX)
}

/// One line for people.
pub(super) fn words(value: &str) -> String {
    text::line(value, 1024)
}

fn within(what: &str, value: String, max: usize) -> Result<String, CallError> {
    if value.len() > max {
        return Err(nonsense(format!("a {what} of more than {max} bytes")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_become_links() {
        let kept = |url: &str| link(Some(url.to_owned())).is_some();
        assert!(kept("https://ci.example/job/7") && kept("http://10.0.0.1:8080/x?y=1"));
        for odd in [
            "javascript:alert(1)",
            "https://",
            "https://user:pw@ci.example/",
            "https://a b",
            "https://a\"",
            "/x",
            "",
        ] {
            assert!(!kept(odd), "{odd}");
        }
    }
}
