use windlass_sdk::generator::{Environment, Generator, Host, Model, Parameter, Repository, Script};

use crate::Jenkinsfile;
use crate::groovy::{lines, text};

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
    Jenkinsfile::generate(model).expect("the model is good").remove(0).content
}

#[test]
fn the_jenkinsfile_is_what_a_person_would_write() {
    let expected = r#"pipeline {
    agent none
    options {
        disableConcurrentBuilds()
        skipDefaultCheckout()
        timestamps()
    }
    parameters {
        string(name: 'VERSION', defaultValue: '1.0')
        string(name: 'WINDLASS_KEY', defaultValue: '')
    }
    stages {
        stage('approve prod') {
            steps {
                input message: 'Run on prod?', ok: 'Run'
            }
        }
        stage('prod') {
            parallel {
                stage('prod on web-1') {
                    agent any
                    options {
                        timeout(time: 60, unit: 'MINUTES')
                    }
                    environment {
                        WINDLASS_ENVIRONMENT = 'prod'
                        REGION = 'eu'
                        WINDLASS_HOST = 'web-1'
                        WINDLASS_ADDRESS = '10.0.0.1'
                    }
                    steps {
                        git url: 'https://forge.example/shop.git', branch: 'main'
                        withCredentials([sshUserPrivateKey(credentialsId: 'windlass-deploy', keyFileVariable: 'SSH_KEY', usernameVariable: 'SSH_USER')]) {
                            sh label: 'scripts/deploy.sh', script: '''#!/usr/bin/env bash
                            set -euo pipefail
                            export LEVEL=debug
                            { declare -p WINDLASS_ENVIRONMENT WINDLASS_HOST VERSION REGION LEVEL; cat scripts/deploy.sh; } |
                              ssh -i "$SSH_KEY" -o BatchMode=yes -l "$SSH_USER" "$WINDLASS_ADDRESS" 'bash -c "$(cat)"'
                            '''
                        }
                    }
                }
            }
        }
    }
}
"#;
    assert_eq!(content(model()), expected);
}

#[test]
fn no_string_of_groovy_can_be_ended_from_inside() {
    assert_eq!(text(r"it's \u0027 $x"), r"'it\'s \\u0027 $x'");
    assert_eq!(text("a\nb\u{7}"), r"'a\nb\007'");
    assert_eq!(lines("a''''b'"), r"'''a''\''b\''''");
}

#[test]
fn what_jenkins_would_expand_reaches_the_script_by_the_shell() {
    let mut model = model();
    model.environments[0].variables[0].value = "$BUILD_TAG".to_owned();
    model.environments[0].variables.push(parameter("EMPTY", ""));
    let content = content(model);
    assert!(content.contains("export REGION='$BUILD_TAG'\n"), "{content}");
    assert!(content.contains("export EMPTY=''\n"), "{content}");
}

#[test]
fn a_report_is_posted_whatever_the_end_was() {
    let mut model = model();
    model.report_url = Some("https://windlass.example/it's".to_owned());
    let content = content(model);
    assert!(content.contains("    post {\n        always {\n            node {\n"), "{content}");
    assert!(content.contains("credentialsId: 'windlass-report'"), "{content}");
}
