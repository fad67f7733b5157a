//! Compiles the crates in a folder to WebAssembly components, for the build scripts of the host and of the tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";

pub type Result<T> = std::result::Result<T, String>;

/// Tells cargo what every component is made of, and what else.
pub fn rerun_if_changed(workspace: &Path, further: &[&str]) {
    let common = ["wit", "sdk", "scripts/wasm-target.sh", "Cargo.toml", "Cargo.lock", "host/build"];
    for input in common.iter().chain(further) {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }
}

/// Compiles the packages below `folder` of the workspace, which are named `prefix` and then like their folder. Answers
/// with each folder's name and its component, sorted.
pub fn build(workspace: &Path, folder: &str, prefix: &str, out: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let names = package_names(&workspace.join(folder))?;
    let target = plugin_target_folder(out);
    compile(workspace, &names, prefix, &target)?;
    let built = target.join(WASM_TARGET).join(PROFILE);
    let mut components = Vec::new();
    for name in names {
        let path = built.join(format!("{prefix}{name}.wasm").replace('-', "_"));
        let bytes = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        if !is_component(&bytes) {
            return Err(format!("{} is no component; was it linked by wasm-component-ld?", path.display()));
        }
        components.push((name, bytes));
    }
    Ok(components)
}

/// The folders that are crates, sorted, so that the listing does not depend on the file system.
fn package_names(plugins: &Path) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(plugins).map_err(|error| format!("{} cannot be read: {error}", plugins.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// One folder for all profiles of the host, so that plugins are compiled once. Not the one that the outer cargo
/// uses: it holds that one's lock. Cargo marks its target folder with a file.
fn plugin_target_folder(out: &Path) -> PathBuf {
    let marked = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.or_else(|| out.ancestors().nth(4)).unwrap_or(out).join("plugins")
}

fn compile(workspace: &Path, names: &[String], prefix: &str, target: &Path) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let flags = compiler_flags(workspace, &sysroot(workspace)?);
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace);
    // What the outer cargo, clippy, a coverage tool or the user set for the host is not meant for the plugins. Their
    // artifacts have to be the same whoever asks.
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_for_the_host_only) {
            cargo.env_remove(name);
        }
    }
    cargo
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-component-ld")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .args(["build", "--locked", "--quiet", "--lib", "--profile", PROFILE, "--target", WASM_TARGET])
        .arg("--target-dir")
        .arg(target);
    for name in names {
        cargo.args(["--package", &format!("{prefix}{name}")]);
    }
    let status = cargo.status().map_err(|error| format!("cargo cannot be run for the plugins: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("The components ({}) do not compile; the compiler's messages are below.", names.join(", ")))
}

/// Whether a variable must not reach the inner cargo. What says where crates come from stays (`CARGO_HOME`,
/// `CARGO_NET_*`, `CARGO_HTTP_*`, `CARGO_REGISTRIES_*`), and so do the job server and `RUSTC`.
fn is_for_the_host_only(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_LINKER",
        "RUSTC_BOOTSTRAP",
        "CLIPPY_ARGS",
        "CLIPPY_CONF_DIR",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
        "OUT_DIR",
        "TARGET",
        "HOST",
        "PROFILE",
        "DEBUG",
        "OPT_LEVEL",
        "NUM_JOBS",
        "LD_LIBRARY_PATH",
    ];
    const PREFIXES: &[&str] = &[
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Where std for the plugins' target is, if it is not in the toolchain itself.
fn sysroot(workspace: &Path) -> Result<String> {
    let script = workspace.join("scripts/wasm-target.sh");
    let advice = "Please run `make setup` once: it makes WebAssembly components compilable.";
    let output = Command::new("bash")
        .arg(&script)
        .arg("--print-sysroot")
        .output()
        .map_err(|error| format!("{} cannot be run: {error}\n{advice}", script.display()))?;
    if !output.status.success() {
        let explanation = String::from_utf8_lossy(&output.stderr);
        return Err(format!("The plugins cannot be compiled. {advice}\n{}", explanation.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Paths of this machine are kept out of the components: they would be in panic messages, and change the digests.
fn compiler_flags(workspace: &Path, sysroot: &str) -> Vec<String> {
    let mut flags = vec![format!("--remap-path-prefix={}=windlass", workspace.display())];
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    if let Some(cargo_home) = env::var_os("CARGO_HOME").map(PathBuf::from).or(home) {
        flags.push(format!("--remap-path-prefix={}=cargo", cargo_home.display()));
    }
    if !sysroot.is_empty() {
        flags.extend(["--sysroot".to_owned(), sysroot.to_owned()]);
    }
    flags
}

/// A component starts like a module, but its layer is 1.
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}

/// Leaves a file that is right already as it is.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

pub fn folder(variable: &str) -> Result<PathBuf> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {variable}"))
}
