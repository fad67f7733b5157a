//! One commit, built for each platform that the stack names. An engine keeps one platform under a name, so each has its own
//! until a registry puts them together.

use tracing::Instrument as _;

use super::steps::Work;
use crate::docker::BuildRequest;
use crate::domain::image_name::for_platform;
use crate::error::{Error, Result};
use crate::telemetry::step_span;

/// One of several.
pub(super) struct PlatformImage {
    pub(super) platform: String,
    tag: String,
    pub(super) digest: String,
    /// The one that the stack's engine runs.
    is_deployed: bool,
}

impl Work<'_> {
    /// Builds for all platforms, in their order. Answers with tag and content address of the image that the stack's engine runs.
    pub(super) async fn build_all(&mut self, request: BuildRequest) -> Result<(String, String)> {
        let platforms = &self.view.build.settings.options.platforms;
        if platforms.len() < 2 {
            return self.build_one(request).await;
        }
        let own = self.docker.platform().await?;
        let deployed = fitting(platforms, &own).ok_or_else(|| {
            Error::failed(format!(
                "the stack's engine runs {own}, and `build.options.platforms` names {}; add {own}, or nothing could be \
                 deployed",
                platforms.join(", ")
            ))
        })?;
        // A planner may build twice; the last image counts.
        self.forget_platforms().await;
        let mut image = None;
        for (at, platform) in platforms.iter().enumerate() {
            self.log.line(&format!("Platform {} of {}: {platform}", at + 1, platforms.len()));
            let mut request = request.clone();
            request.platform = Some(platform.clone());
            request.timeout = self.remaining();
            let is_deployed = at == deployed;
            if !is_deployed {
                request.tags = request.tags.iter().take(1).map(|tag| for_platform(tag, platform)).collect();
            }
            let (tag, digest) = self.build_one(request).await?;
            if is_deployed {
                image = Some((tag.clone(), digest.clone()));
            }
            self.platforms.push(PlatformImage { platform: platform.clone(), tag, digest, is_deployed });
        }
        image.ok_or_else(|| Error::internal("the engine's own platform was not built"))
    }

    async fn build_one(&self, request: BuildRequest) -> Result<(String, String)> {
        let building = self.docker.build(request, |line| self.log.line(&line.text), &self.task.cancel);
        let built = building.instrument(step_span("build image", "")).await?;
        Ok((built.tag, built.digest))
    }

    /// Takes the images that this engine does not run away from it. The one that it runs stays, however the build ends, as the
    /// image of a single platform does. What no deployment wants, housekeeping takes, as it does what stays because of an error.
    pub(super) async fn forget_platforms(&mut self) {
        for image in self.platforms.drain(..).filter(|image| !image.is_deployed) {
            if let Err(error) = self.docker.remove_image(&image.tag).await {
                tracing::debug!(image = image.tag, error = %error.for_log(), "[@server:builds] an image stays for now");
            }
        }
    }
}

/// Which of the platforms is for an engine that runs `own`: the one of that name, or else the first below it, as `linux/arm/v7` is
/// below `linux/arm`.
fn fitting(platforms: &[String], own: &str) -> Option<usize> {
    let below = format!("{own}/");
    let exact = platforms.iter().position(|name| name == own);
    exact.or_else(|| platforms.iter().position(|name| name.starts_with(&below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_own_platform_comes_before_those_below_it() {
        for (platforms, own, expected) in [
            (["linux/amd64/v3", "linux/amd64"], "linux/amd64", Some(1)),
            (["linux/arm64", "linux/amd64/v3"], "linux/amd64", Some(1)),
            (["linux/arm/v6", "linux/arm/v7"], "linux/arm", Some(0)),
            (["linux/arm64", "linux/s390x"], "linux/arm", None),
        ] {
            assert_eq!(fitting(&platforms.map(str::to_string), own), expected, "{own} of {platforms:?}");
        }
    }
}
