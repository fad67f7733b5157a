//! A git repository of a stack (seed 2, `GitRepository`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::remote::{Remote, end_of_authority};
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
    /// Whether the forge is shown what becomes of its commits.
    pub commit_status: bool,
    /// Why the forge could not be shown the last one.
    pub commit_status_error: Option<String>,
    /// The forge's id of the webhook that this server has registered there.
    pub hook_id: Option<String>,
    /// Why the forge could not be told of the webhook as it is now.
    pub hook_error: Option<String>,
    pub last_synced_at: Option<UnixMs>,
    pub last_synced_commit: Option<String>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

impl GitRepository {
    /// Whether there is a token that a forge's API may take. Keys are for git alone.
    pub fn has_token(&self) -> bool {
        self.auth_type == GitAuthType::HttpToken && self.credentials.is_some()
    }
}

/// What a person writes of a repository, in the clear. Unknown fields are refused.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RepositoryInput {
    pub url: String,
    /// Branch to deploy. Left out: the stored one, for the same repository; else the one that a clone checks out, or `main` where
    /// the git server does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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
    /// Whether the forge is shown what becomes of each commit, with the repository's token.
    #[serde(default = "yes")]
    pub commit_status: bool,
}

impl std::fmt::Debug for RepositoryInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepositoryInput").field("url", &redact_url(&self.url)).finish_non_exhaustive()
    }
}

fn yes() -> bool {
    true
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
    /// With authType `ssh_key` git's key; with `http_token` that of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
    /// With authType `http_token` and instead of `token`: the app whose private key tokens are made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// Where that app is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// With authType `http_token` and instead of `token`: the OAuth application that the refresh token was given to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// That application's secret, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// What tokens are made from. Where the forge replaces it each time, the newest is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
}

impl GitCredentials {
    /// Whether they are an app's, from whose key tokens are made.
    pub fn is_app(&self) -> bool {
        self.app_id.is_some() || self.installation_id.is_some()
    }

    /// Whether they are an OAuth application's, whose refresh token is traded for tokens.
    pub fn is_oauth(&self) -> bool {
        self.client_id.is_some() || self.refresh_token.is_some()
    }

    /// The first thing that this way of logging in needs and that is not there.
    pub fn missing(&self, auth_type: GitAuthType) -> Option<&'static str> {
        match auth_type {
            GitAuthType::HttpToken if self.is_app() => [
                ("appId", &self.app_id),
                ("installationId", &self.installation_id),
                ("privateKey", &self.private_key),
            ]
            .into_iter()
            .find_map(|(name, value)| value.is_none().then_some(name)),
            // A client secret alone is half of an OAuth application.
            GitAuthType::HttpToken
                if self.is_oauth() || (self.client_secret.is_some() && self.token.is_none()) =>
            {
                [("clientId", &self.client_id), ("refreshToken", &self.refresh_token)]
                    .into_iter()
                    .find_map(|(name, value)| value.is_none().then_some(name))
            }
            GitAuthType::HttpToken if self.token.is_none() => Some("token"),
            GitAuthType::SshKey if self.private_key.is_none() => Some("privateKey"),
            _ => None,
        }
    }
}

impl std::fmt::Debug for GitCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GitCredentials(…)")
    }
}

/// Refuses what [`Remote::parse`] does.
pub fn check_url(url: &str) -> Result<()> {
    let refused =
        |why| Error::invalid("repository.url", format!("`{}` {why}", redact_url(url).escape_debug()));
    Remote::parse(url).map(|_| ()).map_err(refused)
}

/// Leaves out who logs in. Of a URL that is none of a repository, all is left out that could be a password.
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = if Remote::parse(url).is_ok() { end_of_authority(rest) } else { rest.len() };
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://…{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// What is left of a URL when scheme, user, usual port, `.git` and trailing slashes do not count: two URLs of one repository
/// are equal. What is no URL of a repository is only equal to itself. The database has it in `git_repositories.url_key`: whoever
/// changes what it answers empties that column by a migration.
pub fn normalized_url(url: &str) -> String {
    let bare = without_user(url);
    let Ok(remote) = Remote::parse(&bare) else { return bare.to_ascii_lowercase() };
    let path = remote.path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    format!("{}/{}", remote.authority(), path.to_ascii_lowercase())
}

/// Forges and people put all kinds of users and passwords there.
fn without_user(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    match rest[..end_of_authority(rest)].rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
        None => Cow::Borrowed(url),
    }
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
        assert_eq!(normalized_url("https://u:p@forge.example:443/a"), "forge.example/a");
        let other = "https://good.example/@forge.example/team/app";
        assert_eq!(normalized_url(other), "good.example/@forge.example/team/app");
    }

    #[test]
    fn a_shown_url_has_its_host_and_no_credentials() {
        for (url, shown) in [
            ("https://u@h/x", "https://…@h/x"),
            ("https://u:p@h/x", "https://…@h/x"),
            ("https://u:p/q@h/x", "https://…@h/x"),
            ("https://good.example/@evil.example/x", "https://good.example/@evil.example/x"),
            ("git@h:x", "git@h:x"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
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
