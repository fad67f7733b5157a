//! Where a build's files come from, and with which credentials.

use std::collections::HashSet;

use crate::app::registry::{all_logins, login_of};
use crate::app::repository::{Place, git_auth};
use crate::app::stack::{StackView, credentials_context};
use crate::app::{App, look};
use crate::config::RegistryLogin;
use crate::domain::build::Build;
use crate::domain::build_config::BuildSettings;
use crate::domain::image_name::registry_of;
use crate::domain::repository::{GitAuthType, GitCredentials, GitRepository};
use crate::error::{Error, Result};
use crate::git::{GitAuth, RepoAccess};

fn own_repository<'a>(view: &'a StackView, build: &Build) -> Option<&'a GitRepository> {
    view.repository.as_ref().filter(|row| row.url == build.git_url)
}

/// Builds of the stack's own repository share its mirror; a build of another URL has one of its own. Credentials are sent only
/// to the URL they were stored for.
pub(super) async fn access(app: &App, view: &StackView, build: &Build) -> Result<RepoAccess> {
    match own_repository(view, build) {
        Some(row) => look::access(app, row).await,
        None => Ok(RepoAccess { id: build.id.clone(), url: build.git_url.clone(), auth: GitAuth::None }),
    }
}

/// How git logs in to a stored repository.
pub async fn auth(app: &App, row: &GitRepository) -> Result<GitAuth> {
    git_auth(app, Place::of(app, row)?).await
}

pub fn auth_of(auth_type: GitAuthType, credentials: GitCredentials) -> Result<GitAuth> {
    let missing = |what: &str| {
        Error::conflict(format!("the repository's authType needs `{what}`, and none is stored; set it"))
    };
    Ok(match auth_type {
        GitAuthType::None => GitAuth::None,
        GitAuthType::HttpToken => GitAuth::HttpToken {
            username: credentials.username,
            token: credentials.token.ok_or_else(|| missing("token"))?,
        },
        GitAuthType::SshKey => GitAuth::SshKey {
            username: credentials.username,
            private_key: credentials.private_key.ok_or_else(|| missing("privateKey"))?,
            passphrase: credentials.passphrase,
        },
    })
}

/// What is stored of the repository's credentials, in the clear.
pub fn credentials(app: &App, row: &GitRepository) -> Result<GitCredentials> {
    let Some(sealed) = &row.credentials else { return Ok(GitCredentials::default()) };
    let plain = app.vault.open_sealed(&credentials_context(&row.id), sealed)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

/// What must not appear in a log of this stack: every secret that its builds and rollouts are handed.
pub async fn secrets_of(app: &App, view: &StackView) -> Result<Vec<String>> {
    let settings = &view.build.settings;
    let mut secrets: Vec<String> = settings
        .environment_variables
        .iter()
        .filter(|variable| variable.secret)
        .map(|variable| variable.value.clone())
        .collect();
    secrets.extend(settings.build_secrets().into_iter().map(|(_, value)| value));
    if let Some(row) = &view.repository {
        let credentials = credentials(app, row)?;
        secrets.extend(credentials.token);
        secrets.extend(credentials.private_key);
        secrets.extend(credentials.passphrase);
        secrets.extend(credentials.client_secret);
        secrets.extend(credentials.refresh_token);
    }
    secrets.extend(logins_of(app, settings).await?.into_iter().map(|login| login.password));
    Ok(secrets)
}

/// The log-ins that a build may send to registries: all stored ones, and those of the images that the settings name.
async fn logins_of(app: &App, settings: &BuildSettings) -> Result<Vec<RegistryLogin>> {
    let mut logins = all_logins(app).await?;
    let mut asked = HashSet::new();
    for image in settings.options.images() {
        if !asked.insert(registry_of(image)) {
            continue;
        }
        match login_of(app, image).await {
            Ok(found) => logins.extend(found),
            // It hands out nothing now either; a build that needs it says so.
            Err(Error::Failed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(logins)
}
