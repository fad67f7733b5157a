//! The commands in which the model's scripts run. All are for bash.

use serde_json::Value;

use super::shell::Shell;
use super::{Host, Model, Parameter, Script};

/// Writes commands for one vendor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    shell: Shell,
}

/// What a pipeline posts when it has ended: the JSON of a status report, signed with `$WINDLASS_REPORT_SECRET` if the
/// vendor has that.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// Name of the job.
    pub job: &'a str,
    pub url: &'a str,
    /// Of bash: the build's id at the vendor, as `"$BUILD_NUMBER"`.
    pub build: &'a str,
    /// Of bash: `SUCCESS` or `FAILURE`, or a variable that is.
    pub status: &'a str,
}

impl Steps {
    pub const fn new(shell: Shell) -> Self {
        Self { shell }
    }

    /// Runs the script here, with these variables besides those that are set already.
    pub fn here(&self, script: &Script, exports: &[&Parameter]) -> String {
        let run = format!("bash {}", self.shell.path(&script.path));
        if exports.is_empty() { run } else { format!("{}{run}\n", self.exports(exports)) }
    }

    /// Runs the script on another machine, to which `ssh` connects: the whole command, without what is to run there. The
    /// variables named go along. The script is read as a whole before it begins, so that it may read its own input.
    pub fn there(&self, script: &Script, exports: &[&Parameter], names: &[&str], ssh: &str) -> String {
        let path = self.shell.path(&script.path);
        let along = names.join(" ");
        let exports = self.exports(exports);
        format!("{exports}{{ declare -p {along}; cat {path}; }} |\n  {ssh} 'bash -c \"$(cat)\"'\n")
    }

    /// Tells Windlass how the build ended. A report that does not arrive fails nothing: Windlass asks the vendor as well.
    pub fn report(&self, report: &Report<'_>) -> String {
        let job = self.shell.word(&Value::from(report.job).to_string());
        let url = self.shell.word(report.url);
        format!(
            r#"body=$(printf '{{"jobId":%s,"status":"%s","buildNumber":"%s","timestamp":"%s"}}' \
  {job} {status} {build} "$(date -u +%Y-%m-%dT%H:%M:%SZ)")
headers=(--header 'content-type: application/json')
if [ -n "${{WINDLASS_REPORT_SECRET:-}}" ]; then
  signature=$(printf %s "$body" | openssl dgst -sha256 -hmac "$WINDLASS_REPORT_SECRET" | sed 's/.*= *//')
  headers+=(--header "x-windlass-signature: sha256=$signature" --header "x-windlass-delivery: $signature")
fi
curl --silent --show-error --fail --globoff --max-time 30 --retry 3 "${{headers[@]}}" --data-binary "$body" \
  {url} || echo 'Windlass was not reached; it asks for the result itself.'
"#,
            status = report.status,
            build = report.build,
        )
    }

    fn exports(&self, exports: &[&Parameter]) -> String {
        let assign = |one: &&Parameter| format!("export {}={}\n", one.name, self.shell.word(&one.value));
        exports.iter().map(assign).collect()
    }
}

/// The variables that a script sees, each name once: its own parameters come before the environment's.
pub fn variables<'a>(environment: &'a [Parameter], script: &'a Script) -> Vec<&'a Parameter> {
    let mut found: Vec<&Parameter> = Vec::new();
    for one in environment.iter().chain(&script.parameters) {
        match found.iter_mut().find(|other| other.name == one.name) {
            Some(other) => *other = one,
            None => found.push(one),
        }
    }
    found
}

/// Names of all variables that go along to a host: what generated pipelines tell a script about where it runs, the
/// parameters of the job, and those that the script sees besides.
pub fn names<'a>(model: &'a Model, seen: &[&'a Parameter]) -> Vec<&'a str> {
    let mut names = vec!["WINDLASS_ENVIRONMENT", "WINDLASS_HOST"];
    for name in model.parameters.iter().chain(seen.iter().copied()).map(|one| one.name.as_str()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The hosts of an environment, in the model's order.
pub fn hosts<'a>(model: &'a Model, environment: &str) -> Vec<&'a Host> {
    model.hosts.iter().filter(|host| host.environment == environment).collect()
}
