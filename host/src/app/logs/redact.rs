//! Replaces secrets before a line reaches the disk.
//!
//! A secret is found as it is, in base64 at any alignment, percent-encoded, escaped as JSON or HTML has it, and in
//! hexadecimal; of a secret with several lines, each line is one by itself. Lines are whole when they come here, however
//! the program's output was cut on its way.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::docker::LINE_CUT;
use crate::plugins::broker::forms_of_secrets;

const MARK: &str = "***";
/// Shorter ones would blot out ordinary words.
const SHORTEST: usize = 4;

pub(super) struct Redactor {
    forms: Option<AhoCorasick>,
    longest: usize,
}

impl Redactor {
    pub fn new(secrets: &[String]) -> Self {
        let secrets = secrets.iter().map(|secret| secret.trim().as_bytes());
        let mut needles = forms_of_secrets(secrets.filter(|secret| secret.len() >= SHORTEST));
        needles.retain(|needle| needle.len() >= SHORTEST);
        let longest = needles.iter().map(Vec::len).max().unwrap_or_default();
        let build = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&needles).ok();
        // The patterns are few and short; building fails only for gigabytes of them.
        Self { forms: (!needles.is_empty()).then(build).flatten(), longest }
    }

    pub fn clean<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(forms) = &self.forms else { return Cow::Borrowed(text) };
        let text = self.without_torn_end(text);
        if !forms.is_match(text.as_ref()) {
            return text;
        }
        let (mut clean, mut from) = (Vec::with_capacity(text.len()), 0);
        for found in forms.find_iter(text.as_ref()) {
            clean.extend_from_slice(&text.as_bytes()[from..found.start()]);
            clean.extend_from_slice(MARK.as_bytes());
            from = found.end();
        }
        clean.extend_from_slice(&text.as_bytes()[from..]);
        Cow::Owned(String::from_utf8_lossy(&clean).into_owned())
    }

    /// Where an endless line was cut, a secret may have been cut as well, and its beginning would not be known again.
    fn without_torn_end<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(kept) = text.strip_suffix(LINE_CUT) else { return Cow::Borrowed(text) };
        let end = kept.floor_char_boundary(kept.len().saturating_sub(self.longest));
        Cow::Owned(format!("{}{LINE_CUT}", &kept[..end]))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "p4ss/w+rd \"q\"";

    fn redactor() -> Redactor {
        Redactor::new(&[SECRET.to_string()])
    }

    #[test]
    fn a_secret_is_replaced_in_every_form_it_takes() {
        let hex = hex::encode(SECRET);
        let forms = [
            SECRET.to_string(),
            STANDARD.encode(format!("user:{SECRET}")),
            URL_SAFE.encode(format!("x{SECRET}y")),
            "p4ss%2Fw%2Brd%20%22q%22".into(),
            "p4ss%2fw%2brd%20%22q%22".into(),
            "p4ss%2Fw%2Brd+%22q%22".into(),
            r#"p4ss/w+rd \"q\""#.into(),
            r#"p4ss\/w+rd \"q\""#.into(),
            hex.to_uppercase(),
            hex,
        ];
        for form in forms {
            let clean = redactor().clean(&format!("a {form} z")).into_owned();
            assert!(
                clean.starts_with("a ") && clean.ends_with(" z") && clean.contains(MARK),
                "{form}: {clean}"
            );
            assert!(clean.len() < form.len() + 4, "{form}: {clean}");
        }
    }

    #[test]
    fn each_line_of_a_key_is_a_secret() {
        let key = "-----BEGIN KEY-----\nabcdefghijklmnopqrstuvwxyz\nABCDEFGHIJKLMNOPQRSTUVWXYZ\n-----END KEY-----\n";
        let redactor = Redactor::new(&[key.to_string()]);
        assert_eq!(redactor.clean("has ABCDEFGHIJKLMNOPQRSTUVWXYZ in it"), "has *** in it");
        assert_eq!(redactor.clean(&format!("{key}!")), "***\n!");
    }

    #[test]
    fn a_secret_at_the_end_of_a_cut_line_is_not_shown_by_half() {
        let long = format!("{}{}{LINE_CUT}", "x".repeat(200), &SECRET[..9]);
        let clean = redactor().clean(&long).into_owned();
        assert!(!clean.contains("p4s") && clean.starts_with("xxx") && clean.ends_with(LINE_CUT), "{clean}");
    }

    #[test]
    fn a_secret_of_three_characters_blots_out_nothing() {
        assert_eq!(Redactor::new(&["the".to_string()]).clean("the word"), "the word");
    }
}
