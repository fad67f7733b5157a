//! The jobs: one an environment, and the one that reports.

use serde_json::{Map, Value, json};
use windlass_sdk::generator::{
    Environment, Model, Parameter, Report, Script, Steps, check, hosts, names, variables,
};
use windlass_sdk::params::Values;

use crate::SHELL;

const STEPS: Steps = Steps::new(SHELL);
const REPORT: &str = "report";
const RESULT: &str = "${{ (contains(needs.*.result, 'failure') || contains(needs.*.result, 'cancelled')) && 'FAILURE' || 'SUCCESS' }}";

/// All jobs, in the order in which they run.
pub fn jobs(model: &Model, settings: &Values) -> Value {
    let mut jobs = Map::new();
    let names = model.environments.iter().map(|environment| environment.name.as_str());
    let mut ids = check::identifiers(names, &[REPORT]);
    if model.environments.is_empty() {
        ids.push("run".to_owned());
        jobs.insert("run".to_owned(), job(model, None, None, settings));
    }
    for (n, environment) in model.environments.iter().enumerate() {
        let before = n.checked_sub(1).map(|before| ids[before].as_str());
        jobs.insert(ids[n].clone(), job(model, Some(environment), before, settings));
    }
    if let Some(url) = &model.report_url {
        jobs.insert(REPORT.to_owned(), report(model, url, &ids, settings));
    }
    Value::Object(jobs)
}

fn job(model: &Model, environment: Option<&Environment>, before: Option<&str>, settings: &Values) -> Value {
    let mut job = Map::new();
    let mut put = |name: &str, value: Value| job.insert(name.to_owned(), value);
    let hosts = environment.map_or(Vec::new(), |environment| hosts(model, &environment.name));
    let mut env = Map::new();
    if let Some(environment) = environment {
        let at = if hosts.is_empty() { "" } else { " on ${{ matrix.host }}" };
        put("name", json!(format!("{}{at}", environment.name)));
        env.insert("WINDLASS_ENVIRONMENT".to_owned(), json!(environment.name));
        let native = environment.variables.iter().filter(|one| !SHELL.is_expression(&one.value));
        env.extend(native.map(|one| (one.name.clone(), json!(one.value))));
    }
    if let Some(before) = before {
        put("needs", json!(before));
    }
    put("runs-on", json!(settings.text("runs_on")));
    put("timeout-minutes", json!(settings.integer("timeout_minutes")));
    if let Some(environment) = environment {
        put("environment", json!(environment.name));
    }
    if !hosts.is_empty() {
        let include = hosts.iter().map(|host| json!({ "host": host.name, "address": host.address }));
        put("strategy", json!({ "fail-fast": false, "matrix": { "include": include.collect::<Vec<_>>() } }));
        env.insert("WINDLASS_HOST".to_owned(), json!("${{ matrix.host }}"));
        env.insert("WINDLASS_ADDRESS".to_owned(), json!("${{ matrix.address }}"));
    }
    if !env.is_empty() {
        put("env", Value::Object(env));
    }
    let mut steps = vec![json!({ "uses": "actions/checkout@v4" })];
    if !hosts.is_empty() {
        steps.push(prepare_ssh());
    }
    let of_environment = environment.map_or(&[][..], |one| &one.variables);
    let ssh = (!hosts.is_empty()).then(|| ssh(settings.text("ssh_user")));
    steps.extend(model.scripts.iter().map(|script| step(model, of_environment, script, ssh.as_deref())));
    put("steps", Value::Array(steps));
    Value::Object(job)
}

fn step(model: &Model, environment: &[Parameter], script: &Script, ssh: Option<&str>) -> Value {
    let seen = variables(environment, script);
    let exports: Vec<&Parameter> =
        seen.iter().copied().filter(|one| SHELL.is_expression(&one.value)).collect();
    let run = match ssh {
        None => STEPS.here(script, &exports),
        Some(ssh) => STEPS.there(script, &exports, &names(model, &seen), ssh),
    };
    let mut step = Map::from_iter([("name".to_owned(), json!(label(&script.path)))]);
    let native = script.parameters.iter().filter(|one| !SHELL.is_expression(&one.value));
    let env: Map<String, Value> = native.map(|one| (one.name.clone(), json!(one.value))).collect();
    if !env.is_empty() {
        step.insert("env".to_owned(), Value::Object(env));
    }
    step.insert("run".to_owned(), json!(run));
    Value::Object(step)
}

/// Key and known hosts are files of this job alone, which the runner removes.
fn prepare_ssh() -> Value {
    json!({
        "name": "Prepare SSH",
        "env": {
            "SSH_PRIVATE_KEY": "${{ secrets.SSH_PRIVATE_KEY }}",
            "SSH_KNOWN_HOSTS": "${{ secrets.SSH_KNOWN_HOSTS }}",
        },
        "run": "umask 077\n\
                printf '%s\\n' \"$SSH_PRIVATE_KEY\" > \"$RUNNER_TEMP/ssh_key\"\n\
                printf '%s\\n' \"$SSH_KNOWN_HOSTS\" > \"$RUNNER_TEMP/known_hosts\"\n",
    })
}

fn ssh(user: &str) -> String {
    format!(
        "ssh -i \"$RUNNER_TEMP/ssh_key\" -o UserKnownHostsFile=\"$RUNNER_TEMP/known_hosts\" -o BatchMode=yes \
         -l {} \"$WINDLASS_ADDRESS\"",
        SHELL.word(user)
    )
}

fn report(model: &Model, url: &str, ids: &[String], settings: &Values) -> Value {
    let report =
        Report { job: &model.name, url, build: "\"$GITHUB_RUN_ID\"", status: "\"$WINDLASS_RESULT\"" };
    json!({
        "needs": ids,
        "if": "always()",
        "runs-on": settings.text("runs_on"),
        "timeout-minutes": 5,
        "steps": [{
            "name": "Tell Windlass",
            "env": { "WINDLASS_RESULT": RESULT, "WINDLASS_REPORT_SECRET": "${{ secrets.WINDLASS_REPORT_SECRET }}" },
            "run": STEPS.report(&report),
        }],
    })
}

/// A text for people. It shows what it is, and is no expression.
pub fn label(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect();
    line.trim().replace("${{", "$ {{")
}
