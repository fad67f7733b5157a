//! What each job does.

use serde_json::{Map, Value, json};
use windlass_sdk::generator::{Model, Parameter, Report, Script, Steps, names, variables};
use windlass_sdk::params::Values;

use crate::workflow::{REPORT, Stage};
use crate::{SHELL, parameter};

const STEPS: Steps = Steps::new(SHELL);

pub fn jobs(model: &Model, plan: &[Stage<'_>], settings: &Values) -> Value {
    let mut jobs: Map<String, Value> =
        plan.iter().map(|stage| (stage.id.clone(), job(model, stage, settings))).collect();
    if let Some(url) = &model.report_url {
        let told = report(model, url, "SUCCESS", "always");
        jobs.insert(REPORT.to_owned(), with(executor(settings), "steps", json!([told])));
    }
    Value::Object(jobs)
}

fn executor(settings: &Values) -> Value {
    json!({
        "docker": [{ "image": settings.text("image") }],
        "resource_class": settings.text("resource_class"),
    })
}

fn with(mut job: Value, name: &str, value: Value) -> Value {
    job[name] = value;
    job
}

fn job(model: &Model, stage: &Stage<'_>, settings: &Values) -> Value {
    let has_hosts = stage.runs.iter().any(|(_, host)| host.is_some());
    let mut job = executor(settings);
    let mut env = Map::new();
    for one in &model.parameters {
        env.insert(one.name.clone(), json!(format!("<< pipeline.parameters.{} >>", parameter(&one.name))));
    }
    if let Some(environment) = stage.environment {
        env.insert("WINDLASS_ENVIRONMENT".to_owned(), json!(environment.name));
        let native = environment.variables.iter().filter(|one| !SHELL.is_expression(&one.value));
        env.extend(native.map(|one| (one.name.clone(), json!(one.value))));
    }
    let mut steps = vec![json!("checkout")];
    if has_hosts {
        job["parameters"] = json!({ "host": { "type": "string" }, "address": { "type": "string" } });
        env.insert("WINDLASS_HOST".to_owned(), json!("<< parameters.host >>"));
        env.insert("WINDLASS_ADDRESS".to_owned(), json!("<< parameters.address >>"));
        steps.extend(prepare_ssh(settings.text("ssh_fingerprint")));
    }
    if !env.is_empty() {
        job["environment"] = Value::Object(env);
    }
    let of_environment = stage.environment.map_or(&[][..], |one| &one.variables);
    let user = SHELL.word(settings.text("ssh_user"));
    let ssh = has_hosts.then(|| format!("ssh -o BatchMode=yes -l {user} \"$WINDLASS_ADDRESS\""));
    steps.extend(model.scripts.iter().map(|script| step(model, of_environment, script, ssh.as_deref())));
    if let Some(url) = &model.report_url {
        steps.push(report(model, url, "FAILURE", "on_fail"));
    }
    job["steps"] = Value::Array(steps);
    job
}

fn step(model: &Model, environment: &[Parameter], script: &Script, ssh: Option<&str>) -> Value {
    let seen = variables(environment, script);
    let exports: Vec<&Parameter> =
        seen.iter().copied().filter(|one| SHELL.is_expression(&one.value)).collect();
    let command = match ssh {
        None => STEPS.here(script, &exports),
        Some(ssh) => STEPS.there(script, &exports, &names(model, &seen), ssh),
    };
    let mut run = Map::from_iter([("name".to_owned(), json!(label(&script.path)))]);
    let native = script.parameters.iter().filter(|one| !SHELL.is_expression(&one.value));
    let env: Map<String, Value> = native.map(|one| (one.name.clone(), json!(one.value))).collect();
    if !env.is_empty() {
        run.insert("environment".to_owned(), Value::Object(env));
    }
    run.insert("command".to_owned(), json!(command));
    json!({ "run": run })
}

fn prepare_ssh(fingerprint: &str) -> [Value; 2] {
    let keys = if fingerprint.is_empty() {
        json!("add_ssh_keys")
    } else {
        json!({ "add_ssh_keys": { "fingerprints": [fingerprint] } })
    };
    let known = json!({ "run": {
        "name": "Know the hosts",
        "command": "install -d -m 700 ~/.ssh\nprintf '%s\\n' \"$SSH_KNOWN_HOSTS\" >> ~/.ssh/known_hosts\n",
    } });
    [keys, known]
}

fn report(model: &Model, url: &str, status: &str, when: &str) -> Value {
    let report = Report { job: &model.name, url, build: "\"$WINDLASS_BUILD\"", status };
    json!({ "run": {
        "name": "Tell Windlass",
        "when": when,
        "environment": { "WINDLASS_BUILD": "<< pipeline.id >>" },
        "command": STEPS.report(&report),
    } })
}

/// A text for people. It shows what it is, and is no expression.
fn label(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect();
    line.trim().replace('<', "‹")
}
