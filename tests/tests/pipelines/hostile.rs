//! More than 200 hostile texts, each in every place of a model, through all four generators: what is written is read as the vendor
//! reads it, and what it would run is run.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use windlass::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use windlass_tests::pipelines::{Generators, read_all};

use crate::runs::{self, Run};
use crate::sandbox::Sandbox;
use crate::texts;

const HARMLESS: &str = "harmless";

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.into(), value: value.into() }
}

/// A path takes no control characters, backslashes and segments that lead elsewhere, and a file's name is short.
fn script_path(text: &str) -> String {
    let name: String =
        text.chars().map(|c| if c.is_control() || "/\\".contains(c) { '_' } else { c }).take(60).collect();
    format!("scripts/{name}.sh")
}

/// One environment without hosts, one with a host; the text is wherever a text may be.
fn model(text: &str, input: &str) -> PipelineModel {
    let environment = |name: &str| Environment {
        name: name.into(),
        variables: vec![parameter("SETTING", text)],
        approval: true,
    };
    PipelineModel {
        name: text.into(),
        description: text.into(),
        repository: PipelineRepository {
            url: format!("https://forge.example/{text}"),
            branch: format!("b{text}"),
        },
        environments: vec![environment("here"), environment("there")],
        hosts: vec![PipelineHost {
            name: "web-1".into(),
            address: "10.0.0.1".into(),
            environment: "there".into(),
        }],
        scripts: vec![Script { path: script_path(text), parameters: vec![parameter("VALUE", text)] }],
        parameters: vec![parameter("INPUT", input)],
        report_url: Some(format!("https://windlass.example/{text}")),
        template: None,
    }
}

async fn no_text_breaks_out_of(generator: &str, test: &str) {
    let texts = texts::all();
    assert!(texts.len() >= 200, "only {} texts", texts.len());
    let generators = Generators::start().await;
    let mut cases = vec![(HARMLESS.to_owned(), HARMLESS.to_owned())];
    let mut files = vec![generators.text(generator, &model(HARMLESS, HARMLESS)).await];
    for text in texts {
        // One vendor has no way to write its own `<<` in a default, and refuses it by name.
        let problems = generators.problems(generator, &model(&text, &text)).await;
        let refused: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        let is_refused = generator == "circleci-config" && text.contains("<<");
        assert_eq!(refused, if is_refused { vec!["/parameters/0/value"] } else { vec![] }, "{text:?}");
        let input = if is_refused { HARMLESS.to_owned() } else { text.clone() };
        files.push(generators.text(generator, &model(&text, &input)).await);
        cases.push((text, input));
    }
    let Some(documents) = read_all(generator, &files, test) else { return };
    let (_, harmless) = runs::read(generator, &documents[0]);
    let jobs: Vec<_> = cases.into_iter().zip(documents).collect();
    std::thread::scope(|scope| {
        for part in jobs.chunks(jobs.len().div_ceil(4)) {
            let harmless = &harmless;
            scope.spawn(move || {
                for ((text, input), document) in part {
                    let (runs, shape) = runs::read(generator, document);
                    assert_eq!(&shape, harmless, "{text:?} changes the structure");
                    run_all(text, input, &runs);
                }
            });
        }
    });
}

/// The scripts are handed the text and nothing else happens.
fn run_all(text: &str, input: &str, runs: &[Run]) {
    let sandbox = Sandbox::new(&script_path(text));
    assert_eq!(runs.iter().map(|run| run.place).collect::<Vec<_>>(), ["here", "there", "report"]);
    sandbox.run(&runs[0]);
    let before = {
        assert_eq!(sandbox.take("seen"), [text, text, input, ""], "{runs:?}");
        sandbox.files()
    };
    sandbox.run(&runs[1]);
    assert_eq!(sandbox.take("seen"), [text, text, input, "web-1"], "{runs:?}");
    let ssh = sandbox.take("ssh");
    assert_eq!(ssh[ssh.len() - 2..], ["10.0.0.1", "bash -c \"$(cat)\""], "{ssh:?}");
    sandbox.run(&runs[2]);
    check_report(text, &sandbox.take("curl"));
    assert_eq!(sandbox.files(), before, "{text:?} left something");
}

/// The address arrives as it is, and the body is signed.
fn check_report(text: &str, arguments: &[String]) {
    assert_eq!(arguments.last(), Some(&format!("https://windlass.example/{text}")));
    let after = |name: &str| {
        let at = arguments.iter().position(|argument| argument.starts_with(name)).expect(name);
        (arguments[at].clone(), arguments.get(at + 1).cloned().unwrap_or_default())
    };
    let body = after("--data-binary").1;
    let report: Value = serde_json::from_str(&body).expect("the body is JSON");
    assert_eq!((&report["jobId"], &report["status"]), (&Value::from(text), &Value::from("SUCCESS")));
    assert_eq!(report["buildNumber"], "7");
    assert!(report["timestamp"].as_str().unwrap().ends_with('Z'), "{body}");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    assert_eq!(after("x-windlass-signature").0, format!("x-windlass-signature: sha256={signature}"));
    assert_eq!(after("x-windlass-delivery").0, format!("x-windlass-delivery: {signature}"));
}

#[tokio::test]
async fn no_text_breaks_out_of_a_github_workflow() {
    no_text_breaks_out_of("github-workflow", "no_text_breaks_out_of_a_github_workflow").await;
}

#[tokio::test]
async fn no_text_breaks_out_of_a_gitlab_pipeline() {
    no_text_breaks_out_of("gitlab-ci", "no_text_breaks_out_of_a_gitlab_pipeline").await;
}

#[tokio::test]
async fn no_text_breaks_out_of_a_circleci_config() {
    no_text_breaks_out_of("circleci-config", "no_text_breaks_out_of_a_circleci_config").await;
}

#[tokio::test]
async fn no_text_breaks_out_of_a_jenkinsfile() {
    no_text_breaks_out_of("jenkins-pipeline", "no_text_breaks_out_of_a_jenkinsfile").await;
}
