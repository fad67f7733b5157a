//! Names of images as people and plugins write them; the engine judges the grammar.

use crate::error::{Error, Result};

/// Docker Hub, as engines and log-ins call it.
pub const HUB: &str = "docker.io";

/// Only what a reference to an image can consist of.
pub fn is_image(name: &str) -> bool {
    (1..=512).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b))
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

pub fn check_image(field: &str, name: &str) -> Result<()> {
    if is_image(name) {
        return Ok(());
    }
    Err(Error::invalid(
        field,
        format!("`{}` is not the name of an image, such as `alpine:3.22`", name.escape_debug()),
    ))
}

/// The registry that an image's name begins with: `registry.example:5000`, or [`HUB`].
pub fn registry_of(image: &str) -> &str {
    let first = image.split_once('/').map_or("", |(first, _)| first);
    let is_registry = first.contains(['.', ':']) || first == "localhost";
    if is_registry { first } else { HUB }
}

/// `registry:5000/app:v1` → `v1`; `latest` where none is named.
pub fn tag_of(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ => "latest",
    }
}

/// `registry:5000/app:v1` → `registry:5000/app`.
pub fn repository_of(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

/// What one platform's image is called beside the name that all platforms share: `registry:5000/app:v1-linux-arm64`.
pub fn for_platform(image: &str, platform: &str) -> String {
    format!("{}:{}-{}", repository_of(image), tag_of(image), platform.replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_a_name_beside_the_shared_one() {
        for (image, named) in [
            ("r.example:5000/web:v1", "r.example:5000/web:v1-linux-arm-v7"),
            ("r.example:5000/web", "r.example:5000/web:latest-linux-arm-v7"),
        ] {
            assert_eq!(for_platform(image, "linux/arm/v7"), named);
        }
    }

    #[test]
    fn a_name_says_its_registry_and_its_tag() {
        for (image, registry, tag) in [
            ("alpine", "docker.io", "latest"),
            ("team/web:v1", "docker.io", "v1"),
            ("localhost/web", "localhost", "latest"),
            ("registry.example:5000/web", "registry.example:5000", "latest"),
            ("ghcr.io/a/b:c", "ghcr.io", "c"),
        ] {
            assert_eq!((registry_of(image), tag_of(image)), (registry, tag), "{image}");
        }
        assert!(!is_image("-v") && !is_image("") && !is_image("a b") && is_image("a@sha256:0"));
    }
}
