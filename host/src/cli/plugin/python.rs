//! The tool chain of an author of plugins in Python: componentize-py, which also makes the bindings that tests and editors
//! need.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::{manifest, run, tool};
use crate::cli::failure::{Failure, Outcome};

pub(super) const MANIFEST: &str = "pyproject.toml";
const COMPONENTIZE: &str = "componentize-py";
/// The module that is the plugin.
const MODULE: &str = "plugin";
/// What componentize-py makes of `wit`, made anew each time.
const BINDINGS: &str = "bindings";

pub(super) fn name(folder: &Path) -> Outcome<String> {
    let project: toml::Table = manifest(folder, MANIFEST)?
        .parse()
        .map_err(|error| Failure::local(format!("{MANIFEST} cannot be read: {error}."), ""))?;
    let name = project.get("project").and_then(|table| table.get("name")).and_then(toml::Value::as_str);
    name.filter(|name| super::new::is_name(name)).map(str::to_owned).ok_or_else(|| {
        Failure::local(
            format!("{MANIFEST} gives the plugin no name that it can have."),
            "Please set `name` under `[project]`: a to z, 0 to 9 and -, beginning with a letter.",
        )
    })
}

pub(super) fn compile(folder: &Path, component: &Path) -> Outcome<()> {
    let component = std::path::absolute(component).unwrap_or_else(|_| component.to_owned());
    finish(componentize(folder)?.args(["componentize", MODULE, "--output"]).arg(component))
}

pub(super) fn run_tests(folder: &Path) -> Outcome<()> {
    let bindings = folder.join(BINDINGS);
    match fs::remove_dir_all(&bindings) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::local(format!("{} cannot be removed: {error}.", bindings.display()), ""));
        }
        _ => {}
    }
    finish(componentize(folder)?.args(["bindings", BINDINGS]))?;
    finish(tool(program(folder, "python3"), folder).args(["-m", "unittest"]).env("PYTHONPATH", BINDINGS))
}

fn componentize(folder: &Path) -> Outcome<Command> {
    let mut command = tool(program(folder, COMPONENTIZE), folder);
    command.args(["--quiet", "--wit-path", "wit", "--world", &world(folder)?]);
    Ok(command)
}

/// The one file of `wit` has the world's name.
fn world(folder: &Path) -> Outcome<String> {
    let folder = folder.join("wit");
    let entries = fs::read_dir(&folder).map_err(|error| super::build::unreadable(&folder, &error))?;
    let is_wit = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "wit");
    let mut names = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_wit);
    match (names.next(), names.next()) {
        (Some(path), None) => Ok(path.file_stem().unwrap_or_default().to_string_lossy().into_owned()),
        _ => Err(Failure::local(
            format!("{} has to hold one file, named like the plugin's world.", folder.display()),
            "What it refers to belongs into `wit/deps`.",
        )),
    }
}

/// Of the project's own environment, if it has one.
fn program(folder: &Path, name: &str) -> OsString {
    let own = folder.join(".venv/bin").join(name);
    let own = std::path::absolute(&own).unwrap_or(own);
    if own.is_file() { own.into_os_string() } else { name.into() }
}

fn finish(command: &mut Command) -> Outcome<()> {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match run(command) {
        Ok(Some(0)) => Ok(()),
        Ok(_) => Err(Failure::local(format!("{name} failed; what it says is above."), "")),
        Err(error) if name == COMPONENTIZE => Err(Failure::local(
            format!("{COMPONENTIZE} cannot be run: {error}."),
            "Please run `pipx install componentize-py`, or in the project: python3 -m venv .venv && .venv/bin/pip \
             install componentize-py",
        )),
        Err(error) => Err(Failure::local(
            format!("{name} cannot be run: {error}."),
            "The tests of a plugin in Python need Python 3.11 or newer.",
        )),
    }
}
