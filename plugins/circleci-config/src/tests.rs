use windlass_sdk::generator::{Environment, Generator, Host, Model, Parameter, Repository, Script};

use crate::Config;

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.to_owned(), value: value.to_owned() }
}

fn environment(name: &str, approval: bool) -> Environment {
    Environment {
        name: name.to_owned(),
        variables: vec![parameter("REGION", "eu")],
        approval,
        extras: Vec::new(),
    }
}

fn model() -> Model {
    Model {
        name: "shop".to_owned(),
        description: String::new(),
        repository: Repository {
            url: "https://forge.example/shop.git".to_owned(),
            branch: "main".to_owned(),
        },
        environments: vec![environment("staging", false), environment("prod", true)],
        hosts: vec![Host {
            name: "web-1".to_owned(),
            address: "10.0.0.1".to_owned(),
            environment: "prod".to_owned(),
        }],
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
    Config::generate(model).expect("the model is good").remove(0).content
}

#[test]
fn the_config_is_what_a_person_would_write() {
    let expected = r#"# shop
version: 2.1
parameters:
  version:
    type: string
    default: '1.0'
jobs:
  staging:
    docker:
      - image: cimg/base:current
    resource_class: medium
    environment:
      VERSION: << pipeline.parameters.version >>
      WINDLASS_ENVIRONMENT: staging
      REGION: eu
    steps:
      - checkout
      - run:
          name: scripts/deploy.sh
          environment:
            LEVEL: debug
          command: bash scripts/deploy.sh
"#;
    let content = content(model());
    assert!(content.starts_with(expected), "{content}");
    let order = "    jobs:
      - staging
      - approve-prod:
          type: approval
          requires:
            - staging
      - prod:
          name: prod-web-1
          host: web-1
          address: '10.0.0.1'
          requires:
            - approve-prod
";
    assert!(content.ends_with(order), "{content}");
}

#[test]
fn an_expression_in_a_value_reaches_the_script_by_the_shell() {
    let mut model = model();
    model.environments[0].variables[0].value = "<< pipeline.id >>".to_owned();
    let content = content(model);
    assert!(content.contains(r"export REGION=$'\x3c\x3c pipeline.id >>'"), "{content}");
}

#[test]
fn parameters_have_to_be_told_apart_without_upper_case() {
    let mut model = model();
    model.parameters.push(parameter("version", "<<x>>"));
    let paths: Vec<String> = Config::validate(&model).into_iter().map(|problem| problem.path).collect();
    assert_eq!(paths, ["/parameters/1/name", "/parameters/1/value"]);
}

#[test]
fn names_that_would_meet_are_told_apart() {
    let mut model = model();
    model.environments =
        vec![environment("a.b", true), environment("a-b", false), environment("approve-a.b", false)];
    model.hosts.clear();
    let content = content(model);
    for name in ["\n  a-b:\n", "\n  a-b-2:\n", "\n  approve-a-b-2:\n", "- approve-a-b:\n"] {
        assert!(content.contains(name), "{name:?} is missing in {content}");
    }
}

#[test]
fn a_failure_is_reported_by_the_job_and_a_success_after_all() {
    let mut model = model();
    model.report_url = Some("https://windlass.example/report".to_owned());
    let content = content(model);
    assert_eq!(content.matches("when: on_fail\n").count(), 2, "{content}");
    assert!(
        content.ends_with("      - report:\n          requires:\n            - prod-web-1\n"),
        "{content}"
    );
}
