//! Compiles the guests of the tests, as the host's build script compiles the plugins.

use std::fmt::Write as _;

#[path = "../host/build/components.rs"]
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

/// Writes a constant for each guest, with its bytes.
fn run() -> Result<()> {
    let tests = folder("CARGO_MANIFEST_DIR")?;
    let workspace = tests.parent().ok_or("the tests have to be in a workspace")?;
    let out = folder("OUT_DIR")?;
    components::rerun_if_changed(workspace, &["tests/guests", "tests/build.rs"]);
    let mut constants = String::new();
    for (name, bytes) in components::build(workspace, "tests/guests", "windlass-guest-", &out)? {
        write(&out.join(format!("{name}.wasm")), &bytes)?;
        let constant = name.to_uppercase().replace('-', "_");
        // Writing to a String cannot fail.
        let _ = writeln!(
            constants,
            "pub const {constant}: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}.wasm\"));"
        );
    }
    write(&out.join("guests.rs"), constants.as_bytes())
}
