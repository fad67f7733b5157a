//! Submodules of a commit: what `.gitmodules` says, and which addresses it may name. Whoever may push writes the file.
//!
//! Nothing in it is run or followed: of each submodule only `path` and `url` are read. A URL obeys the rules of every
//! repository's, or leads to another repository of the same server.

use super::path::check_relative;
use super::remote::Remote;
use super::repository::redact_url;
use crate::error::{Error, Result};

/// Of one build, whatever their nesting.
pub const MOST: usize = 32;
/// Submodules of submodules of submodules, and no further.
pub const DEEPEST: usize = 3;
/// Of `.gitmodules`.
pub const LONGEST_FILE: usize = 64 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    pub path: String,
    pub url: String,
}

/// Reads `.gitmodules`.
///
/// # Errors
/// `Failed`, naming the line that makes no sense.
pub fn read(text: &str) -> Result<Vec<Module>> {
    let mut modules: Vec<Module> = Vec::new();
    let mut is_within = false;
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |why: &str| Error::failed(format!(".gitmodules, line {}: {why}", n + 1));
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header.strip_suffix(']').ok_or_else(|| wrong("a section has to end with `]`"))?;
            is_within = header.trim_start().to_ascii_lowercase().starts_with("submodule");
            if is_within {
                modules.push(Module::default());
            }
            continue;
        }
        let (Some(module), Some((key, text))) =
            (modules.last_mut().filter(|_| is_within), line.split_once('='))
        else {
            continue;
        };
        let place = match key.trim().to_ascii_lowercase().as_str() {
            "path" => &mut module.path,
            "url" => &mut module.url,
            _ => continue,
        };
        *place = value(text.trim()).ok_or_else(|| wrong("a value has to be plain, or between two quotes"))?;
    }
    Ok(modules)
}

/// A value without its quotes or the comment behind it; none for what git would put together from pieces.
fn value(text: &str) -> Option<String> {
    let text = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => text.split([';', '#']).next().unwrap_or_default().trim(),
    };
    (!text.contains(['"', '\\'])).then(|| text.to_owned())
}

/// Where the submodule at a path comes from, for a repository at the URL `parent`.
///
/// # Errors
/// `Failed` with the reason, for a path that nothing is said of, and for an address that is not taken.
pub fn address(modules: &[Module], path: &str, parent: &str) -> Result<String> {
    check_relative("path", path).map_err(|error| Error::failed(format!("a submodule: {error}")))?;
    let mut named = modules.iter().filter(|module| module.path.trim_end_matches('/') == path);
    let refused = |why: &str| Error::failed(format!("the submodule `{path}` is not fetched: {why}"));
    let module = match (named.next(), named.next()) {
        (Some(module), None) => module,
        (None, _) => return Err(refused(".gitmodules does not say where it comes from")),
        (Some(_), Some(_)) => return Err(refused(".gitmodules says twice where it comes from")),
    };
    let url = match module.url.starts_with("./") || module.url.starts_with("../") {
        true => beside(parent, &module.url).ok_or_else(|| {
            refused(&format!("its address `{}` leads out of the server", module.url.escape_debug()))
        })?,
        false => module.url.clone(),
    };
    match Remote::parse(&url) {
        Ok(_) => Ok(url),
        Err(why) => Err(refused(&format!("its address `{}` {why}", redact_url(&url).escape_debug()))),
    }
}

/// A relative address, as git takes it: from the repository itself, so that `../b` is its neighbour.
fn beside(parent: &str, relative: &str) -> Option<String> {
    let remote = Remote::parse(parent).ok().filter(|remote| !remote.path.contains(['?', '#']))?;
    let base = parent.strip_suffix(remote.path)?;
    let slash = if remote.path.starts_with('/') { "/" } else { "" };
    let mut parts: Vec<&str> = remote.path.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| format!("{base}{slash}{}", parts.join("/")))
}

/// Whether two addresses are of one server, reached in one way: credentials of the one may be shown to the other.
pub fn is_same_origin(one: &str, other: &str) -> bool {
    match (Remote::parse(one), Remote::parse(other)) {
        (Ok(one), Ok(other)) => {
            one.scheme.as_str() == other.scheme.as_str() && one.authority() == other.authority()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "https://git.example/team/app.git";

    fn at(parent: &str, url: &str) -> Result<String> {
        address(&[Module { path: "lib".into(), url: url.into() }], "lib", parent)
    }

    #[test]
    fn of_the_file_only_places_and_addresses_are_read() {
        let text = "# ours\n[core]\n\tpath = no\n[submodule \"a b\"]\n\tpath = libs/a ; here\n\turl = \"../a.git\"\n\
                    \tupdate = !rm -rf /\n\tignore\n[Submodule \"c\"]\npath=c\nURL=https://h/c\n[other]\nurl = x\n";
        let module = |path: &str, url: &str| Module { path: path.into(), url: url.into() };
        assert_eq!(read(text).expect("modules"), [module("libs/a", "../a.git"), module("c", "https://h/c")]);
        for (text, line) in [
            ("[submodule \"a\"", "line 1"),
            ("\n[submodule \"a\"]\nurl = a\\\nb", "line 3"),
            ("[submodule \"a\"]\nurl = \"a\"b\"", "line 2"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(line), "{error}");
        }
    }

    #[test]
    fn a_relative_address_stays_on_the_server() {
        for (parent, url, wanted) in [
            (PARENT, "../lib.git", Some("https://git.example/team/lib.git")),
            (PARENT, "./lib", Some("https://git.example/team/app.git/lib")),
            (PARENT, "../../lib", Some("https://git.example/lib")),
            (PARENT, "../../../lib", None),
            (PARENT, "../..", None),
            ("git@git.example:team/app.git", "../lib", Some("git@git.example:team/lib")),
            ("git@git.example:team/app.git", "../../../lib", None),
            ("ssh://git@git.example:2222/app", "../lib", Some("ssh://git@git.example:2222/lib")),
            ("https://git.example/app?x=/y", "../lib", None),
        ] {
            assert_eq!(at(parent, url).ok().as_deref(), wanted, "{parent} {url}");
        }
    }

    #[test]
    fn hostile_addresses_are_refused_with_a_reason() {
        for (url, why) in [
            ("ext::sh -c id", "blanks"),
            ("ext::id", "transport helper"),
            ("file:///etc/passwd", "scheme"),
            ("/etc/passwd", "no"),
            ("-u./payload", "no"),
            ("--upload-pack=id", "no"),
            ("ssh://-oProxyCommand=id/x", ""),
            ("https://a:b@git.example/x", "password"),
            ("", ""),
        ] {
            let error = at(PARENT, url).expect_err(url).to_string();
            assert!(error.contains("the submodule `lib` is not fetched") && error.contains(why), "{error}");
        }
        let twice = [
            Module { path: "lib".into(), url: "../a".into() },
            Module { path: "lib/".into(), url: "../b".into() },
        ];
        for (modules, path) in [(&twice[..], "lib"), (&[], "lib"), (&twice, "-x"), (&twice, "a/../lib")] {
            assert!(address(modules, path, PARENT).is_err(), "{path}");
        }
    }

    #[test]
    fn credentials_go_to_the_same_server_in_the_same_way() {
        for (other, is_same) in [
            ("https://Git.example:443/other", true),
            ("http://git.example/other", false),
            ("https://git.example:8443/other", false),
            ("https://git.example.evil/other", false),
            ("ssh://git.example/other", false),
        ] {
            assert_eq!(is_same_origin(PARENT, other), is_same, "{other}");
        }
        assert!(is_same_origin("git@git.example:a", "ssh://git@git.example/b"));
    }
}
