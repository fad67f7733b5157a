//! Reading a delivery's headers and body.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::{Delivery, Failure};

/// The failure for a body that is not what its headers promise. Say what is wrong and what would be right.
pub fn malformed(message: impl Into<String>) -> Failure {
    Failure::permanent("malformed-payload", message)
}

impl Delivery {
    /// The first header of this name, which has to be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads the body as JSON. A body of the type `application/x-www-form-urlencoded` has it in the field `payload`.
    ///
    /// # Errors
    /// [`malformed`], naming the field or the place that is wrong.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let json = self.json_text()?;
        // serde would take a list for an object.
        match json.trim_ascii_start().first() {
            Some(b'{') => {}
            Some(_) => return Err(malformed("The body is no JSON object: it does not begin with `{`.")),
            None => return Err(malformed("The body is empty; it has to be a JSON object.")),
        }
        serde_json::from_slice(&json).map_err(|error| {
            let advice = if error.is_data() { "is not of the expected shape" } else { "is no JSON" };
            malformed(format!("The body {advice}: {error}."))
        })
    }

    fn json_text(&self) -> Result<Cow<'_, [u8]>, Failure> {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Ok(Cow::Borrowed(&self.body));
        }
        let field = self.body.split(|&byte| byte == b'&').find_map(|pair| pair.strip_prefix(b"payload="));
        let Some(field) = field else {
            return Err(malformed("The body is sent as a form, but has no field `payload`."));
        };
        Ok(Cow::Owned(form_decoded(field)))
    }
}

/// `+` is a blank and `%41` is an A. A `%` without two digits stands for itself, as in browsers.
fn form_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match (byte, digit(at), digit(at + 1)) {
            (b'%', Some(high), Some(low)) => {
                // Two hexadecimal digits fit into a byte.
                decoded.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn delivery(kind: &str, body: &str) -> Delivery {
        Delivery {
            headers: vec![("content-type".to_owned(), kind.to_owned())],
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_form_carries_the_json_in_its_field_payload() {
        let body = "x=1&payload=%7B%22a%22%3A%22b+c%2B%C3%A4%22%7D&y=2";
        let read: Value =
            delivery("application/x-www-form-urlencoded; charset=utf-8", body).json().expect("it is good");
        assert_eq!(read, json!({ "a": "b c+ä" }));
    }

    #[test]
    fn a_form_without_payload_is_malformed_and_says_so() {
        let failure =
            delivery("application/x-www-form-urlencoded", "a=b").json::<Value>().expect_err("it is bad");
        assert_eq!(failure.code, "malformed-payload");
        assert!(failure.message.contains("`payload`"), "{}", failure.message);
    }

    #[test]
    fn a_percent_sign_at_the_end_stands_for_itself() {
        assert_eq!(form_decoded(b"a%"), b"a%");
        assert_eq!(form_decoded(b"%4"), b"%4");
        assert_eq!(form_decoded(b"%zz"), b"%zz");
    }

    #[test]
    fn an_empty_and_a_broken_body_are_told_apart() {
        let message =
            |body| delivery("application/json", body).json::<Value>().expect_err("it is bad").message;
        assert!(message("").contains("empty"));
        assert!(message("{\"a\":").contains("no JSON"));
    }
}
