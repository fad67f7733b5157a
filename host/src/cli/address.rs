//! The server's address, and paths below it.

use reqwest::Url;

use super::failure::{Failure, Outcome};

/// The server's address as a person gives it.
///
/// # Errors
/// `Usage`, without repeating what was given: it may contain a password.
pub fn base_url(server: &str) -> Outcome<Url> {
    let wrong = || Failure::usage("The server's address has to look like http://127.0.0.1:8080.");
    let url = Url::parse(server.trim()).map_err(|_| wrong())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong());
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(wrong().advise(
            "Leave out everything but host, port and path; pass a token with --token or WINDLASS_TOKEN.",
        ));
    }
    Ok(url)
}

/// What a person typed becomes one segment each, whatever is in it.
pub fn extend(url: &mut Url, path: &[&str]) -> Outcome<()> {
    if let Some(odd) = path.iter().find(|part| matches!(**part, "" | "." | "..")) {
        return Err(Failure::usage(format!("`{odd}` is not a name, a number or an id.")));
    }
    let mut segments =
        url.path_segments_mut().map_err(|()| Failure::usage("The server's address has no path."))?;
    segments.pop_if_empty().extend(path);
    Ok(())
}

/// A proxy of the environment must not get between this machine and itself.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("").trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_typed_name_stays_one_segment_of_the_path() {
        let mut url = base_url("https://host/base/").unwrap();
        extend(&mut url, &["stacks", "a/../b?c"]).unwrap();
        assert_eq!(url.as_str(), "https://host/base/stacks/a%2F..%2Fb%3Fc");
        for odd in ["", ".", ".."] {
            assert_eq!(extend(&mut url, &[odd]).unwrap_err().exit_code(), 2);
        }
    }

    #[test]
    fn an_address_with_credentials_or_another_scheme_is_refused() {
        for odd in ["host:8080", "ftp://host", "http://user:secret@host", "http://host?token=secret", ""] {
            let failure = base_url(odd).unwrap_err();
            assert_eq!(failure.exit_code(), 2, "{odd}");
            assert!(!failure.what.contains("secret") && !failure.advice.contains("secret"));
        }
    }
}
