//! Rust: a release build with its own caches, and the binary on a small Debian.

use serde::Deserialize;
use windlass_sdk::Failure;

use crate::detect::Project;
use crate::dockerfile::{NOBODY, is_plain, version};

const RUNTIME: &str = "debian:bookworm-slim";

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct CargoToml {
    package: Option<Package>,
    bin: Vec<Bin>,
    workspace: Option<toml::Table>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    #[serde(default)]
    default_run: Option<String>,
    /// A version, or `{ workspace = true }`.
    #[serde(default)]
    rust_version: Option<toml::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bin {
    name: String,
}

pub fn dockerfile(project: &Project<'_>) -> Result<String, Failure> {
    let root = read(project, "Cargo.toml")?;
    let (package, binary) = program(project, &root)?;
    let tag = toolchain(project, &root);
    let build = project.base("rust", &format!("rust:{tag}-bookworm"));
    let runtime = project.base("rust-runtime", RUNTIME);
    let locked = if project.has("Cargo.lock") { " --locked" } else { "" };
    Ok(format!(
        "FROM {build} AS build\nWORKDIR /src\nCOPY . .\n\
         RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \\\n    \
         cargo build --release{locked} --package {package} --bin {binary} \\\n    \
         && install -D target/release/{binary} /out/app\n\n\
         FROM {runtime}\nCOPY --from=build /out/app /usr/local/bin/app\nENV PORT=8080\nUSER {NOBODY}\nEXPOSE 8080\n\
         CMD [\"app\"]\n"
    ))
}

fn read(project: &Project<'_>, path: &str) -> Result<CargoToml, Failure> {
    let text = project.read(path).unwrap_or_default();
    toml::from_str(text).map_err(|error| {
        project.cannot("unreadable", &format!("`{path}` cannot be read: {}", error.message()))
    })
}

fn toolchain(project: &Project<'_>, root: &CargoToml) -> String {
    let from_file = || {
        let text = project.read("rust-toolchain.toml").or_else(|| project.read("rust-toolchain"))?;
        let channel = text.lines().find_map(|line| line.trim().strip_prefix("channel"));
        version(channel.unwrap_or(text), 3)
    };
    let declared = || {
        let wanted = root.package.as_ref()?.rust_version.as_ref()?;
        // Only a lower bound: the newest of that major version builds it as well.
        version(wanted.as_str()?, 1)
    };
    from_file().or_else(declared).unwrap_or_else(|| "1".to_owned())
}

/// Package and binary.
fn program(project: &Project<'_>, root: &CargoToml) -> Result<(String, String), Failure> {
    let mut found = Vec::new();
    for path in project.files().filter(|file| *file == "Cargo.toml" || file.ends_with("/Cargo.toml")) {
        // Without a workspace, what is deeper belongs to other projects.
        if path != "Cargo.toml" && (root.workspace.is_none() || project.read(path).is_none()) {
            continue;
        }
        let manifest = read(project, path)?;
        let folder = path.strip_suffix("Cargo.toml").unwrap_or_default();
        let Some(package) = manifest.package else { continue };
        let mut names: Vec<String> = manifest.bin.into_iter().map(|bin| bin.name).collect();
        if names.is_empty() && project.has(&format!("{folder}src/main.rs")) {
            names.push(package.name.clone());
        }
        if let Some(name) = package.default_run {
            names.retain(|other| *other == name);
        }
        found.extend(names.into_iter().map(|name| (package.name.clone(), name)));
    }
    found.retain(|(package, binary)| is_plain(package) && is_plain(binary));
    found.sort();
    let only = found.len() == 1;
    let wanted = found.iter().find(|(_, binary)| only || binary == project.stack()).cloned();
    wanted.ok_or_else(|| match found.len() {
        0 => project.cannot(
            "no-program",
            "there is neither a `src/main.rs` nor a `[[bin]]` in a Cargo.toml: it is a library, which cannot be deployed.",
        ),
        _ => {
            let names: Vec<&str> = found.iter().map(|(_, binary)| binary.as_str()).collect();
            project.cannot(
                "several-programs",
                &format!(
                    "there are several programs: {}. Set `default-run` in Cargo.toml, or name the stack like one of them.",
                    names.join(", ")
                ),
            )
        }
    })
}
