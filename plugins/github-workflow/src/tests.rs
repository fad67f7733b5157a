use windlass_sdk::generator::{Environment, Generator, Host, Model, Parameter, Repository, Script};

use crate::{Workflow, slug};

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.to_owned(), value: value.to_owned() }
}

fn model() -> Model {
    Model {
        name: "Deploy the shop".to_owned(),
        description: "Made by hand.".to_owned(),
        repository: Repository {
            url: "https://forge.example/shop.git".to_owned(),
            branch: "main".to_owned(),
        },
        environments: vec![Environment {
            name: "staging".to_owned(),
            variables: vec![parameter("REGION", "eu")],
            approval: false,
            extras: Vec::new(),
        }],
        hosts: Vec::new(),
        scripts: vec![Script {
            path: "scripts/deploy.sh".to_owned(),
            parameters: vec![parameter("LEVEL", "debug")],
        }],
        parameters: vec![parameter("VERSION", "1.0")],
        report_url: None,
        template: None,
        settings: String::new(),
        extras: Vec::new(),
    }
}

fn content(model: Model) -> String {
    Workflow::generate(model).expect("the model is good").remove(0).content
}

#[test]
fn the_workflow_is_what_a_person_would_write() {
    let expected = "\
# Made by hand.
name: Deploy the shop
run-name: Deploy the shop ${{ inputs.windlass_run }}
on:
  workflow_dispatch:
    inputs:
      VERSION:
        type: string
        required: false
        default: '1.0'
      windlass_run:
        type: string
        required: false
        default: ''
permissions:
  contents: read
concurrency:
  group: ${{ github.workflow }}
  cancel-in-progress: false
defaults:
  run:
    shell: bash
env:
  VERSION: ${{ inputs.VERSION }}
jobs:
  staging:
    name: staging
    runs-on: ubuntu-latest
    timeout-minutes: 60
    environment: staging
    env:
      WINDLASS_ENVIRONMENT: staging
      REGION: eu
    steps:
      - uses: actions/checkout@v4
      - name: scripts/deploy.sh
        env:
          LEVEL: debug
        run: bash scripts/deploy.sh
";
    assert_eq!(content(model()), expected);
}

#[test]
fn hosts_are_a_matrix_and_environments_wait_for_each_other() {
    let mut model = model();
    model.environments.push(Environment {
        name: "1.prod".to_owned(),
        variables: Vec::new(),
        approval: true,
        extras: Vec::new(),
    });
    model.hosts.push(Host {
        name: "web-1".to_owned(),
        address: "10.0.0.1".to_owned(),
        environment: "1.prod".to_owned(),
    });
    let content = content(model);
    assert!(content.contains("# The environment 1.prod needs required reviewers"), "{content}");
    assert!(
        content.contains("  run-1-prod:\n    name: '1.prod on ${{ matrix.host }}'\n    needs: staging\n"),
        "{content}"
    );
    assert!(content.contains("          - host: web-1\n            address: '10.0.0.1'\n"), "{content}");
    assert!(
        content.contains("{ declare -p WINDLASS_ENVIRONMENT WINDLASS_HOST VERSION LEVEL; cat "),
        "{content}"
    );
}

#[test]
fn an_expression_in_a_value_reaches_the_script_by_the_shell() {
    let mut model = model();
    model.scripts[0].parameters[0].value = "${{ github.token }}".to_owned();
    let content = content(model);
    assert!(!content.contains("github.token }}\n          LEVEL"), "{content}");
    assert!(content.contains(r"export LEVEL=$'\x24{{ github.token }}'"), "{content}");
}

#[test]
fn the_parts_are_put_into_a_template() {
    let mut model = model();
    model.template = Some("on:\n  push:\njobs:\n  lint:\n    runs-on: x\n  @{jobs}\n".to_owned());
    let content = content(model.clone());
    assert!(content.starts_with("on:\n  push:\njobs:\n  lint:\n    runs-on: x\n  staging:\n"), "{content}");
    model.template = Some("on: push\n".to_owned());
    assert_eq!(Workflow::validate(&model)[0].path, "/template");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let mut model = model();
    model.scripts.clear();
    model.parameters = (0..24).map(|n| parameter(&format!("P{n}"), "")).collect();
    model.parameters.push(parameter("windlass_run", ""));
    let paths: Vec<String> = Workflow::validate(&model).into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["/scripts", "/parameters", "/parameters/24/name"]);
    model.settings = r#"{"run_on": "x"}"#.to_owned();
    assert!(Workflow::validate(&model).iter().any(|problem| problem.path == "/settings/run_on"));
    let failure = Workflow::generate(model).expect_err("there is no script");
    assert_eq!(failure.code, "invalid-model");
}

#[test]
fn the_file_is_named_after_the_job() {
    assert_eq!(slug("Deploy: the shop!"), "deploy-the-shop");
    assert_eq!(slug("../../x"), "x");
    assert_eq!(slug("…"), "windlass");
}
