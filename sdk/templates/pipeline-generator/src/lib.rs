//! A pipeline generator: turns a description of what to run where into the files of a vendor's pipeline.
//!
//! The example's vendor reads JSON, so serde quotes every text of the model; for another language, quote them yourself:
//! they are untrusted.

use serde_json::{Map, Value, json};
use windlass_sdk::generator::{File, Generator, Model, Parameter};
use windlass_sdk::{Failure, Manifest, Problem};

pub struct Plugin;

impl Generator for Plugin {
    fn describe() -> Manifest {
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), "Writes pipelines for an example vendor, as JSON")
    }

    fn validate(model: &Model) -> Vec<Problem> {
        let mut problems = Vec::new();
        if model.scripts.is_empty() {
            problems.push(Problem::at("/scripts", "There is no script to run; add one."));
        }
        if model.template.is_some() {
            problems.push(Problem::at("/template", "This generator takes no template; leave it out."));
        }
        for (n, host) in model.hosts.iter().enumerate() {
            if !model.environments.iter().any(|environment| environment.name == host.environment) {
                let message = format!("There is no environment `{}`; add it, or correct it.", host.environment);
                problems.push(Problem::at(format!("/hosts/{n}/environment"), message));
            }
        }
        problems
    }

    fn generate(model: Model) -> Result<Vec<File>, Failure> {
        if let Some(problem) = Self::validate(&model).into_iter().next() {
            return Err(Failure::permanent("invalid-model", problem.message));
        }
        let scripts: Vec<Value> = model
            .scripts
            .iter()
            .map(|script| json!({ "run": script.path, "with": object(&script.parameters) }))
            .collect();
        let stages: Vec<Value> = model
            .environments
            .iter()
            .map(|environment| {
                let hosts = model.hosts.iter().filter(|host| host.environment == environment.name);
                let addresses: Vec<&str> = hosts.map(|host| host.address.as_str()).collect();
                json!({
                    "stage": environment.name,
                    "needs-approval": environment.approval,
                    "env": object(&environment.variables),
                    "hosts": addresses,
                    "steps": scripts,
                })
            })
            .collect();
        let pipeline = json!({
            "name": model.name,
            "repository": model.repository.url,
            "branch": model.repository.branch,
            "parameters": object(&model.parameters),
            "stages": if stages.is_empty() { vec![json!({ "stage": "run", "steps": scripts })] } else { stages },
            "report-to": model.report_url,
        });
        Ok(vec![File::new("pipeline.json", format!("{pipeline:#}\n"))])
    }
}

windlass_sdk::export_generator!(Plugin);

fn object(parameters: &[Parameter]) -> Map<String, Value> {
    parameters.iter().map(|one| (one.name.clone(), Value::String(one.value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_sdk::generator::{Environment, Host, Repository, Script};

    fn model() -> Model {
        Model {
            name: "nightly".to_owned(),
            description: String::new(),
            repository: Repository { url: "https://forge.example/a.git".to_owned(), branch: "main".to_owned() },
            environments: vec![Environment {
                name: "staging".to_owned(),
                variables: Vec::new(),
                approval: true,
                extras: Vec::new(),
            }],
            hosts: vec![Host {
                name: "one".to_owned(),
                address: "10.0.0.1".to_owned(),
                environment: "staging".to_owned(),
            }],
            scripts: vec![Script { path: "test.sh".to_owned(), parameters: Vec::new() }],
            parameters: Vec::new(),
            report_url: None,
            template: None,
            settings: "{}".to_owned(),
            extras: Vec::new(),
        }
    }

    #[test]
    fn each_environment_is_a_stage_with_its_hosts() {
        let files = Plugin::generate(model()).expect("the model is good");
        let pipeline: Value = serde_json::from_str(&files[0].content).expect("it is JSON");
        assert_eq!(pipeline["stages"][0]["hosts"], json!(["10.0.0.1"]));
        assert_eq!(pipeline["stages"][0]["steps"][0]["run"], "test.sh");
    }

    #[test]
    fn a_text_cannot_break_out_of_its_place() {
        let mut hostile = model();
        hostile.scripts[0].path = "x\", \"run\": \"rm -rf /\n".to_owned();
        let files = Plugin::generate(hostile).expect("it is only text");
        let pipeline: Value = serde_json::from_str(&files[0].content).expect("it is JSON still");
        assert_eq!(pipeline["stages"][0]["steps"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_host_of_no_environment_is_a_problem_at_its_place() {
        let mut model = model();
        model.hosts[0].environment = "moon".to_owned();
        assert_eq!(Plugin::validate(&model)[0].path, "/hosts/0/environment");
    }
}
