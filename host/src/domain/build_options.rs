//! How a build is done beyond seed 2's fields: images, commands, limits, caches, and where the result goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{image_name::check_image, path};
use crate::error::{Error, Result};

/// Patterns of artifacts, images to push to, and other lists.
const LONGEST_LIST: usize = 64;
const LEAST_MEMORY_MB: u32 = 16;
const MOST_CPU_PERCENT: u32 = 100_000;
const MOST_SHM_MB: u32 = 1 << 20;

/// Everything has a default, so `{}` is a build as the planner makes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BuildOptions {
    /// The image that commands run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What a build of the type `script` runs, in one shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Where commands start, relative to the repository's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// What commands leave behind, relative to the repository's root; all of the checkout if empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// The image that the outputs of a `script` are put into; the one that the commands ran in if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_image: Option<String>,
    /// Other base images for the planner `auto`, by its names for them (`node`, `python`, `rust`, `rust-runtime`, `go`,
    /// `go-runtime`, `bun`, `static`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub base_images: BTreeMap<String, String>,
    /// What the planner `auto` takes the project for: `go`, `rust`, `python`, `node` or `static`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_type: Option<String>,
    /// Names of variables in `environmentVariables` that a build gets as well: commands in their environment, Dockerfiles
    /// through `RUN --mount=type=secret,id=NAME`. No other secret reaches a build.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Memory that commands may use, in MiB; no limit if left out. It counts for a Dockerfile's steps too where the engine
    /// builds without BuildKit, which takes no limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// Processor time that commands may use, in percent of one core; no limit if left out. For a Dockerfile's steps as
    /// `memoryMb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<u32>,
    /// Size of `/dev/shm`, in MiB, for commands and for a Dockerfile's steps; the engine's own if left out, which is 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_mb: Option<u32>,
    /// Repositories in registries that each built image is pushed to, without a tag: `registry.example/team/web`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub push: Vec<String>,
    #[serde(skip_serializing_if = "Cache::is_local")]
    pub cache: Cache,
    /// `linux/amd64`; the engine's own if empty. Several are built one after the other, and need a registry in `push` that
    /// keeps them under one name; what is deployed is the one that fits the engine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// Files to keep, as patterns relative to the repository's root (`dist/*.tar.gz`) after the last step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Check out submodules, too: at most 32, nested at most 3 deep. The repository's credentials are shown to its own server
    /// only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub submodules: bool,
}

/// Where the layers of earlier builds come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", tag = "mode", deny_unknown_fields)]
pub enum Cache {
    /// The engine's own cache, and nothing else.
    #[default]
    Local,
    /// Besides, the image says how its layers were made, so that any engine that pulls it can build on them.
    Inline,
    /// Besides, such an image is kept under this name (`registry.example/team/web:cache`) and asked first.
    Registry { image: String },
}

impl Cache {
    fn is_local(&self) -> bool {
        *self == Self::Local
    }
}

impl BuildOptions {
    /// Ranges and names; what only one planner understands is the planner's to judge.
    pub fn check(&self) -> Result<()> {
        self.check_lists()?;
        self.check_images()?;
        if let Some(directory) = &self.working_directory {
            path::check_relative("build.options.workingDirectory", directory)?;
        }
        for output in &self.outputs {
            path::check_relative("build.options.outputs", output)?;
        }
        for pattern in &self.artifacts {
            path::check_relative("build.options.artifacts", pattern)?;
        }
        if self.memory_mb.is_some_and(|mb| mb < LEAST_MEMORY_MB) {
            return Err(Error::invalid(
                "build.options.memoryMb",
                format!("memoryMb has to be at least {LEAST_MEMORY_MB}; engines refuse less"),
            ));
        }
        if self.cpu_percent.is_some_and(|percent| !(1..=MOST_CPU_PERCENT).contains(&percent)) {
            return Err(Error::invalid(
                "build.options.cpuPercent",
                format!("cpuPercent has to be between 1 and {MOST_CPU_PERCENT}; 100 is one core"),
            ));
        }
        if self.shm_mb.is_some_and(|mb| !(1..=MOST_SHM_MB).contains(&mb)) {
            return Err(Error::invalid(
                "build.options.shmMb",
                format!("shmMb has to be between 1 and {MOST_SHM_MB}"),
            ));
        }
        self.check_platforms()
    }

    /// An engine keeps one platform of an image. Only a registry has one name for several.
    pub fn check_platforms(&self) -> Result<()> {
        for (at, platform) in self.platforms.iter().enumerate() {
            check_platform(platform)?;
            if self.platforms[..at].contains(platform) {
                return Err(Error::invalid(
                    "build.options.platforms",
                    format!("`{platform}` is named twice; once is enough"),
                ));
            }
        }
        if self.platforms.len() > 1 && self.push.is_empty() {
            return Err(Error::invalid(
                "build.options.platforms",
                format!(
                    "{} platforms need a registry, because an engine keeps one platform of an image; name a repository in \
                     `build.options.push`, or leave one platform",
                    self.platforms.len()
                ),
            ));
        }
        // An engine that imports the layers of another platform's image stands still for minutes (seen with 20.10).
        if self.platforms.len() > 1 && self.cache != Cache::Local {
            return Err(Error::invalid(
                "build.options.cache",
                "the layers of several platforms are kept by the engine only; set the cache's mode to `local`, or leave one \
                 platform",
            ));
        }
        Ok(())
    }

    /// The images that a build pulls or pushes by these names.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        let cache = match &self.cache {
            Cache::Registry { image } => Some(image),
            Cache::Local | Cache::Inline => None,
        };
        let named = self.image.iter().chain(&self.runtime_image).chain(self.base_images.values());
        named.chain(cache).chain(&self.push).map(String::as_str)
    }

    fn check_lists(&self) -> Result<()> {
        for (field, length) in [
            ("commands", self.commands.len()),
            ("outputs", self.outputs.len()),
            ("baseImages", self.base_images.len()),
            ("secrets", self.secrets.len()),
            ("push", self.push.len()),
            ("platforms", self.platforms.len()),
            ("artifacts", self.artifacts.len()),
        ] {
            if length > LONGEST_LIST {
                return Err(Error::invalid(
                    format!("build.options.{field}"),
                    format!("{field} has {length} entries; {LONGEST_LIST} are the most"),
                ));
            }
        }
        Ok(())
    }

    fn check_images(&self) -> Result<()> {
        let images = [("image", &self.image), ("runtimeImage", &self.runtime_image)];
        for (field, image) in images {
            if let Some(image) = image {
                check_image(&format!("build.options.{field}"), image)?;
            }
        }
        for image in self.base_images.values() {
            check_image("build.options.baseImages", image)?;
        }
        if let Cache::Registry { image } = &self.cache {
            check_image("build.options.cache.image", image)?;
        }
        for repository in &self.push {
            check_image("build.options.push", repository)?;
            let name = repository.rsplit('/').next().unwrap_or(repository);
            if name.contains([':', '@']) || !repository.contains('/') {
                return Err(Error::invalid(
                    "build.options.push",
                    format!(
                        "`{repository}` has to be a repository in a registry without a tag, such as \
                         `registry.example/team/web`; each image gets the tag of its build"
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn check_platform(platform: &str) -> Result<()> {
    let parts: Vec<&str> = platform.split('/').collect();
    let fits = (2..=3).contains(&parts.len())
        && parts.iter().all(|part| {
            (1..=32).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        });
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        "build.options.platforms",
        format!("`{}` is no platform such as `linux/amd64` or `linux/arm/v7`", platform.escape_debug()),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn field(json: serde_json::Value) -> String {
        let options: BuildOptions = serde_json::from_value(json).unwrap();
        match options.check() {
            Err(Error::Invalid { field, .. }) => field.trim_start_matches("build.options.").to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_where_it_is() {
        use serde_json::json;
        assert_eq!(field(json!({ "image": "--privileged" })), "image");
        assert_eq!(field(json!({ "outputs": ["../x"] })), "outputs");
        assert_eq!(field(json!({ "artifacts": ["/etc/passwd"] })), "artifacts");
        assert_eq!(field(json!({ "push": ["registry.example/web:v1"] })), "push");
        assert_eq!(field(json!({ "push": ["web"] })), "push");
        assert_eq!(field(json!({ "platforms": ["linux"] })), "platforms");
        assert_eq!(field(json!({ "platforms": ["linux/amd64", "linux/arm64"] })), "platforms");
        let twice = json!({ "platforms": ["linux/amd64", "linux/amd64"], "push": ["registry.example/web"] });
        assert_eq!(field(twice), "platforms");
        let several = json!({
            "platforms": ["linux/amd64", "linux/arm64"], "push": ["registry.example/web"], "cache": { "mode": "inline" },
        });
        assert_eq!(field(several), "cache");
        assert_eq!(field(json!({ "memoryMb": 1 })), "memoryMb");
        assert_eq!(field(json!({ "cpuPercent": 0 })), "cpuPercent");
        assert_eq!(field(json!({ "shmMb": 0 })), "shmMb");
        assert_eq!(field(json!({ "cache": { "mode": "registry", "image": "a b" } })), "cache.image");
        assert_eq!(field(json!({ "commands": vec!["x"; 65] })), "commands");
    }

    #[test]
    fn nothing_said_is_nothing_written() {
        assert_eq!(serde_json::to_string(&BuildOptions::default()).unwrap(), "{}");
        let text = r#"{"push":["localhost:5000/web"],"cache":{"mode":"inline"},"platforms":["linux/arm/v7"],"submodules":true}"#;
        let options: BuildOptions = serde_json::from_str(text).unwrap();
        options.check().unwrap();
        assert_eq!(serde_json::to_string(&options).unwrap(), text);
    }
}
