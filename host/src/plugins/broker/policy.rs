//! Whether a request may be sent: the manifest asks for it, the operator grants it, the connection has it.

use url::Url;

use super::connection::Connection;
use super::path::{self, Origin, Target};
use super::refusal::Refusal;
use crate::domain::plugin::Permission;

/// What stands for sending a mail where others have an HTTP method.
pub(in crate::plugins) const MAIL: &str = "MAIL";

/// What a target is to the connection. Only its own origin gets credentials and may be private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Own,
    Extra,
}

/// Says to whom the target belongs, or why it may not be asked.
pub(super) fn authorise(
    connection: &Connection,
    permissions: &[Permission],
    method: &str,
    target: &Target,
) -> Result<Audience, Refusal> {
    let has_method = |permission: &Permission| {
        permission.methods.is_empty() || permission.methods.iter().any(|m| m == method)
    };
    if target.origin == *connection.origin() {
        let Some(path) = target.below(connection.base_path()) else {
            return Err(Refusal::denied("origin", "the path is not below the connection's base URL"));
        };
        if !connection.grants("http:self") {
            return Err(Refusal::denied(
                "grant",
                "the operator did not grant `http:self`, which requests to the connection need",
            ));
        }
        let asked =
            permissions.iter().any(|permission| has_method(permission) && path::fits(&permission.path, path));
        return if asked { Ok(Audience::Own) } else { Err(not_asked(method, path)) };
    }
    let mut known = false;
    for permission in permissions {
        let Some(pattern) = ExtraPattern::parse(&permission.path).filter(|p| p.covers(&target.origin)) else {
            continue;
        };
        known = true;
        if !has_method(permission) || !path::fits(&pattern.path, &target.path) {
            continue;
        }
        let entry = format!("http:{}", pattern.origin);
        if connection.grants(&entry) {
            return Ok(Audience::Extra);
        }
        return Err(Refusal::denied(
            "grant",
            format!("the operator did not grant `{entry}`, which requests to {} need", target.origin),
        ));
    }
    if known {
        return Err(not_asked(method, &target.path));
    }
    Err(Refusal::denied(
        "origin",
        format!("{} is neither the connection's origin nor one that the manifest asks for", target.origin),
    ))
}

/// Whether the plugin may send mails to the connection's server: the method `MAIL` of its permissions.
pub(super) fn authorise_mail(connection: &Connection, permissions: &[Permission]) -> Result<(), Refusal> {
    let server =
        Target { origin: connection.origin().clone(), path: connection.base_path().to_owned(), query: None };
    authorise(connection, permissions, MAIL, &server).map(|_| ())
}

fn not_asked(method: &str, path: &str) -> Refusal {
    Refusal::denied("permission", format!("the manifest asks for no permission that covers {method} {path}"))
}

/// `https://host[:port]/path`, where the host may begin with `*.` for all names below.
struct ExtraPattern {
    /// As the manifest wrote it, because the operator grants it so.
    origin: String,
    host: String,
    is_tls: bool,
    port: u16,
    path: String,
}

impl ExtraPattern {
    fn parse(pattern: &str) -> Option<Self> {
        let (scheme, rest) = pattern.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // `*` is no character of a host, so the name below is read in its place.
        let (below, readable) = match authority.strip_prefix("*.") {
            Some(parent) => ("*.", parent),
            None => ("", authority),
        };
        let origin = Origin::of(&Url::parse(&format!("{scheme}://{readable}")).ok()?)?;
        Some(Self {
            origin: format!("{scheme}://{authority}"),
            host: format!("{below}{}", origin.host),
            is_tls: origin.is_tls,
            port: origin.port,
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        })
    }

    fn covers(&self, origin: &Origin) -> bool {
        let host_fits = match self.host.strip_prefix('*') {
            // The dot stays, so that `*.a.example` is neither `a.example` nor `xa.example`.
            Some(suffix) => origin.host.len() > suffix.len() && origin.host.ends_with(suffix),
            None => origin.host == self.host,
        };
        host_fits && origin.is_tls == self.is_tls && origin.port == self.port
    }
}

/// What is wrong with a permission's path, for the check of a manifest.
pub(in crate::plugins) fn check_pattern(pattern: &str) -> Result<(), &'static str> {
    if pattern.starts_with('/') {
        return Ok(());
    }
    let host = pattern.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
    let is_wide = host.starts_with("*.") && !host.trim_start_matches("*.").contains('.');
    if is_wide || host.contains('@') || host.matches('*').count() > usize::from(host.starts_with("*.")) {
        return Err("names a host that is too wide or has a user");
    }
    match ExtraPattern::parse(pattern) {
        Some(_) => Ok(()),
        None => Err("begins neither with `/` nor with `https://` and a host"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(methods: &[&str], path: &str) -> Permission {
        Permission {
            methods: methods.iter().map(|&method| method.to_owned()).collect(),
            path: path.into(),
            reason: String::new(),
        }
    }

    fn judge(connection: &Connection, method: &str, written: &str) -> Result<Audience, &'static str> {
        let permissions = [
            permission(&["GET"], "/repos/**"),
            permission(&[], "/any"),
            permission(&["GET"], "https://extra.example/files/**"),
            permission(&["GET"], "https://*.store.example:8443/**"),
        ];
        let target =
            Target::parse(written, connection.origin(), connection.base_path()).expect("it is a target");
        authorise(connection, &permissions, method, &target).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn manifest_and_grant_and_connection_have_to_agree() {
        let connection = Connection::new("c", "https://ci.example/api/")
            .expect("a connection")
            .grant(&["http:self", "http:https://*.store.example:8443"]);
        for (method, written, wanted) in [
            ("GET", "/repos/a", Ok(Audience::Own)),
            ("GET", "https://ci.example/api/repos/a", Ok(Audience::Own)),
            ("POST", "/repos/a", Err("permission")),
            ("DELETE", "/any", Ok(Audience::Own)),
            ("GET", "/other", Err("permission")),
            ("GET", "https://ci.example/repos/a", Err("origin")),
            ("GET", "http://ci.example/api/repos/a", Err("origin")),
            ("GET", "https://ci.example:444/api/repos/a", Err("origin")),
            ("GET", "https://extra.example/files/a", Err("grant")),
            ("GET", "https://a.b.store.example:8443/x", Ok(Audience::Extra)),
            ("GET", "https://store.example:8443/x", Err("origin")),
            ("GET", "https://xstore.example:8443/x", Err("origin")),
            ("POST", "https://a.store.example:8443/x", Err("permission")),
            ("GET", "https://evil.example/", Err("origin")),
        ] {
            assert_eq!(judge(&connection, method, written), wanted, "{method} {written}");
        }
        let nothing = connection.grant(&[]);
        assert_eq!(judge(&nothing, "GET", "/repos/a"), Err("grant"));
    }

    #[test]
    fn a_pattern_is_a_path_or_an_origin_that_is_not_too_wide() {
        for good in ["/a", "https://a.example/**", "https://*.a.example", "http://a.example:80/x"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in [
            "a",
            "",
            "https://*/x",
            "https://*.com/",
            "https://u@a.example",
            "ftp://a.example",
            "https://a.*.b/",
        ] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
