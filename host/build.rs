//! Compiles each folder under `plugins/` to a WebAssembly component and writes `builtin_plugins.rs`, which lists
//! them with their bytes, and `sdk_sources.rs`, which lists what a new plugin's project is made of. Cargo has no dependency of that kind yet, so a cargo is run inside of cargo.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

const WASM_TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "plugin";

type Result<T> = std::result::Result<T, String>;

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
    let inputs =
        ["wit", "sdk", "plugins", "scripts/wasm-target.sh", "Cargo.toml", "Cargo.lock", "host/build.rs"];
    for input in inputs {
        println!("cargo::rerun-if-changed={}", workspace.join(input).display());
    }

    let names = plugin_names(&workspace.join("plugins"))?;
    let target = plugin_target_folder(&out);
    compile(&workspace, &names, &target)?;
    let built = target.join(WASM_TARGET).join(PROFILE);
    let listing = embed(&names, &built, &out)?;
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

/// The folders that are crates, sorted, so that the listing does not depend on the file system.
fn plugin_names(plugins: &Path) -> Result<Vec<String>> {
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

fn compile(workspace: &Path, names: &[String], target: &Path) -> Result<()> {
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
        cargo.args(["--package", &format!("windlass-plugin-{name}")]);
    }
    let status = cargo.status().map_err(|error| format!("cargo cannot be run for the plugins: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("The plugins ({}) do not compile; the compiler's messages are below.", names.join(", ")))
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

/// Copies the components to where the host includes them from, and lists them.
fn embed(names: &[String], built: &Path, out: &Path) -> Result<String> {
    let mut listing = String::from("pub static BUILTIN: &[Builtin] = &[\n");
    for name in names {
        let path = built.join(format!("windlass_plugin_{}.wasm", name.replace('-', "_")));
        let bytes = fs::read(&path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        if !is_component(&bytes) {
            return Err(format!("{} is no component; was it linked by wasm-component-ld?", path.display()));
        }
        write(&out.join(format!("{name}.wasm")), &bytes)?;
        let sha256 = hex::encode(Sha256::digest(&bytes));
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

/// A component starts like a module, but its layer is 1.
fn is_component(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[1, 0])
}

/// Leaves a file that is right already as it is.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

fn folder(variable: &str) -> Result<PathBuf> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo did not set {variable}"))
}
