//! Cookies of a request (RFC 6265): what a browser sends back, and what anybody can make up.

/// The value of the first cookie of that name in the texts of all headers `Cookie`.
pub fn find<'h>(headers: impl Iterator<Item = &'h str>, name: &str) -> Option<&'h str> {
    headers
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_in_any_header() {
        let found = |name| find(["a=1; seat=42=x", "b=2;c"].into_iter(), name);
        assert_eq!(
            (found("seat"), found("b"), found("eat"), found("c")),
            (Some("42=x"), Some("2"), None, None)
        );
    }
}
