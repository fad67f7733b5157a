//! The plugin author's guide is true: its commands are run as they stand there, in an empty folder, without a network.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use windlass_tests::languages::toolchain;
use windlass_tests::server::program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The lines of all blocks that are marked like this.
fn commands(guide: &str, mark: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut runs = false;
    for line in guide.lines() {
        match line.strip_prefix("```") {
            Some(found) => runs = found == mark,
            None if runs => commands.push(line.to_owned()),
            None => {}
        }
    }
    commands
}

/// Runs them as they stand, in an empty folder, without a network for cargo; `path` comes first in PATH.
fn run(commands: &[String], path: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (bin, work) = (folder.path().join("bin"), folder.path().join("work"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&work).unwrap();
    symlink(program(), bin.join("windlass")).unwrap();
    let path = format!("{}:{path}{}", bin.display(), std::env::var("PATH").unwrap());
    // The projects share what cargo compiles of the SDK, in a folder that other runs of this test find again.
    let target = root().join("target/tmp/plugin-guide");
    let output = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &commands.join("\n")])
        .current_dir(&work)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    assert!(said.contains("keeps all"), "{said}");
    (folder, said)
}

#[test]
fn every_command_of_the_guide_works() {
    let guide = fs::read_to_string(root().join("docs/plugin-authors.md")).unwrap();
    let commands = commands(&guide, "sh run");
    assert!(commands.len() >= 20, "the blocks are marked: {commands:?}");
    for kind in
        ["deployment-strategy", "git-forge", "build-planner", "pipeline-generator", "notifier", "ci-provider"]
    {
        assert!(commands.iter().any(|command| command.contains(kind)), "an example of a {kind}");
    }
    let (folder, _) = run(&commands, "");
    assert!(folder.path().join("work/patient.oci/index.json").is_file());
}

#[test]
fn every_command_for_other_languages_works() {
    let guide = fs::read_to_string(root().join("docs/plugin-authors.md")).unwrap();
    for language in ["javascript", "python"] {
        let commands = commands(&guide, &format!("sh run {language}"));
        assert!(commands.len() >= 4, "the blocks are marked: {commands:?}");
        if let Some(path) = toolchain(language, "every command of the guide for another language works") {
            run(&commands, &format!("{path}:"));
        }
    }
}
