//! The jobs: one an environment, the approval before it, and those that report.

use serde_json::{Map, Value, json};
use windlass_sdk::Problem;
use windlass_sdk::generator::{
    Environment, Model, Parameter, Report, Script, Shell, Steps, check, hosts, names, variables,
};
use windlass_sdk::params::Values;

use crate::is_expanded;

const SHELL: Shell = Shell::avoiding("");
const STEPS: Steps = Steps::new(SHELL);

/// Words of the file's top level, which no job can be named.
const TAKEN: &[&str] = &[
    "image",
    "services",
    "stages",
    "types",
    "before_script",
    "after_script",
    "variables",
    "cache",
    "include",
    "default",
    "workflow",
    "pages",
    "true",
    "false",
    "nil",
    "spec",
    "run",
    "report-success",
    "report-failure",
];

/// GitLab makes no larger matrix.
const MAX_HOSTS: usize = 200;

pub fn problems(model: &Model) -> Vec<Problem> {
    let many = |one: &&Environment| hosts(model, &one.name).len() > MAX_HOSTS;
    let message = |one: &Environment| {
        format!(
            "The environment `{}` has more than {MAX_HOSTS} hosts, which is what GitLab runs side by side.",
            one.name
        )
    };
    model.environments.iter().filter(many).map(|one| Problem::at("/hosts", message(one))).collect()
}

/// In the order in which they run.
pub fn stages(model: &Model) -> Vec<String> {
    if model.environments.is_empty() {
        return vec!["run".to_owned()];
    }
    let of_environment = |one: &Environment| {
        let approval = one.approval.then(|| approval(&one.name));
        approval.into_iter().chain([one.name.clone()])
    };
    model.environments.iter().flat_map(of_environment).collect()
}

/// A space keeps it apart from every environment's name.
fn approval(environment: &str) -> String {
    format!("approve {environment}")
}

pub fn jobs(model: &Model, settings: &Values) -> Value {
    let mut jobs = Map::new();
    let ids = check::identifiers(model.environments.iter().map(|one| one.name.as_str()), TAKEN);
    if model.environments.is_empty() {
        let script: Vec<String> =
            model.scripts.iter().map(|script| command(model, &[], script, None)).collect();
        jobs.insert("run".to_owned(), json!({ "stage": "run", "script": script }));
    }
    for (environment, id) in model.environments.iter().zip(ids) {
        if environment.approval {
            let gate = json!({
                "stage": approval(&environment.name),
                "variables": { "GIT_STRATEGY": "none" },
                "script": [format!("echo 'Approved for {}.'", environment.name)],
                "when": "manual",
                "allow_failure": false,
            });
            jobs.insert(approval(&environment.name), gate);
        }
        jobs.insert(id, job(model, environment, settings));
    }
    if let Some(url) = &model.report_url {
        jobs.insert("report-success".to_owned(), report(model, url, "SUCCESS", "on_success"));
        jobs.insert("report-failure".to_owned(), report(model, url, "FAILURE", "on_failure"));
    }
    Value::Object(jobs)
}

fn job(model: &Model, environment: &Environment, settings: &Values) -> Value {
    let hosts = hosts(model, &environment.name);
    let native = environment.variables.iter().filter(|one| !is_expanded(&one.value));
    let mut vars = Map::from_iter([("WINDLASS_ENVIRONMENT".to_owned(), json!(environment.name))]);
    vars.extend(native.map(|one| (one.name.clone(), json!(one.value))));
    let mut job = json!({
        "stage": environment.name,
        "environment": environment.name,
        "resource_group": environment.name,
        "variables": vars,
    });
    let mut ssh = None;
    if !hosts.is_empty() {
        let matrix =
            hosts.iter().map(|host| json!({ "WINDLASS_HOST": host.name, "WINDLASS_ADDRESS": host.address }));
        job["parallel"] = json!({ "matrix": matrix.collect::<Vec<_>>() });
        job["before_script"] = json!(["chmod 400 \"$SSH_PRIVATE_KEY\""]);
        ssh = Some(format!(
            "ssh -i \"$SSH_PRIVATE_KEY\" -o UserKnownHostsFile=\"$SSH_KNOWN_HOSTS\" -o BatchMode=yes -l {} \
             \"$WINDLASS_ADDRESS\"",
            SHELL.word(settings.text("ssh_user"))
        ));
    }
    let command = |script| command(model, &environment.variables, script, ssh.as_deref());
    job["script"] = model.scripts.iter().map(command).collect();
    job
}

/// All commands of a job share a shell, so what is set for one of them is set in a shell of its own.
fn command(model: &Model, environment: &[Parameter], script: &Script, ssh: Option<&str>) -> String {
    let seen = variables(environment, script);
    let is_own = |one: &Parameter| script.parameters.iter().any(|own| std::ptr::eq(own, one));
    let exports: Vec<&Parameter> =
        seen.iter().copied().filter(|one| is_own(one) || is_expanded(&one.value)).collect();
    let command = match ssh {
        None => STEPS.here(script, &exports),
        Some(ssh) => STEPS.there(script, &exports, &names(model, &seen), ssh),
    };
    if exports.is_empty() {
        return command.trim_end().to_owned();
    }
    let lines: String = command.lines().map(|line| format!("  {line}\n")).collect();
    format!("(\n{lines})\n")
}

fn report(model: &Model, url: &str, status: &str, when: &str) -> Value {
    let report = Report { job: &model.name, url, build: "\"$CI_PIPELINE_ID\"", status };
    json!({
        "stage": ".post",
        "variables": { "GIT_STRATEGY": "none" },
        "script": [STEPS.report(&report)],
        "when": when,
    })
}
