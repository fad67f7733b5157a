//! The Rust tool chain of an author: where it can compile components, and running it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::project::{manifest, tool};
use crate::cli::failure::{Failure, Outcome};

pub(super) const MANIFEST: &str = "Cargo.toml";
pub(super) const TARGET: &str = "wasm32-unknown-unknown";
/// The profile of a new project, made for small components.
const PROFILE: &str = "plugin";

/// A project as cargo sees it.
#[derive(Debug)]
pub(super) struct Crate {
    folder: PathBuf,
    pub(super) name: String,
    /// Name of the library's file, without an end.
    library: String,
    target_folder: PathBuf,
    profile: &'static str,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

impl Crate {
    /// Reads the project in a folder.
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        let text = manifest(folder, MANIFEST)?;
        let manifest = folder.join(MANIFEST);
        let output = cargo(folder)
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| no_cargo(&error))?;
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|_| Failure::local("cargo cannot read the project; its message is above.", ""))?;
        let here = manifest.canonicalize().unwrap_or(manifest);
        let package = metadata
            .packages
            .into_iter()
            .find(|package| package.manifest_path.canonicalize().is_ok_and(|path| path == here));
        let package = package.ok_or_else(|| {
            let advice = "`windlass plugin new --kind KIND DIR` begins a project.";
            Failure::local(format!("{} describes no package.", here.display()), advice)
        })?;
        let is_component = |target: &&Target| target.crate_types.iter().any(|kind| kind == "cdylib");
        let library = package.targets.iter().find(is_component).ok_or_else(|| {
            Failure::local(
                format!("{} has no library that could become a component.", package.name),
                "Please set `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in Cargo.toml.",
            )
        })?;
        let has_profile = text
            .parse::<toml::Table>()
            .is_ok_and(|table| table.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some());
        Ok(Self {
            folder: folder.to_owned(),
            library: library.name.replace('-', "_"),
            target_folder: metadata.target_directory,
            profile: if has_profile { PROFILE } else { "release" },
            name: package.name,
        })
    }

    /// Compiles the component and says where it is.
    pub(super) fn compile(&self) -> Outcome<PathBuf> {
        let flags = compiler_flags(&self.folder)?;
        run(cargo(&self.folder)
            .args(["build", "--lib", "--profile", self.profile, "--target", TARGET])
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")))?;
        Ok(self.target_folder.join(TARGET).join(self.profile).join(format!("{}.wasm", self.library)))
    }

    /// The project's own tests.
    pub(super) fn run_tests(&self) -> Outcome<()> {
        run(cargo(&self.folder).arg("test"))
    }
}

fn cargo(folder: &Path) -> Command {
    tool("cargo", folder)
}

fn no_cargo(error: &io::Error) -> Failure {
    Failure::local(
        format!("cargo cannot be run: {error}."),
        "A plugin in Rust needs Rust's tool chain: https://rustup.rs",
    )
}

fn run(command: &mut Command) -> Outcome<()> {
    match super::project::run(command).map_err(|error| no_cargo(&error))? {
        Some(0) => Ok(()),
        _ => Err(Failure::local("cargo failed; what it says is above.", "")),
    }
}

/// Paths of this machine stay out of the component: they would be in its panic messages, and change its digest.
fn compiler_flags(folder: &Path) -> Outcome<Vec<String>> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut flags = vec![format!("--remap-path-prefix={}=plugin", folder.display())];
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    if let Some(home) = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home) {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    if let Some(sysroot) = sysroot()? {
        flags.extend(["--sysroot".to_owned(), sysroot]);
    }
    Ok(flags)
}

/// Where the target's std is, if it is not in the tool chain itself: `make setup` of Windlass compiles one into the cache
/// where rustup cannot bring it.
fn sysroot() -> Outcome<Option<String>> {
    let libraries = rustc(&["--print", "target-libdir", "--target", TARGET])?;
    if has_std(Path::new(libraries.trim())) {
        return Ok(None);
    }
    let about = rustc(&["-vV"])?;
    let value = |name: &str| {
        about.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned()
    };
    let (version, commit) = (value("release:"), value("commit-hash:"));
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let own = cache.map(|cache| {
        let commit: String = commit.chars().take(9).collect();
        cache.join("windlass/wasm-std").join(format!("{version}-{commit}"))
    });
    match own.filter(|own| has_std(&own.join("lib/rustlib").join(TARGET).join("lib"))) {
        Some(own) => Ok(Some(own.to_string_lossy().into_owned())),
        None => Err(Failure::local(
            format!("rustc {version} cannot compile for {TARGET}, which plugins in Rust are compiled for."),
            format!(
                "Please run `rustup target add {TARGET}`. Where rustup may not download, `scripts/wasm-target.sh` of \
                 Windlass's sources makes it from Debian's package."
            ),
        )),
    }
}

fn rustc(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new("rustc").args(arguments).output().map_err(|error| no_cargo(&error))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The name of rustup's file carries a hash; `libstd_detect` is another crate.
fn has_std(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.filter_map(Result::ok).any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name == "libstd.rlib" || (name.starts_with("libstd-") && name.ends_with(".rlib"))
    })
}
