//! The plugin author's guide is true: its commands are run as they stand there, in an empty folder, without a network.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windlass_tests::server::program;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The lines of all blocks marked `sh run`.
fn commands(guide: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut runs = false;
    for line in guide.lines() {
        match line.strip_prefix("```") {
            Some("sh run") => runs = true,
            Some(_) => runs = false,
            None if runs => commands.push(line.to_owned()),
            None => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_guide_works() {
    let guide = fs::read_to_string(root().join("docs/plugin-authors.md")).unwrap();
    let commands = commands(&guide);
    assert!(commands.len() >= 20, "the blocks are marked: {commands:?}");
    for kind in
        ["deployment-strategy", "git-forge", "build-planner", "pipeline-generator", "notifier", "ci-provider"]
    {
        assert!(commands.iter().any(|command| command.contains(kind)), "an example of a {kind}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (bin, work) = (folder.path().join("bin"), folder.path().join("work"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir(&work).unwrap();
    symlink(program(), bin.join("windlass")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
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
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("keeps all"), "{}", text(&output.stdout));
    assert!(work.join("patient.oci/index.json").is_file());
}
