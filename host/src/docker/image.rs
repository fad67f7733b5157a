//! Images: names, facts, and the way to and from registries.

use std::collections::HashMap;

use bollard::{
    models::ProgressDetail,
    query_parameters::{
        CreateImageOptionsBuilder, ListImagesOptionsBuilder, PushImageOptionsBuilder,
        RemoveImageOptionsBuilder,
    },
};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{Docker, LogLine, RegistryLogin, container::port_number, error, label, registry};
use crate::{
    domain::UnixMs,
    error::{Error, Result},
};

/// What the engine knows of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// The image's id, `sha256:…`.
    pub digest: String,
    /// The image brings its own HEALTHCHECK.
    pub has_healthcheck: bool,
    /// Ascending, without doubles.
    pub exposed_ports: Vec<u16>,
    pub created: Option<UnixMs>,
    pub tags: Vec<String>,
    /// Names with digests that registries have given it, `registry.example/web@sha256:…`.
    pub repo_digests: Vec<String>,
    /// On disk.
    pub bytes: u64,
}

/// An image that this server has built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnImage {
    /// The image's id, `sha256:…`.
    pub digest: String,
    /// The stack it was built for.
    pub stack: String,
    pub tags: Vec<String>,
}

impl Docker {
    /// All images that this server has built and that are still there.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn own_images(&self) -> Result<Vec<OwnImage>> {
        let own = format!("{}={}", label::SERVER, self.server());
        let filters = HashMap::from([("label".to_string(), vec![own])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let found = self.client().await?.list_images(Some(options)).await;
        let found = found.map_err(|error| self.explain(error))?;
        Ok(found
            .into_iter()
            .filter_map(|image| {
                let stack = image.labels.get(label::STACK)?.clone();
                // An engine calls a missing tag so.
                let tags = image.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect();
                Some(OwnImage { digest: image.id, stack, tags })
            })
            .collect())
    }

    /// Facts of an image, by tag or `sha256:…`.
    ///
    /// # Errors
    /// `NotFound` if the engine has no such image.
    pub async fn image_inspect(&self, reference: &str) -> Result<ImageFacts> {
        let found = self.client().await?.inspect_image(reference).await.map_err(|error| {
            if error::is_missing(&error) { Error::not_found("image", reference) } else { self.explain(error) }
        })?;
        let config = found.config.unwrap_or_default();
        let mut exposed: Vec<u16> =
            config.exposed_ports.unwrap_or_default().iter().filter_map(|port| port_number(port)).collect();
        exposed.sort_unstable();
        exposed.dedup();
        let test = config.healthcheck.and_then(|check| check.test).unwrap_or_default();
        Ok(ImageFacts {
            digest: found.id.unwrap_or_default(),
            has_healthcheck: test.first().is_some_and(|word| word != "NONE"),
            exposed_ports: exposed,
            created: found.created.map(|at| at.timestamp_millis()),
            tags: found.repo_tags.unwrap_or_default(),
            repo_digests: found.repo_digests.unwrap_or_default(),
            bytes: found.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        })
    }

    /// Whether the engine has an image of that tag or id.
    ///
    /// # Errors
    /// `Unavailable` if the engine does not answer.
    pub async fn image_exists(&self, reference: &str) -> Result<bool> {
        match self.image_inspect(reference).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a registry calls an image, `repository@sha256:…`; none for one that was only built here.
    ///
    /// # Errors
    /// `Failed` if the engine has no such image.
    pub async fn repository_digest(&self, reference: &str) -> Result<Option<String>> {
        let found = self.client().await?.inspect_image(reference).await.map_err(|error| {
            if error::is_missing(&error) {
                Error::failed(format!(
                    "the image {reference} is missing on the engine; it was removed since it was built: build or pull it again"
                ))
            } else {
                self.explain(error)
            }
        })?;
        Ok(found.repo_digests.unwrap_or_default().into_iter().find(|name| !name.starts_with("<none>")))
    }

    /// Gives an image another name, `repository:tag`.
    ///
    /// # Errors
    /// `NotFound` if there is no such image.
    pub async fn tag(&self, image: &str, tag: &str) -> Result<()> {
        self.tag_with(&self.client().await?, image, tag).await
    }

    /// Brings an image from its registry.
    ///
    /// # Errors
    /// `Failed` with the registry's words; `Cancelled`.
    pub async fn pull(
        &self,
        image: &str,
        logins: &[RegistryLogin],
        mut log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let options = match image.split_once('@') {
            Some(_) => CreateImageOptionsBuilder::default().from_image(image).build(),
            None => {
                let (repository, tag) = split_tag(image);
                CreateImageOptionsBuilder::default().from_image(repository).tag(tag).build()
            }
        };
        let client = self.client().await?;
        let mut steps = client.create_image(Some(options), None, registry::for_image(image, logins)).boxed();
        while let Some(step) = next(&mut steps, cancel, "the pull").await? {
            let step = step.map_err(|error| self.transfer_error("pulled", image, error))?;
            say(step.id, step.status, step.progress_detail, &mut log);
        }
        Ok(())
    }

    /// Sends an image to the registry its name says.
    ///
    /// # Errors
    /// `Failed` with the registry's words; `Cancelled`.
    pub async fn push(
        &self,
        image: &str,
        logins: &[RegistryLogin],
        mut log: impl FnMut(LogLine) + Send,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let (repository, tag) = split_tag(image);
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let client = self.client().await?;
        let mut steps =
            client.push_image(repository, Some(options), registry::for_image(image, logins)).boxed();
        while let Some(step) = next(&mut steps, cancel, "the push").await? {
            let step = step.map_err(|error| self.transfer_error("pushed", image, error))?;
            say(None, step.status, step.progress_detail, &mut log);
        }
        Ok(())
    }

    /// Whether a registry answers and takes the log-in, asked for an image that need not be there.
    ///
    /// # Errors
    /// `Failed` with the registry's words.
    pub async fn registry_check(&self, image: &str, logins: &[RegistryLogin]) -> Result<()> {
        let login = registry::for_image(image, logins);
        match self.client().await?.inspect_registry_image(image, login).await {
            Ok(_) => Ok(()),
            Err(error) if error::says_unknown(&error) => Ok(()),
            Err(error) => Err(self.transfer_error("asked for", image, error)),
        }
    }

    /// Removes a tag, and the image with its last tag. An image that is not there is fine; one that a container uses is
    /// kept.
    ///
    /// # Errors
    /// `Conflict` if a container uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        match self.client().await?.remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(()),
            Err(error) if error::image_is_gone(&error) => Ok(()),
            Err(error) => Err(self.explain(error)),
        }
    }

    fn transfer_error(&self, done: &str, image: &str, error: bollard::errors::Error) -> Error {
        match self.explain(error) {
            gone @ Error::Unavailable(_) => gone,
            other => Error::failed(format!("`{image}` could not be {done}: {other}")),
        }
    }
}

async fn next<S>(steps: &mut S, cancel: &CancellationToken, what: &str) -> Result<Option<S::Item>>
where
    S: futures_util::Stream + Unpin,
{
    tokio::select! {
        step = steps.next() => Ok(step),
        () = cancel.cancelled() => Err(Error::cancelled(what)),
    }
}

/// Byte counters are left out: they are for terminals, and a log would be mostly these.
fn say(
    id: Option<String>,
    status: Option<String>,
    detail: Option<ProgressDetail>,
    log: &mut (impl FnMut(LogLine) + Send),
) {
    let counting = detail.is_some_and(|detail| detail.current.is_some() || detail.total.is_some());
    if let Some(status) = status.filter(|_| !counting) {
        let id = id.map(|id| format!("{id}: ")).unwrap_or_default();
        log(LogLine::progress(format!("{id}{status}")));
    }
}

/// `registry:5000/app:v1` → (`registry:5000/app`, `v1`); without a tag, `latest`.
pub(super) fn split_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (image, "latest"),
    }
}
