//! Where a built image goes, and where the layers of earlier ones come from.

use super::index;
use super::steps::Work;
use crate::app::registry::login_for;
use crate::domain::build_options::Cache;
use crate::domain::image_name::{for_platform, repository_of, tag_of};
use crate::domain::page::PageRequest;
use crate::error::{Error, Result};
use crate::store::builds;

/// Earlier builds that are looked through for one that was pushed.
const LOOK_BACK: i64 = 20;

/// Sends the image to each repository that the stack names, under the build's tag. Answers with the names and digests that the
/// registries have given it.
pub(super) async fn push(work: &Work<'_>, tag: &str, digest: &str) -> Result<Vec<String>> {
    let options = &work.view.build.settings.options;
    let mut pushed = Vec::new();
    for repository in &options.push {
        let target = format!("{repository}:{}", tag_of(tag));
        let named = publish(work, digest, &target).await?.ok_or_else(|| {
            Error::failed(format!("the engine has pushed {target} and does not say under which digest"))
        })?;
        work.log.line(&format!("Pushed {target} as {named}"));
        pushed.push(named);
    }
    if let Cache::Registry { image } = &options.cache {
        publish(work, digest, image).await?;
        work.log.line(&format!("Pushed the layers for later builds as {image}"));
    }
    Ok(pushed)
}

/// Under one name, whether it is one image or several platforms' images. Answers with the name and digest that the registry
/// has given it.
async fn publish(work: &Work<'_>, digest: &str, target: &str) -> Result<Option<String>> {
    if work.platforms.is_empty() {
        return send(work, digest, target).await;
    }
    let mut images = Vec::new();
    for image in &work.platforms {
        let name = for_platform(target, &image.platform);
        send(work, &image.digest, &name).await?;
        images.push((name, image.platform.as_str()));
    }
    // The shared name comes last: until all platforms are there, it stays what it was.
    tokio::select! {
        named = index::put(work.app, target, &images) => named.map(Some),
        () = work.task.cancel.cancelled() => Err(Error::cancelled("the push")),
    }
}

async fn send(work: &Work<'_>, digest: &str, target: &str) -> Result<Option<String>> {
    let docker = &work.docker;
    let logins = login_for(work.app, target).await?;
    docker.tag(digest, target).await?;
    let sent = docker.push(target, &logins, |line| work.log.line(&line.text), &work.task.cancel).await;
    // With the name the engine forgets the digest as well.
    let facts = docker.image_inspect(digest).await;
    let forgotten = forget(work, target).await;
    sent?;
    forgotten?;
    let prefix = format!("{}@", repository_of(target));
    Ok(facts?.repo_digests.into_iter().find(|name| name.starts_with(&prefix)))
}

/// The name is the registry's; on the engine it would keep the image from ever being removed.
async fn forget(work: &Work<'_>, target: &str) -> Result<()> {
    match work.docker.remove_image(target).await {
        Ok(()) | Err(Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Images whose layers this build may use again.
pub(super) async fn cache_from(work: &Work<'_>) -> Result<Vec<String>> {
    match &work.view.build.settings.options.cache {
        Cache::Local => Ok(Vec::new()),
        Cache::Registry { image } => Ok(vec![image.clone()]),
        Cache::Inline => {
            let mut conn = work.app.db.read().await?;
            let page = PageRequest::new(None, Some(LOOK_BACK));
            let earlier = builds::list_by_stack(&mut conn, &work.view.stack.id, page).await?;
            Ok(earlier
                .items
                .into_iter()
                .map(|build| build.pushed)
                .find(|names| !names.is_empty())
                .unwrap_or_default())
        }
    }
}
