//! The built-in pipeline generators, and what `scripts/setup-pipelines.sh` brought to check what they write.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use windlass::domain::pipeline::{PipelineFile, PipelineModel};
use windlass::domain::plugin::Problem;
use windlass::error::Result;
use windlass::plugins::{Plugins, Settings};

use crate::tools::{self, root};

/// All four.
pub const GENERATORS: [&str; 4] = ["circleci-config", "github-workflow", "gitlab-ci", "jenkins-pipeline"];

/// Where the script has put a tool; `None`, with a word about `test`, where it could not be had.
pub fn tool(name: &str, test: &str) -> Option<String> {
    tools::tool("pipelines", name, test)
}

/// A program of `tests/peers/pipelines`.
pub fn peer(name: &str) -> PathBuf {
    root().join("tests/peers/pipelines").join(name)
}

/// The plugins inside the program.
pub struct Generators {
    plugins: Plugins,
    _folder: TempDir,
}

impl Generators {
    pub async fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let settings = Settings::new(folder.path().join("plugins"));
        Self { plugins: Plugins::start(settings).await.expect("the plugins start"), _folder: folder }
    }

    pub async fn problems(&self, name: &str, model: &PipelineModel) -> Vec<Problem> {
        self.plugins.generator_validate(name, model, &json!({})).await.expect("validate answers")
    }

    /// What the conformance suite complains about.
    pub async fn breaches(&self, name: &str) -> Vec<String> {
        let findings = self.plugins.conformance(name).await.expect("the suite runs");
        findings
            .into_iter()
            .filter(|found| !found.passed)
            .map(|found| found.rule + ": " + &found.detail)
            .collect()
    }

    pub async fn files(&self, name: &str, model: &PipelineModel) -> Result<Vec<PipelineFile>> {
        self.plugins.generator_generate(name, model, &json!({})).await
    }

    /// The text of the only file.
    pub async fn text(&self, name: &str, model: &PipelineModel) -> String {
        let mut files = self.files(name, model).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(files.len(), 1, "{name}");
        files.remove(0).content
    }
}

/// Reads texts as the vendor does: by a reader of YAML, or by Groovy. `None` if `test` has to be skipped.
pub fn read_all(generator: &str, texts: &[String], test: &str) -> Option<Vec<Value>> {
    let mut command;
    if generator == "jenkins-pipeline" {
        command = Command::new("java");
        command.args(["-cp", &tool("groovy", test)?, "groovy.ui.GroovyMain"]).arg(peer("Read.groovy"));
    } else {
        command = Command::new(tool("python", test)?);
        command.arg(peer("read.py"));
    }
    let lines = texts.iter().enumerate().map(|(id, text)| format!("{}\n", json!({ "id": id, "text": text })));
    let output = run(command, lines.collect::<String>());
    let answers: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).expect("the peer answers JSON")).collect();
    assert_eq!(answers.len(), texts.len(), "{generator}: each text has an answer");
    let part = if generator == "jenkins-pipeline" { "events" } else { "document" };
    Some(answers.into_iter().map(|mut answer| answer[part].take()).collect())
}

/// What a program answers to what it is given.
fn run(mut command: Command, input: String) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the peer starts");
    let mut to_child = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || to_child.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the peer ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    writer.join().expect("no panic").expect("the peer reads all of it");
    String::from_utf8(output.stdout).expect("the peer writes UTF-8")
}
