//! Compiles each folder under `plugins/` to a WebAssembly component and writes `builtin_plugins.rs`, which lists
//! them with their bytes, and `sdk_sources.rs`, which lists what a new plugin's project is made of. Cargo has no dependency
//! of that kind yet, so a cargo is run inside of cargo.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

#[path = "build/components.rs"]
mod components;

use components::{Result, folder, write};

fn main() {
    if let Err(message) = run() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let workspace =
        folder("CARGO_MANIFEST_DIR")?.parent().ok_or("the host has to be in a workspace")?.to_owned();
    let out = folder("OUT_DIR")?;
    components::rerun_if_changed(&workspace, &["plugins", "host/build.rs"]);
    let components = components::build(&workspace, "plugins", "windlass-plugin-", &out)?;
    let listing = embed(&components, &out)?;
    write(&out.join("builtin_plugins.rs"), listing.as_bytes())?;
    write(&out.join("sdk_sources.rs"), sdk_sources(&workspace)?.as_bytes())
}

/// What `windlass plugin new` writes into a project: the SDK and the contract, and what says which versions they need.
fn sdk_sources(workspace: &Path) -> Result<String> {
    let mut files = vec![workspace.join("Cargo.toml"), workspace.join("Cargo.lock")];
    let mut folders = vec![workspace.join("sdk"), workspace.join("wit")];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
        for path in entries.filter_map(|entry| entry.ok()).map(|entry| entry.path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mut listing = String::from("pub static SOURCES: &[(&str, &str)] = &[\n");
    for file in files {
        let name = file.strip_prefix(workspace).unwrap_or(&file).to_string_lossy().into_owned();
        let path = file.to_string_lossy();
        // Writing to a String cannot fail.
        let _ = writeln!(listing, "    ({name:?}, include_str!({path:?})),");
    }
    listing.push_str("];\n");
    Ok(listing)
}

/// Copies the components to where the host includes them from, and lists them.
fn embed(components: &[(String, Vec<u8>)], out: &Path) -> Result<String> {
    let mut listing = String::from("pub static BUILTIN: &[Builtin] = &[\n");
    for (name, bytes) in components {
        write(&out.join(format!("{name}.wasm")), bytes)?;
        let sha256 = hex::encode(Sha256::digest(bytes));
        // Writing to a String cannot fail.
        let _ = writeln!(
            listing,
            "    Builtin {{ name: {name:?}, sha256: {sha256:?}, \
             bytes: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\")) }},"
        );
    }
    listing.push_str("];\n");
    Ok(listing)
}
