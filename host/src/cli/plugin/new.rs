//! `plugin new`: a project with the contract in it, and in Rust the SDK, so that it builds wherever cargo has the few
//! crates that the SDK needs.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use toml::{Table, Value};

use crate::cli::failure::{Failure, Outcome, exit};
use crate::cli::output::Output;

/// The SDK's and the contract's sources, and the workspace's manifest and lock file: `build.rs` lists them.
mod sources {
    include!(concat!(env!("OUT_DIR"), "/sdk_sources.rs"));
}

const VENDOR: &str = "vendor/windlass";
const TEMPLATES: &str = "sdk/templates/";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    CiProvider,
    GitForge,
    PipelineGenerator,
    BuildPlanner,
    DeploymentStrategy,
    Notifier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    /// Needs Node.js and jco.
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    /// Needs componentize-py.
    Python,
}

impl Language {
    /// Where its templates are: a folder a kind, and `common`.
    fn templates(self) -> String {
        match self {
            Self::Rust => TEMPLATES.to_owned(),
            Self::JavaScript => format!("{TEMPLATES}javascript/"),
            Self::Python => format!("{TEMPLATES}python/"),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plugin new --kind deployment-strategy my-strategy
  cd my-strategy && windlass plugin test
  windlass plugin new --kind notifier --lang javascript my-notifier")]
pub struct NewArgs {
    /// What the plugin is to be.
    #[arg(long)]
    kind: Kind,
    /// The language it is written in.
    #[arg(long, default_value = "rust")]
    lang: Language,
    /// Its name; without this, the folder's.
    #[arg(long)]
    name: Option<String>,
    /// The folder to make, or an empty one.
    folder: PathBuf,
}

pub fn new(out: &Output, args: &NewArgs) -> Outcome<u8> {
    let name = name(args)?;
    let files = files(args.kind, args.lang, &name)?;
    let folder = &args.folder;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failure::local(
            format!("{} is not empty and is left as it is.", folder.display()),
            "Pass the name of a folder that is not there yet.",
        ));
    }
    for (path, content) in &files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).and_then(|()| fs::write(&path, content)).map_err(|error| {
            Failure::local(
                format!("{} cannot be written: {error}.", path.display()),
                "Pass a folder that is yours.",
            )
        })?;
    }
    if out.is_json() {
        let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        out.json(&json!({ "name": name, "folder": folder, "files": paths }));
        return Ok(exit::SUCCESS);
    }
    out.line(&format!("{} is begun in {}. Next:", name, folder.display()));
    out.line(&format!("  cd {}", folder.display()));
    out.line("  windlass plugin test     # its own tests, then the conformance suite");
    out.line("  windlass plugin build    # the component");
    Ok(exit::SUCCESS)
}

fn name(args: &NewArgs) -> Outcome<String> {
    let of_folder = || {
        let folder = args.folder.canonicalize().unwrap_or_else(|_| args.folder.clone());
        folder.file_name().map(|name| name.to_string_lossy().into_owned())
    };
    let name = args.name.clone().or_else(of_folder).unwrap_or_default();
    if is_name(&name) {
        return Ok(name);
    }
    Err(Failure::usage(format!(
        "`{}` cannot be a plugin's name: take a to z, 0 to 9 and -, and begin with a letter.",
        name.escape_debug()
    ))
    .advise("Pass another one with --name."))
}

/// Narrower than a plugin's name, because it also names a crate or a package.
pub(super) fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
}

fn source(path: &str) -> Outcome<&'static str> {
    let found = sources::SOURCES.iter().find(|(known, _)| *known == path);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| Failure::local(format!("This program was built without `{path}`."), ""))
}

/// Paths in the project, and what is in them.
fn files(kind: Kind, language: Language, name: &str) -> Outcome<Vec<(String, String)>> {
    let kind = kind.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let templates = language.templates();
    let (common, own) = (format!("{templates}common/"), format!("{templates}{kind}/"));
    let filled = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{kind}}", &kind)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
    };
    let mut files = Vec::new();
    for (path, text) in sources::SOURCES {
        if let Some(path) = path.strip_prefix(&common).or_else(|| path.strip_prefix(&own)) {
            // Cargo would take a file of its own name for a package of this workspace.
            let path = path.replace("Cargo.toml.template", "Cargo.toml");
            files.push((path, filled(text)));
        } else if let Some(path) = vendored(path, language, &kind) {
            files.push((path, (*text).to_owned()));
        }
    }
    if language == Language::Rust {
        files.push((format!("{VENDOR}/Cargo.toml"), vendored_workspace()?));
        files.push(("Cargo.lock".to_owned(), lock_file()?));
    }
    Ok(files)
}

/// Where a file of the SDK or the contract goes, if the project needs it. Beside Rust, the world of the project's kind
/// stands alone in `wit`, as tools for components want it, and what it refers to in `wit/deps`.
fn vendored(path: &str, language: Language, kind: &str) -> Option<String> {
    if path.starts_with(TEMPLATES) || path.starts_with("Cargo.") {
        return None;
    }
    if language == Language::Rust {
        return Some(format!("{VENDOR}/{path}"));
    }
    let name = path.strip_prefix("wit/")?.strip_suffix(".wit")?;
    match name {
        _ if name == kind => Some(path.to_owned()),
        "types" | "plugin" | "host" => Some(format!("wit/deps/{name}.wit")),
        _ => None,
    }
}

fn table(path: &str) -> Outcome<Table> {
    source(path)?.parse().map_err(|error| Failure::local(format!("`{path}` is damaged: {error}."), ""))
}

/// Names of what the SDK depends on.
fn sdk_dependencies() -> Outcome<Vec<String>> {
    let manifest = table("sdk/Cargo.toml")?;
    let names = manifest.get("dependencies").and_then(Value::as_table).map(|table| table.keys().cloned());
    Ok(names.into_iter().flatten().collect())
}

/// The workspace that the SDK's manifest refers to, without everything else that is in it.
fn vendored_workspace() -> Outcome<String> {
    let whole = table("Cargo.toml")?;
    let wanted = sdk_dependencies()?;
    let mut workspace = whole.get("workspace").and_then(Value::as_table).cloned().unwrap_or_default();
    workspace.remove("default-members");
    workspace.remove("exclude");
    workspace.insert("members".into(), Value::Array(vec!["sdk".into()]));
    if let Some(Value::Table(dependencies)) = workspace.get_mut("dependencies") {
        dependencies.retain(|name, _| wanted.iter().any(|known| known == name));
    }
    let vendored = Table::from_iter([("workspace".to_owned(), Value::Table(workspace))]);
    toml::to_string(&vendored).map_err(|error| Failure::local(error.to_string(), ""))
}

/// The versions that this very program was built and tested with, of what the SDK needs.
fn lock_file() -> Outcome<String> {
    let mut lock = table("Cargo.lock")?;
    let mut wanted = sdk_dependencies()?;
    let Some(Value::Array(packages)) = lock.get_mut("package") else {
        return Err(Failure::local("`Cargo.lock` is damaged: it lists no packages.", ""));
    };
    let mut next = 0;
    while let Some(name) = wanted.get(next).cloned() {
        next += 1;
        for package in packages.iter().filter(|package| is_named(package, &name)) {
            let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            // `name`, or `name version` where there are several.
            for word in dependencies.filter_map(Value::as_str).filter_map(|text| text.split(' ').next()) {
                if !wanted.iter().any(|known| known == word) {
                    wanted.push(word.to_owned());
                }
            }
        }
    }
    packages.retain(|package| wanted.iter().any(|name| is_named(package, name)));
    toml::to_string(&lock).map_err(|error| Failure::local(error.to_string(), ""))
}

fn is_named(package: &Value, name: &str) -> bool {
    package.get("name").and_then(Value::as_str) == Some(name)
}
