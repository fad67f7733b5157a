//! Where a built image goes, and where the layers of earlier ones come from.

use super::steps::Work;
use crate::app::registry::login_for;
use crate::domain::build_options::Cache;
use crate::domain::image_name::tag_of;
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
        send(work, digest, &target).await?;
        let facts = work.docker.image_inspect(digest).await?;
        let prefix = format!("{repository}@");
        let named =
            facts.repo_digests.into_iter().find(|name| name.starts_with(&prefix)).ok_or_else(|| {
                Error::failed(format!("the engine has pushed {target} and does not say under which digest"))
            })?;
        forget(work, &target).await?;
        work.log.line(&format!("Pushed {target} as {named}"));
        pushed.push(named);
    }
    if let Cache::Registry { image } = &options.cache {
        send(work, digest, image).await?;
        forget(work, image).await?;
        work.log.line(&format!("Pushed the layers for later builds as {image}"));
    }
    Ok(pushed)
}

async fn send(work: &Work<'_>, digest: &str, target: &str) -> Result<()> {
    let docker = &work.docker;
    let logins = login_for(work.app, target).await?;
    docker.tag(digest, target).await?;
    docker.push(target, &logins, |line| work.log.line(&line.text), &work.task.cancel).await
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
