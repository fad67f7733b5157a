//! A git repository of a stack (seed 2, `GitRepository`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Id, UnixMs};
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRepository {
    pub id: Id,
    pub stack_id: Id,
    pub url: String,
    /// Default branch to deploy.
    pub branch: String,
    pub auth_type: GitAuthType,
    /// Sealed JSON of [`GitCredentials`].
    pub credentials: Option<String>,
    /// Sealed.
    pub webhook_secret: Option<String>,
    /// Sealed: what the secret was before it was rotated.
    pub previous_webhook_secret: Option<String>,
    /// Until when the previous one counts as well.
    pub previous_webhook_secret_until: Option<UnixMs>,
    pub webhook_url: Option<String>,
    /// Name of the forge plugin.
    pub provider: String,
    pub auto_sync: bool,
    pub last_synced_at: Option<UnixMs>,
    pub last_synced_commit: Option<String>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// What a person writes of a repository, in the clear. Unknown fields are refused.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryInput {
    pub url: String,
    #[serde(default = "main_branch")]
    pub branch: String,
    /// Name of the forge plugin.
    #[serde(default = "generic")]
    pub provider: String,
    #[serde(default)]
    pub auth_type: GitAuthType,
    /// Left out in a change: the stored ones are kept.
    #[serde(default)]
    pub credentials: Option<GitCredentials>,
    /// Left out when creating: one is made. Left out in a change: the stored one is kept.
    #[serde(default)]
    pub webhook_secret: Option<String>,
    /// Whether to look at the git server regularly, for repositories that cannot send webhooks.
    #[serde(default)]
    pub auto_sync: bool,
}

impl std::fmt::Debug for RepositoryInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepositoryInput").field("url", &redact_url(&self.url)).finish_non_exhaustive()
    }
}

fn main_branch() -> String {
    "main".into()
}

fn generic() -> String {
    "generic".into()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GitAuthType {
    #[default]
    None,
    SshKey,
    HttpToken,
}

impl GitAuthType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SshKey => "ssh_key",
            Self::HttpToken => "http_token",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::SshKey, Self::HttpToken].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// In the clear only while in use; stored sealed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitCredentials {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
}

impl std::fmt::Debug for GitCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GitCredentials(…)")
    }
}

/// Accepts `https://`, `http://`, `ssh://`, `git://` and `user@host:path`; nothing that git would run or read locally.
///
/// The form `ext::…`, option-like hosts (`ssh://-oProxyCommand=…`, CVE-2017-1000117) and user names, and embedded
/// passwords are refused.
pub fn check_url(url: &str) -> Result<()> {
    let refuse = |why: &str| {
        Err(Error::invalid("repository.url", format!("`{}` {why}", redact_url(url).escape_debug())))
    };
    if url.len() > 2048 || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("contains blanks or control characters, or is longer than 2048 bytes");
    }
    let (user_host, has_scheme) = match url.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => (rest.split('/').next().unwrap_or(""), true),
        Some(_) => return refuse("has a scheme that is not supported; take https, http, ssh or git"),
        None if url.contains("::") => return refuse("names a transport helper, which is never run"),
        None => match url.split_once(':') {
            Some((user_host, path)) if user_host.contains('@') && !path.is_empty() => (user_host, false),
            _ => {
                return refuse(
                    "is not a repository URL; write https://host/path, ssh://user@host/path or user@host:path",
                );
            }
        },
    };
    let (user, host) = match user_host.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", user_host),
    };
    if user.contains(':') && has_scheme {
        return refuse("contains a password; store it as the repository's credential instead");
    }
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
        return refuse("has no usable host or user name");
    }
    if !user.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'%')) {
        return refuse("has a user name with unusual characters");
    }
    Ok(())
}

/// Leaves out what stands between `://` and `@`.
pub fn redact_url(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}…{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_string(),
    }
}

/// What is left of a URL when scheme, user, `.git` and trailing slashes do not count: two URLs of one repository are equal.
pub fn normalized_url(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (host, path) = match rest.split_once('/') {
        Some((host, path))
            if !host.contains(':')
                || host.split_once(':').is_some_and(|(_, p)| p.bytes().all(|b| b.is_ascii_digit())) =>
        {
            (host, path)
        }
        _ => rest.split_once(':').unwrap_or((rest, "")),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{}/{}", host.to_ascii_lowercase(), path.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_one_repository_are_equal_once_normalized() {
        let forms = [
            "https://Forge.example/Team/App.git",
            "http://forge.example/team/app/",
            "ssh://git@forge.example/team/app.git",
            "git@forge.example:team/app.git",
            "git://forge.example/team/app",
        ];
        for form in forms {
            assert_eq!(normalized_url(form), "forge.example/team/app", "{form}");
        }
        assert_eq!(normalized_url("http://127.0.0.1:8080/a/b.git"), "127.0.0.1:8080/a/b");
    }

    #[test]
    fn urls_that_would_run_something_are_refused() {
        for url in [
            "ext::sh -c id",
            "EXT::x",
            "file:///etc",
            "/srv/repo",
            "ssh://-oProxyCommand=id/x",
            "ssh://-l@h/x",
            "https://user:pass@h/x",
            "https://",
            "a b",
            "../x",
            "https:///x",
            "-uhost:path",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        for url in
            ["https://h/x.git", "http://127.0.0.1:3000/x", "ssh://git@h:22/x", "git@h:x/y.git", "git://h/x"]
        {
            assert!(check_url(url).is_ok(), "{url}");
        }
    }
}
