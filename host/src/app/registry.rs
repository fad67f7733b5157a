//! Registries of images: their log-ins, whether they work, and which one an image needs.

use tokio_util::sync::CancellationToken;

use super::{App, outgoing_policy};
use crate::config::RegistryLogin;
use crate::docker::{AtRegistry, Docker, LogLine};
use crate::domain::image_name::{HUB, registry_of};
use crate::domain::page::{Page, PageRequest};
use crate::domain::registry::{Registry, RegistryInput};
use crate::domain::release::Release;
use crate::error::{Error, Result};
use crate::network::{Outgoing, Policy, Trouble};
use crate::store::{self, builds, registries};

fn context(row: &Registry) -> String {
    format!("registries/{}/password", row.id)
}

fn seal(app: &App, row: &mut Registry, password: Option<&str>) -> Result<()> {
    match password {
        Some(text) if !text.is_empty() => {
            row.password = Some(app.vault.seal(&context(row), text.as_bytes())?);
        }
        _ if row.username.is_empty() => row.password = None,
        _ => {}
    }
    if !row.username.is_empty() && row.password.is_none() {
        return Err(Error::invalid("password", "a user's name needs a password or an access token"));
    }
    Ok(())
}

pub async fn registry_create(app: &App, input: RegistryInput) -> Result<Registry> {
    input.check()?;
    let now = store::now();
    let mut row = Registry {
        id: store::new_id(),
        seq: 0,
        name: input.name,
        address: input.address,
        username: input.username,
        password: None,
        created_at: now,
        updated_at: now,
    };
    seal(app, &mut row, input.password.as_deref())?;
    app.db.write(move |tx| Box::pin(async move { registries::insert(tx, row).await })).await
}

/// A password stays with its address: whoever changes the address has to give it again.
pub async fn registry_update(app: &App, reference: &str, input: RegistryInput) -> Result<Registry> {
    input.check()?;
    let mut row = registry_view(app, reference).await?;
    if row.address != input.address {
        row.password = None;
    }
    (row.name, row.address, row.username) = (input.name, input.address, input.username);
    row.updated_at = store::now();
    seal(app, &mut row, input.password.as_deref())?;
    let stored = row.clone();
    app.db.write(move |tx| Box::pin(async move { registries::update(tx, &row).await })).await?;
    Ok(stored)
}

/// `reference` is an id, a number or a name.
pub async fn registry_view(app: &App, reference: &str) -> Result<Registry> {
    let mut conn = app.db.read().await?;
    registries::find(&mut conn, reference).await
}

pub async fn registry_list(app: &App, page: PageRequest) -> Result<Page<Registry>> {
    let mut conn = app.db.read().await?;
    registries::list(&mut conn, page).await
}

pub async fn registry_delete(app: &App, reference: &str) -> Result<()> {
    let id = registry_view(app, reference).await?.id;
    app.db.write(move |tx| Box::pin(async move { registries::delete(tx, &id).await })).await
}

/// Asks the registry through the engine, as a push or pull does. `repository` is one that the log-in may read; without it,
/// one that is not there is asked for, which some registries answer with a refusal.
///
/// # Errors
/// `Failed` with the registry's words.
pub async fn registry_test(app: &App, reference: &str, repository: Option<&str>) -> Result<()> {
    let row = registry_view(app, reference).await?;
    let name = repository.unwrap_or("windlass-connection-test");
    let image = if row.address == HUB { name.to_string() } else { format!("{}/{name}", row.address) };
    crate::domain::image_name::check_image("repository", &image)?;
    let logins: Vec<RegistryLogin> = login(app, &row)?.into_iter().collect();
    app.docker.registry_check(&image, &logins).await
}

/// The log-in that is stored for a registry, with its password in the clear.
pub(super) fn login(app: &App, row: &Registry) -> Result<Option<RegistryLogin>> {
    let Some(sealed) = &row.password else { return Ok(None) };
    let plain = app.vault.open_sealed(&context(row), sealed)?;
    let password = String::from_utf8_lossy(&plain).into_owned();
    Ok(Some(RegistryLogin { registry: row.address.clone(), username: row.username.clone(), password }))
}

/// The log-in with which an image is pulled or pushed, as [`login_of`] finds it.
///
/// # Errors
/// `Invalid` for a registry where nobody goes, or that is not stored and where people of a team may not send this server.
pub async fn login_for(app: &App, image: &str) -> Result<Vec<RegistryLogin>> {
    way_to(app, image).await.map(|way| way.logins)
}

/// How an image's registry is asked.
pub struct Way {
    /// Where the registry may be.
    pub registry: Policy,
    /// Where else it may send this server for a token.
    pub tokens: Policy,
    pub logins: Vec<RegistryLogin>,
}

/// As [`login_for`], for this server's own requests. A registry that an administrator has stored is trusted with what it names.
///
/// # Errors
/// As [`login_for`].
pub async fn way_to(app: &App, image: &str) -> Result<Way> {
    let name = registry_of(image);
    let stored = stored_at(app, name).await?;
    let (registry, tokens) = match stored.is_some() {
        true => (Policy::anywhere(), Policy::anywhere()),
        false => (outgoing_policy(&app.config), Policy::internet()),
    };
    if name != HUB {
        check_reach(name, registry.clone()).await?;
    }
    let logins = login_at(app, name, stored).await?;
    Ok(Way { registry, tokens, logins })
}

/// The log-in for an image's registry: a stored one, else what `docker login` keeps for the user who runs the server.
pub async fn login_of(app: &App, image: &str) -> Result<Vec<RegistryLogin>> {
    let registry = registry_of(image);
    login_at(app, registry, stored_at(app, registry).await?).await
}

async fn stored_at(app: &App, registry: &str) -> Result<Option<Registry>> {
    let mut conn = app.db.read().await?;
    registries::by_address(&mut conn, registry).await
}

async fn login_at(app: &App, registry: &str, stored: Option<Registry>) -> Result<Vec<RegistryLogin>> {
    if let Some(row) = stored {
        return Ok(login(app, &row)?.into_iter().collect());
    }
    let registry = registry.to_owned();
    let found =
        tokio::task::spawn_blocking(move || RegistryLogin::find(&registry)).await.map_err(Error::internal)?;
    Ok(found.map_err(Error::failed)?.into_iter().collect())
}

/// Whoever may name an image makes the engine connect to its registry. One that cannot be resolved here is the engine's
/// matter: it may have a proxy.
async fn check_reach(registry: &str, policy: Policy) -> Result<()> {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().unwrap_or(443)),
        None => (registry, 443),
    };
    match Outgoing::new(policy).addresses(host, port).await {
        Err(Trouble::Refused(class)) => {
            let why = class.refusal(&format!("the registry `{registry}`"), "images");
            let instead = if class.is_never_reached() { "" } else { ", or store it: windlass registry add" };
            Err(Error::invalid("image", format!("{why}{instead}")))
        }
        Ok(_) | Err(Trouble::Unknown(_)) => Ok(()),
    }
}

/// All stored log-ins: the engine takes for each base image of a build the one of its registry.
pub async fn all_logins(app: &App) -> Result<Vec<RegistryLogin>> {
    let mut conn = app.db.read().await?;
    let rows = registries::all(&mut conn).await?;
    drop(conn);
    rows.iter().filter_map(|row| login(app, row).transpose()).collect()
}

/// Sees to it that the engine has an image.
pub async fn image_ensure(
    app: &App,
    docker: &Docker,
    image: &str,
    log: &(dyn Fn(&str) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<()> {
    if docker.image_exists(image).await? {
        return Ok(());
    }
    log(&format!("Pulling {image}"));
    let logins = login_for(app, image).await?;
    docker.pull(image, &logins, |line: LogLine| log(&line.text), cancel).await
}

/// The names with digests under which a release's image can be pulled.
pub async fn pushed_names(app: &App, release: &Release) -> Result<Vec<String>> {
    let Some(build) = &release.build_id else { return Ok(Vec::new()) };
    let mut conn = app.db.read().await?;
    Ok(builds::find_opt(&mut conn, build.as_str()).await?.map(|build| build.pushed).unwrap_or_default())
}

/// What other engines pull a release's image by: as its build pushed it, which for several platforms is the index of all of them,
/// or else as its engine once pulled it. `None` for one that no registry has.
pub async fn release_at_registry(
    app: &App,
    docker: &Docker,
    release: &Release,
) -> Result<Option<AtRegistry>> {
    let pushed = pushed_names(app, release).await?.into_iter().next();
    let name = match pushed {
        Some(name) => name,
        None => match docker.repository_digest(&release.image_digest).await? {
            Some(name) => name,
            None => return Ok(None),
        },
    };
    let logins = login_for(app, &name).await?;
    Ok(Some(AtRegistry { name, logins }))
}

/// Brings a release's image back from a registry it was pushed to, by its digest, where the engine has it no more. One that
/// was pushed nowhere is left to the engine's own words.
pub async fn release_image_ensure(
    app: &App,
    docker: &Docker,
    release: &Release,
    log: &(dyn Fn(&str) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<()> {
    if docker.image_exists(&release.image_digest).await? {
        return Ok(());
    }
    let mut failed = None;
    for name in pushed_names(app, release).await? {
        log(&format!("The engine has {} no more; pulling {name}", release.image_tag));
        let logins = login_for(app, &name).await?;
        match docker.pull(&name, &logins, |line: LogLine| log(&line.text), cancel).await {
            // The digest is of the manifest, which names the image's own: an engine that finds another has been lied to.
            Ok(()) if docker.image_exists(&release.image_digest).await? => return Ok(()),
            Ok(()) => {
                failed = Some(Error::failed(format!("{name} is not the image {}", release.image_digest)));
            }
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}
