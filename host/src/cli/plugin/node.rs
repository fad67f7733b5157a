//! The tool chain of an author of plugins in JavaScript: npm runs what `package.json` says, which is jco as long as the
//! author does not change it.

use std::io;
use std::path::Path;

use serde_json::Value;

use super::project::{manifest, run, tool};
use crate::cli::failure::{Failure, Outcome};

pub(super) const MANIFEST: &str = "package.json";
/// What a shell says of a program that is not there.
const NOT_FOUND: i32 = 127;

pub(super) fn name(folder: &Path) -> Outcome<String> {
    let text = manifest(folder, MANIFEST)?;
    let package: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::local(format!("{MANIFEST} cannot be read: {error}."), ""))?;
    let name = package.get("name").and_then(Value::as_str).filter(|name| super::new::is_name(name));
    name.map(str::to_owned).ok_or_else(|| {
        Failure::local(
            format!("{MANIFEST} gives the plugin no name that it can have."),
            "Please set `name`: a to z, 0 to 9 and -, beginning with a letter.",
        )
    })
}

/// The script `build` leaves `<name>.wasm` in the folder.
pub(super) fn compile(folder: &Path) -> Outcome<()> {
    script(folder, "build")
}

pub(super) fn run_tests(folder: &Path) -> Outcome<()> {
    script(folder, "test")
}

fn script(folder: &Path, name: &str) -> Outcome<()> {
    let mut npm = tool("npm", folder);
    // npm would look for a newer one of itself.
    npm.args(["run", "--silent", name]).env("NPM_CONFIG_UPDATE_NOTIFIER", "false");
    match run(&mut npm).map_err(|error| no_npm(&error))? {
        Some(0) => Ok(()),
        Some(NOT_FOUND) => Err(Failure::local(
            format!(
                "The script `{name}` of {MANIFEST} needs a program that is not there; its name is above."
            ),
            "Please run `npm install` in the project, or once for all projects: npm install --global \
             @bytecodealliance/jco",
        )),
        _ => Err(Failure::local(
            format!("The script `{name}` of {MANIFEST} failed; what it says is above."),
            "",
        )),
    }
}

fn no_npm(error: &io::Error) -> Failure {
    Failure::local(
        format!("npm cannot be run: {error}."),
        "A plugin in JavaScript needs Node.js 20 or newer with npm: https://nodejs.org",
    )
}
