//! Finds secrets where the other side repeats them, and replaces them before the guest sees them.
//!
//! An honest server repeats what it was sent in a handful of forms. Each is looked for: as it is, in base64 at each of
//! the three alignments and in both alphabets, percent-encoded, in hexadecimal, and escaped as JSON or HTML has it.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::connection::Secret;

/// What stands in a secret's place.
pub(super) const MARK: &str = "[secret]";
/// Parts of a secret that are looked for by themselves: the password of `user:password`, the lines of a key.
const SHORTEST_PART: usize = 6;

/// Knows the secrets of one call.
pub(super) struct Scrubber {
    automaton: Option<AhoCorasick>,
    /// For names of headers, which arrive in lower case.
    lower: Option<AhoCorasick>,
}

impl Scrubber {
    pub(super) fn new<'a>(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let needles = forms_of_secrets(secrets.map(Secret::expose));
        let build = |insensitive: bool| {
            // The patterns are few and short; building fails only for gigabytes of them.
            (!needles.is_empty()).then(|| {
                AhoCorasick::builder()
                    // It is built for each call and reads a few KiB: the faster kind takes longer to build than all else in
                    // the call.
                    .kind(Some(AhoCorasickKind::ContiguousNFA))
                    .match_kind(MatchKind::LeftmostLongest)
                    .ascii_case_insensitive(insensitive)
                    .build(&needles)
                    .ok()
            })
        };
        Self { automaton: build(false).flatten(), lower: build(true).flatten() }
    }

    /// The bytes without secrets, and whether there were any.
    pub(super) fn bytes(&self, bytes: Vec<u8>) -> (Vec<u8>, bool) {
        let Some(automaton) = &self.automaton else {
            return (bytes, false);
        };
        if !automaton.is_match(&bytes) {
            return (bytes, false);
        }
        let mut clean = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for found in automaton.find_iter(&bytes) {
            clean.extend_from_slice(&bytes[from..found.start()]);
            clean.extend_from_slice(MARK.as_bytes());
            from = found.end();
        }
        clean.extend_from_slice(&bytes[from..]);
        (clean, true)
    }

    pub(super) fn text(&self, text: &str) -> String {
        let (bytes, _) = self.bytes(text.as_bytes().to_vec());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Names and values of headers. A secret that was spread over several values goes with all of them.
    pub(super) fn headers(&self, headers: Vec<(String, Vec<u8>)>) -> Vec<(String, String)> {
        let all: Vec<u8> = headers.iter().flat_map(|(_, value)| value.iter().copied()).collect();
        let spread: Vec<_> = match &self.automaton {
            Some(automaton) => automaton.find_iter(&all).map(|found| found.range()).collect(),
            None => Vec::new(),
        };
        let mut at = 0;
        let mut clean = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let place = at..at + value.len();
            at = place.end;
            if self.lower.as_ref().is_some_and(|automaton| automaton.is_match(&name)) {
                continue;
            }
            let is_part_of_one = spread.iter().any(|secret| {
                let touches = secret.start < place.end && place.start < secret.end;
                touches && !(place.start <= secret.start && secret.end <= place.end)
            });
            let value = match is_part_of_one {
                true => MARK.to_owned(),
                false => String::from_utf8_lossy(&self.bytes(value).0).into_owned(),
            };
            clean.push((name, value));
        }
        clean
    }
}

/// Everything that the secrets may look like where they are repeated, their parts included.
pub fn forms_of_secrets<'a>(secrets: impl Iterator<Item = &'a [u8]>) -> BTreeSet<Vec<u8>> {
    let mut needles = BTreeSet::new();
    for secret in secrets {
        forms(secret, &mut needles);
        // Whoever reads it as text may end its lines in another way.
        if let Some(unix) = with_unix_lines(secret) {
            forms(&unix, &mut needles);
        }
        for part in parts(secret) {
            forms(part, &mut needles);
        }
    }
    needles
}

fn with_unix_lines(secret: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(secret).ok()?;
    text.contains("\r\n").then(|| text.replace("\r\n", "\n").into_bytes())
}

/// What of a secret is secret by itself.
fn parts(secret: &[u8]) -> impl Iterator<Item = &[u8]> {
    let colon = secret.iter().position(|byte| *byte == b':').filter(|at| *at > 0);
    let password = colon.map(|at| &secret[at + 1..]);
    let has_lines = secret.contains(&b'\n');
    let lines = secret
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(move |line| has_lines && line.len() > 16);
    password
        .into_iter()
        .chain(lines)
        .filter(|part| part.len() >= SHORTEST_PART && !part.starts_with(b"-----"))
}

fn forms(secret: &[u8], needles: &mut BTreeSet<Vec<u8>>) {
    needles.insert(secret.to_vec());
    for skipped in 0..3 {
        let mut shifted = vec![0; skipped];
        shifted.extend_from_slice(secret);
        // Only the characters that no neighbouring byte has a part in.
        let range = (skipped * 8).div_ceil(6)..shifted.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            needles.insert(encoded.as_bytes()[range.clone()].to_vec());
        }
    }
    needles.insert(hex::encode(secret).into_bytes());
    needles.insert(hex::encode_upper(secret).into_bytes());
    for is_kept in
        [is_unreserved as fn(u8) -> bool, is_kept_in_a_path, is_kept_in_a_form, is_kept_by_browsers, |_| {
            false
        }]
    {
        for is_upper in [true, false] {
            let encoded = percent(secret, is_kept, is_upper);
            needles.insert(encoded.replace("%20", "+").into_bytes());
            needles.insert(encoded.into_bytes());
        }
    }
    let text = String::from_utf8_lossy(secret);
    if let Ok(json) = serde_json::to_string(&text) {
        let json = &json[1..json.len() - 1];
        needles.insert(json.replace('/', "\\/").into_bytes());
        needles.insert(json.as_bytes().to_vec());
    }
    // As encoders write it that trust nothing but letters and digits, and those that only fear for HTML.
    for is_escaped in [(|c: char| !c.is_ascii_alphanumeric()) as fn(char) -> bool, |c| {
        "<>&'\u{2028}\u{2029}".contains(c) || !c.is_ascii()
    }] {
        let escaped = unicode(&text, is_escaped);
        needles.insert(escaped.replace('/', "\\/").into_bytes());
        needles.insert(escaped.into_bytes());
    }
    for quote in ["&#39;", "&#x27;", "&apos;", "'"] {
        let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        needles.insert(html.replace('\'', quote).into_bytes());
        needles.insert(html.replace('"', "&quot;").replace('\'', quote).into_bytes());
        needles.insert(html.replace('"', "&#34;").replace('\'', quote).into_bytes());
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_kept_in_a_path(byte: u8) -> bool {
    is_unreserved(byte) || b"/:@!$&'()*+,;=".contains(&byte)
}

/// The serializer of `application/x-www-form-urlencoded` (URL standard).
fn is_kept_in_a_form(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"*-._".contains(&byte)
}

/// `encodeURIComponent` (ECMA-262).
fn is_kept_by_browsers(byte: u8) -> bool {
    is_unreserved(byte) || b"!'()*".contains(&byte)
}

pub(super) fn percent(bytes: &[u8], is_kept: impl Fn(u8) -> bool, is_upper: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match (is_kept(byte), is_upper) {
            (true, _) => text.push(char::from(byte)),
            (false, true) => text.push_str(&format!("%{byte:02X}")),
            (false, false) => text.push_str(&format!("%{byte:02x}")),
        }
    }
    text
}

/// For a query or a form: everything but unreserved characters.
pub(super) fn percent_encoded(bytes: &[u8]) -> String {
    percent(bytes, is_unreserved, true)
}

fn unicode(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else if matches!(c, '"' | '\\') {
            escaped.push('\\');
            escaped.push(c);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "s3cr3t/+ \"quoted\"&<ü>";

    fn scrubber(secrets: &[&str]) -> Scrubber {
        let secrets: Vec<Secret> = secrets.iter().map(|text| Secret::new(*text)).collect();
        Scrubber::new(secrets.iter())
    }

    #[test]
    fn every_form_of_a_secret_is_replaced() {
        let scrubber = scrubber(&[SECRET]);
        let mut needles = BTreeSet::new();
        forms(SECRET.as_bytes(), &mut needles);
        assert!(needles.len() > 15, "{needles:?}");
        for needle in &needles {
            let text = [b"<", needle.as_slice(), b">"].concat();
            assert_eq!(scrubber.bytes(text).0, b"<[secret]>", "{}", String::from_utf8_lossy(needle));
        }
    }

    #[test]
    fn base64_is_found_wherever_the_secret_begins_in_it() {
        let scrubber = scrubber(&[SECRET]);
        for before in ["", "u", "us", "use", "user:"] {
            for after in ["", "x", "yz"] {
                let text = format!("{before}{SECRET}{after}");
                for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                    let (clean, found) = scrubber.bytes(encoded.into_bytes());
                    assert!(found && clean.len() < MARK.len() + 12, "{before} {after}");
                }
            }
        }
    }

    #[test]
    fn a_password_is_a_secret_without_its_user_as_well() {
        let scrubber = scrubber(&["admin:correct horse"]);
        assert_eq!(scrubber.text("correct horse of admin"), "[secret] of admin");
        assert_eq!(scrubber.text("correct+horse"), "[secret]");
    }

    #[test]
    fn a_form_is_recognised_whoever_encoded_it() {
        let scrubber = scrubber(&["s3cr3t ~*(value)"]);
        for form in ["s3cr3t+%7E*%28value%29", "s3cr3t+%7e*%28value%29", "s3cr3t%20~*(value)"] {
            assert_eq!(scrubber.text(form), MARK, "{form}");
        }
    }

    #[test]
    fn lines_are_secrets_however_they_end() {
        let scrubber = scrubber(&["first line of the key\r\nsecond line of the key\r\n"]);
        assert_eq!(scrubber.text("first line of the key\nsecond line of the key\n"), MARK);
        assert_eq!(scrubber.text("a second line of the key"), "a [secret]");
    }

    #[test]
    fn a_secret_spread_over_headers_goes_with_all_of_them() {
        let scrubber = scrubber(&["abcdefghij"]);
        let header = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        let clean = scrubber.headers(vec![
            header("a", "x abcdefghij y"),
            header("b", "-abcd"),
            header("c", "efghij-"),
            header("abcdefghij-d", "x"),
            header("e", "fine"),
        ]);
        let clean: Vec<(&str, &str)> = clean.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(clean, [("a", "x [secret] y"), ("b", MARK), ("c", MARK), ("e", "fine")]);
    }
}
