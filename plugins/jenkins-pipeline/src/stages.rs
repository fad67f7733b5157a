//! The stages, and what is posted after them.

use windlass_sdk::generator::{
    Environment, Host, Model, Parameter, Report, Script, Shell, Steps, hosts, names, variables,
};
use windlass_sdk::params::Values;

use crate::groovy::{block, lines, text};

/// Groovy's way to write a character by its number. Commands do without it.
const SHELL: Shell = Shell::avoiding("\\u");
const STEPS: Steps = Steps::new(SHELL);
const SSH: &str = "ssh -i \"$SSH_KEY\" -o BatchMode=yes -l \"$SSH_USER\" \"$WINDLASS_ADDRESS\"";

pub fn stages(model: &Model, settings: &Values) -> String {
    if model.environments.is_empty() {
        return stage("run", &leaf(model, None, None, settings));
    }
    model.environments.iter().map(|one| of_environment(model, one, settings)).collect()
}

fn of_environment(model: &Model, environment: &Environment, settings: &Values) -> String {
    let name = environment.name.as_str();
    let mut out = String::new();
    if environment.approval {
        let ask = format!("input message: {}, ok: 'Run'\n", text(&format!("Run on {name}?")));
        out += &stage(&format!("approve {name}"), &block("steps", &ask));
    }
    let hosts = hosts(model, name);
    if hosts.is_empty() {
        return out + &stage(name, &leaf(model, Some(environment), None, settings));
    }
    let on = |host: &Host| {
        stage(&format!("{name} on {}", host.name), &leaf(model, Some(environment), Some(host), settings))
    };
    let all: String = hosts.into_iter().map(on).collect();
    out + &stage(name, &block("parallel", &all))
}

fn stage(name: &str, body: &str) -> String {
    block(&format!("stage({})", text(name)), body)
}

/// The body of a stage in which scripts run.
fn leaf(model: &Model, environment: Option<&Environment>, host: Option<&Host>, settings: &Values) -> String {
    let mut out = agent(settings);
    out += &block(
        "options",
        &format!("timeout(time: {}, unit: 'MINUTES')\n", settings.integer("timeout_minutes")),
    );
    let mut env = String::new();
    let mut put = |name: &str, value: &str| env.push_str(&format!("{name} = {}\n", text(value)));
    if let Some(environment) = environment {
        put("WINDLASS_ENVIRONMENT", &environment.name);
        for one in environment.variables.iter().filter(|one| is_native(one)) {
            put(&one.name, &one.value);
        }
    }
    if let Some(host) = host {
        put("WINDLASS_HOST", &host.name);
        put("WINDLASS_ADDRESS", &host.address);
    }
    if !env.is_empty() {
        out += &block("environment", &env);
    }
    let of_environment = environment.map_or(&[][..], |one| &one.variables);
    let mut run: String =
        model.scripts.iter().map(|script| step(model, of_environment, script, host.is_some())).collect();
    if host.is_some() {
        let with = format!(
            "withCredentials([sshUserPrivateKey(credentialsId: {}, keyFileVariable: 'SSH_KEY', usernameVariable: 'SSH_USER')])",
            text(settings.text("ssh_credentials"))
        );
        run = block(&with, &run);
    }
    out + &block("steps", &(checkout(model, settings) + &run))
}

fn agent(settings: &Values) -> String {
    match settings.text("agent") {
        "" => "agent any\n".to_owned(),
        label => block("agent", &format!("label {}\n", text(label))),
    }
}

fn checkout(model: &Model, settings: &Values) -> String {
    let mut credentials = String::new();
    if !settings.text("git_credentials").is_empty() {
        credentials = format!(", credentialsId: {}", text(settings.text("git_credentials")));
    }
    let (url, branch) = (text(&model.repository.url), text(&model.repository.branch));
    format!("git url: {url}, branch: {branch}{credentials}\n")
}

/// Jenkins takes an empty value for none at all, and expands the names of variables.
fn is_native(variable: &Parameter) -> bool {
    !variable.value.is_empty() && !variable.value.contains('$') && !SHELL.is_expression(&variable.value)
}

fn step(model: &Model, environment: &[Parameter], script: &Script, is_on_host: bool) -> String {
    let seen = variables(environment, script);
    let is_own = |one: &Parameter| script.parameters.iter().any(|own| std::ptr::eq(own, one));
    let exports: Vec<&Parameter> =
        seen.iter().copied().filter(|one| is_own(one) || !is_native(one)).collect();
    let command = if is_on_host {
        STEPS.there(script, &exports, &names(model, &seen), SSH)
    } else {
        STEPS.here(script, &exports)
    };
    sh(&script.path, &command)
}

/// A step in bash, which ends at the first command that fails.
fn sh(label: &str, command: &str) -> String {
    let command = lines(&format!("#!/usr/bin/env bash\nset -euo pipefail\n{}\n", command.trim_end()));
    format!("sh label: {}, script: {command}\n", text(label))
}

/// What is posted whatever the end was.
pub fn report(model: &Model, url: &str, settings: &Values) -> String {
    let report = Report { job: &model.name, url, build: "\"$BUILD_NUMBER\"", status: "\"$WINDLASS_RESULT\"" };
    let result =
        "withEnv([\"WINDLASS_RESULT=${currentBuild.currentResult == 'SUCCESS' ? 'SUCCESS' : 'FAILURE'}\"])";
    let mut tell = block(result, &sh("Tell Windlass", &STEPS.report(&report)));
    let secret = settings.text("report_credentials");
    if !secret.is_empty() {
        let with = format!(
            "withCredentials([string(credentialsId: {}, variable: 'WINDLASS_REPORT_SECRET')])",
            text(secret)
        );
        tell = block(&with, &tell);
    }
    let node = match settings.text("agent") {
        "" => "node".to_owned(),
        label => format!("node({})", text(label)),
    };
    block("post", &block("always", &block(&node, &tell)))
}
