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

#[cfg(test)]
mod tests {
    use super::*;

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
