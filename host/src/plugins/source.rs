//! Where components come from: the program itself, or files that the operator names.

use std::borrow::Cow;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use super::builtin::{BUILTIN, Builtin};
use super::components::Components;
use super::oci;
use super::settings::{PluginSource, Settings, Source};

/// Largest component that is read.
pub(super) const COMPONENT_BYTES: u64 = 64 << 20;

/// The bytes of a component and where they came from.
pub(super) struct Origin {
    pub(super) source: String,
    pub(super) digest: String,
    pub(super) bytes: Cow<'static, [u8]>,
}

/// The built-in plugins, and what the operator put beside them or in their place.
pub(super) fn sources(settings: &Settings) -> Vec<PluginSource> {
    let is_configured = |name: &str| settings.sources.iter().any(|source| source.name == name);
    let builtin = BUILTIN
        .iter()
        .filter(|builtin| settings.builtin && !is_configured(builtin.name))
        .map(|builtin| PluginSource::new(builtin.name, Source::Builtin));
    builtin.chain(settings.sources.iter().cloned()).collect()
}

pub(super) fn source_name(source: &Source) -> String {
    match source {
        Source::Builtin => "builtin".into(),
        Source::Path(path) => format!("path:{}", path.display()),
        Source::Oci(reference) => format!("oci:{reference}"),
        Source::Kept { source, .. } => source.clone(),
    }
}

/// Fetches the component. Blocks, if it is in a registry for as long as that takes.
pub(super) fn origin(
    source: &PluginSource,
    components: &Components,
    runtime: &Handle,
) -> Result<Origin, String> {
    match &source.source {
        Source::Builtin => {
            let Builtin { sha256, bytes, .. } =
                BUILTIN.iter().find(|builtin| builtin.name == source.name).ok_or_else(|| {
                    let names: Vec<&str> = BUILTIN.iter().map(|builtin| builtin.name).collect();
                    format!("there is no built-in plugin of that name; there are {}", names.join(", "))
                })?;
            Ok(Origin { source: "builtin".into(), digest: (*sha256).into(), bytes: Cow::Borrowed(bytes) })
        }
        Source::Path(path) => {
            let bytes = read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            let digest = hex::encode(Sha256::digest(&bytes));
            Ok(Origin { source: source_name(&source.source), digest, bytes: Cow::Owned(bytes) })
        }
        Source::Kept { digest, source } => {
            let bytes = components.read(digest)?;
            Ok(Origin { source: source.clone(), digest: digest.clone(), bytes: Cow::Owned(bytes) })
        }
        Source::Oci(reference) => {
            let key = source.cosign_key.as_deref();
            let bytes = runtime.block_on(oci::obtain(reference, key, components))?;
            let digest = hex::encode(Sha256::digest(&bytes));
            Ok(Origin { source: source_name(&source.source), digest, bytes: Cow::Owned(bytes) })
        }
    }
}

pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(COMPONENT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > COMPONENT_BYTES {
        return Err(io::Error::other(format!("it is larger than {COMPONENT_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A component starts like a module, but its layer is 1.
pub(super) fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}
