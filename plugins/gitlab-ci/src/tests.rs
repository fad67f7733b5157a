use windlass_sdk::generator::{Environment, Generator, Host, Model, Parameter, Repository, Script};

use crate::GitlabCi;

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.to_owned(), value: value.to_owned() }
}

fn model() -> Model {
    Model {
        name: "shop".to_owned(),
        description: String::new(),
        repository: Repository {
            url: "https://forge.example/shop.git".to_owned(),
            branch: "main".to_owned(),
        },
        environments: vec![Environment {
            name: "prod".to_owned(),
            variables: vec![parameter("REGION", "eu")],
            approval: true,
            extras: Vec::new(),
        }],
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
    GitlabCi::generate(model).expect("the model is good").remove(0).content
}

#[test]
fn the_pipeline_is_what_a_person_would_write() {
    let expected = r#"# shop
workflow:
  rules:
    - if: $CI_PIPELINE_SOURCE =~ /^(api|pipeline|schedule|trigger|web)$/
stages:
  - approve prod
  - prod
default:
  image: buildpack-deps:bookworm-scm
  timeout: '60 minutes'
variables:
  VERSION:
    value: '1.0'
    description: Can be set for each pipeline.
approve prod:
  stage: approve prod
  variables:
    GIT_STRATEGY: none
  script:
    - echo 'Approved for prod.'
  when: manual
  allow_failure: false
prod:
  stage: prod
  environment: prod
  resource_group: prod
  variables:
    WINDLASS_ENVIRONMENT: prod
    REGION: eu
  parallel:
    matrix:
      - WINDLASS_HOST: web-1
        WINDLASS_ADDRESS: '10.0.0.1'
  before_script:
    - chmod 400 "$SSH_PRIVATE_KEY"
  script:
    - |
      (
        export LEVEL=debug
        { declare -p WINDLASS_ENVIRONMENT WINDLASS_HOST VERSION REGION LEVEL; cat scripts/deploy.sh; } |
          ssh -i "$SSH_PRIVATE_KEY" -o UserKnownHostsFile="$SSH_KNOWN_HOSTS" -o BatchMode=yes -l deploy "$WINDLASS_ADDRESS" 'bash -c "$(cat)"'
      )
"#;
    assert_eq!(content(model()), expected);
}

#[test]
fn a_dollar_is_not_expanded() {
    let mut model = model();
    model.parameters[0].value = "$CI_JOB_TOKEN".to_owned();
    model.environments[0].variables[0].value = "$CI_JOB_TOKEN".to_owned();
    let content = content(model);
    assert!(content.contains("expand: false"), "{content}");
    assert!(content.contains("export REGION='$CI_JOB_TOKEN'"), "{content}");
}

#[test]
fn a_job_is_not_named_like_a_keyword() {
    let mut model = model();
    model.environments[0].name = "variables".to_owned();
    model.hosts[0].environment = "variables".to_owned();
    assert!(content(model).contains("\nvariables-2:\n  stage: variables\n"));
}

#[test]
fn both_ends_are_reported() {
    let mut model = model();
    model.report_url = Some("https://windlass.example/report?a=1&b=[2]".to_owned());
    let content = content(model);
    assert!(
        content.contains("  when: on_success\n") && content.contains("  when: on_failure\n"),
        "{content}"
    );
    assert!(content.contains("'https://windlass.example/report?a=1&b=[2]'"), "{content}");
}
