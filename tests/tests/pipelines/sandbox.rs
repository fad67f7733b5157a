//! A folder in which commands of a pipeline really run: with its scripts, and with an `ssh` and a `curl` that stay
//! inside.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use windlass_tests::pipelines::peer;

use crate::runs::Run;

/// What a script of the model does: it writes down what it was handed, each value ended by NUL.
const SCRIPT: &str = r#"printf '%s\0' "$VALUE" "$SETTING" "$INPUT" "${WINDLASS_HOST-}" > "$OUT/seen""#;

pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    /// With the script at that path of the repository.
    pub fn new(script: &str) -> Self {
        let sandbox = Self { folder: TempDir::new().unwrap() };
        for folder in ["repository/scripts", "out/machine"] {
            fs::create_dir_all(sandbox.path(folder)).unwrap();
        }
        fs::write(sandbox.path("repository").join(script), SCRIPT).unwrap();
        sandbox
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command as the vendors do: in the repository, and in a bash that ends at the first error.
    pub fn run(&self, run: &Run) {
        let file = self.path("command");
        fs::write(&file, &run.command).unwrap();
        let mut command = Command::new("bash");
        // A program says itself when it ends.
        match run.command.strip_prefix("#!") {
            Some(program) => assert!(program.starts_with("/usr/bin/env bash\n"), "{program}"),
            None => drop(command.args(["--noprofile", "--norc", "-eo", "pipefail"])),
        }
        command.arg(&file);
        let path = format!("{}:{}", peer("bin").display(), std::env::var("PATH").unwrap_or_default());
        command.env_clear().envs(&run.env).env("PATH", path).env("OUT", self.path("out"));
        let output = command.current_dir(self.path("repository")).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{run:?}\n{errors}");
    }

    /// What was written down under that name, and takes it away.
    pub fn take(&self, name: &str) -> Vec<String> {
        let file = self.path("out").join(name);
        let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        fs::remove_file(file).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        text.strip_suffix('\0').unwrap().split('\0').map(str::to_owned).collect()
    }

    /// Every file there is, so that one too many is noticed wherever it is.
    pub fn files(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(
                        path.strip_prefix(self.folder.path()).unwrap().to_string_lossy().into_owned(),
                    );
                }
            }
        }
        found
    }
}
