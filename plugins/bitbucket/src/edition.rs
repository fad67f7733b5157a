//! Cloud or Data Center, and what either needs to be allowed.

use windlass_sdk::params::{self, Param};
use windlass_sdk::{Connection, Failure};

pub const PARAMS: &[Param] = &[
    Param::choice(
        "edition",
        "auto",
        &["auto", "cloud", "data-center"],
        "Which API answers; `auto` takes bitbucket.org for Cloud and everything else for Data Center",
    ),
    Param::text(
        "client_id",
        "",
        200,
        "Key of the OAuth consumer whose refresh token is the credential `oauth`",
    ),
];

/// Methods, path and reason. What stands before `repositories` depends on the base URL.
pub const PERMISSIONS: &[(&[&str], &str, &str)] = &[
    (&["GET"], "/**/repositories/*/*", "Cloud: reads a repository's default branch and addresses"),
    (
        &["GET", "POST", "PUT", "DELETE"],
        "/**/repositories/*/*/hooks/**",
        "Cloud: sets the webhook up and removes it (scope webhook)",
    ),
    (
        &["POST"],
        "/**/repositories/*/*/commit/*/statuses/build",
        "Cloud: shows beside a commit what became of it (scope repository)",
    ),
    (
        &["GET", "POST", "PUT"],
        "/**/repositories/*/*/pullrequests/**",
        "Cloud: reads pull requests and keeps one comment on each (scope pullrequest)",
    ),
    (
        &["GET"],
        "/rest/api/1.0/projects/*/repos/*",
        "Data Center: reads a repository's addresses (repository read)",
    ),
    (
        &["GET"],
        "/rest/api/1.0/projects/*/repos/*/default-branch",
        "Data Center: reads a repository's default branch (repository read)",
    ),
    (
        &["GET", "POST", "PUT", "DELETE"],
        "/rest/api/1.0/projects/*/repos/*/webhooks/**",
        "Data Center: sets the webhook up and removes it (repository admin)",
    ),
    (
        &["POST"],
        "/rest/api/1.0/projects/*/repos/*/commits/*/builds",
        "Data Center: shows beside a commit what became of it (repository read)",
    ),
    (
        &["GET", "POST", "PUT"],
        "/rest/api/1.0/projects/*/repos/*/pull-requests/**",
        "Data Center: reads pull requests and keeps one comment on each (repository read)",
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    Cloud,
    DataCenter,
}

impl Edition {
    /// # Errors
    /// `permanent` with the code `invalid-parameters` for settings that are none.
    pub fn of(connection: &Connection) -> Result<Self, Failure> {
        let settings = params::required(PARAMS, &connection.settings)?;
        Ok(match settings.choice("edition") {
            "cloud" => Self::Cloud,
            "data-center" => Self::DataCenter,
            _ if matches!(host(&connection.base_url), "bitbucket.org" | "api.bitbucket.org") => Self::Cloud,
            _ => Self::DataCenter,
        })
    }

    /// What comes before the resources of the API, below the base URL.
    pub fn prefix(self, base_url: &str) -> &'static str {
        match self {
            Self::DataCenter => "/rest/api/1.0",
            Self::Cloud if base_url.trim_end_matches('/').ends_with("/2.0") => "",
            // There the site offers the API to its own pages, so the address that people clone from will do.
            Self::Cloud if host(base_url) == "bitbucket.org" => "/!api/2.0",
            Self::Cloud => "/2.0",
        }
    }
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or_default()
}
