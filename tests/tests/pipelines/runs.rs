//! What a vendor would run: commands and variables, read off the file as the vendor reads it.

use std::collections::BTreeMap;

use serde_json::Value;

/// One script of a pipeline, as the vendor starts it.
#[derive(Debug, Default)]
pub struct Run {
    /// `here`, `there` or `report`.
    pub place: &'static str,
    pub env: BTreeMap<String, String>,
    /// For bash. With a `#!`, it is a program.
    pub command: String,
}

/// Everything that the pipeline of the hostile model runs, and its structure without the values in it.
pub fn read(generator: &str, document: &Value) -> (Vec<Run>, Vec<String>) {
    let runs = match generator {
        "github-workflow" => github(document),
        "circleci-config" => circleci(document),
        "gitlab-ci" => gitlab(document),
        _ => return jenkins(document),
    };
    let mut shape = Vec::new();
    shape_of(document, "", &mut shape);
    (runs, shape)
}

/// Paths of all values. Variables may be handed over in another way if they are hostile, so they do not count.
fn shape_of(value: &Value, path: &str, shape: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if !["VALUE", "SETTING"].contains(&name.as_str()) && !is_empty_env(name, field) {
                    shape_of(field, &format!("{path}/{name}"), shape);
                }
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| shape_of(item, &format!("{path}/{n}"), shape));
        }
        other => shape.push(format!("{path}: {}", if other.is_string() { "text" } else { "value" })),
    }
}

/// Whether nothing is left of it without those.
fn is_empty_env(name: &str, field: &Value) -> bool {
    let names = field.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    ["env", "environment"].contains(&name)
        && names.into_iter().all(|name| ["VALUE", "SETTING"].contains(&name))
        || name == "expand"
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), value.as_str().expect("a variable is a text").to_owned()))
        .collect()
}

/// Replaces the expressions that generated pipelines have on purpose. Any other would be hostile.
fn evaluate(text: &str, opening: &str, known: &[(&str, &str)]) -> String {
    let mut left = text.to_owned();
    for (expression, _) in known {
        left = left.replace(expression, "");
    }
    assert!(!left.contains(opening), "the vendor would evaluate {left:?}");
    // At most one of them is in a text, and what it gives is not looked at again.
    let found = known.iter().find(|(expression, _)| text.contains(expression));
    found.map_or(text.to_owned(), |(expression, value)| text.replacen(expression, value, 1))
}

const PLACES: [&str; 3] = ["here", "there", "report"];

fn github(document: &Value) -> Vec<Run> {
    let input = &document["on"]["workflow_dispatch"]["inputs"]["INPUT"]["default"];
    let result = document["jobs"]["report"]["steps"][0]["env"]["WINDLASS_RESULT"].as_str().unwrap();
    let known = [
        ("${{ inputs.INPUT }}", input.as_str().unwrap()),
        ("${{ inputs.windlass_run }}", "key"),
        ("${{ matrix.host }}", "web-1"),
        ("${{ matrix.address }}", "10.0.0.1"),
        ("${{ secrets.WINDLASS_REPORT_SECRET }}", "secret"),
        (result, "SUCCESS"),
    ];
    let evaluate = |text: &str| evaluate(text, "${{", &known);
    let mut runs = Vec::new();
    for place in PLACES {
        let job = &document["jobs"][place];
        let step = job["steps"].as_array().unwrap().last().unwrap();
        let mut env = texts(&document["env"]);
        env.extend(texts(&job["env"]));
        env.extend(texts(&step["env"]));
        env.values_mut().for_each(|value| *value = evaluate(value));
        env.extend([("RUNNER_TEMP".into(), "/nowhere".into()), ("GITHUB_RUN_ID".into(), "7".into())]);
        runs.push(Run { place, env, command: evaluate(step["run"].as_str().unwrap()) });
        for name in [&document["name"], &document["run-name"], &job["name"], &step["name"]]
            .into_iter()
            .filter_map(Value::as_str)
        {
            evaluate(name);
        }
    }
    runs
}

fn circleci(document: &Value) -> Vec<Run> {
    let input = document["parameters"]["input"]["default"].as_str().unwrap();
    let known = [
        ("<< pipeline.parameters.input >>", input),
        ("<< parameters.host >>", "web-1"),
        ("<< parameters.address >>", "10.0.0.1"),
        ("<< pipeline.id >>", "7"),
    ];
    let evaluate = |text: &str| evaluate(text, "<<", &known);
    let mut runs = Vec::new();
    for place in PLACES {
        let job = &document["jobs"][place];
        let steps = job["steps"].as_array().unwrap();
        // Behind the script is the report of a failure.
        let run = &steps[if place == "report" { 0 } else { steps.len() - 2 }]["run"];
        let mut env = texts(&job["environment"]);
        env.extend(texts(&run["environment"]));
        env.values_mut().for_each(|value| *value = evaluate(value));
        if place == "report" {
            env.insert("WINDLASS_REPORT_SECRET".into(), "secret".into());
        }
        evaluate(run["name"].as_str().unwrap());
        runs.push(Run { place, env, command: evaluate(run["command"].as_str().unwrap()) });
    }
    runs
}

fn gitlab(document: &Value) -> Vec<Run> {
    let mut common = BTreeMap::new();
    for (name, variable) in document["variables"].as_object().unwrap() {
        let value = variable["value"].as_str().unwrap();
        assert!(!value.contains('$') || variable["expand"] == false, "GitLab would expand {value:?}");
        common.insert(name.clone(), value.to_owned());
    }
    let mut runs = Vec::new();
    for (place, job) in [("here", "here"), ("there", "there"), ("report", "report-success")] {
        let job = &document[job];
        let own = texts(&job["variables"]);
        assert!(own.values().all(|value| !value.contains('$')), "GitLab would expand one of {own:?}");
        let mut env = common.clone();
        env.extend(own);
        if let Some(host) = job["parallel"]["matrix"].get(0) {
            env.extend(texts(host));
            let files = [("SSH_PRIVATE_KEY", "/dev/null"), ("SSH_KNOWN_HOSTS", "/dev/null")];
            env.extend(files.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        if place == "report" {
            let set = [("WINDLASS_REPORT_SECRET", "secret"), ("CI_PIPELINE_ID", "7")];
            env.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        }
        let script: Vec<&str> =
            job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        runs.push(Run { place, env, command: script.join("\n") });
    }
    runs
}

/// The events tell the structure by themselves.
fn jenkins(events: &Value) -> (Vec<Run>, Vec<String>) {
    let (mut runs, mut shape) = (Vec::new(), Vec::new());
    let mut env = BTreeMap::new();
    let mut parameters = BTreeMap::new();
    for event in events.as_array().unwrap() {
        if let Some(name) = event["set"].as_str() {
            if !["VALUE", "SETTING"].contains(&name) {
                shape.push(format!("set {name}"));
            }
            let value = event["value"].as_str().unwrap();
            assert!(!value.contains('$') && !value.is_empty(), "Jenkins would expand {value:?}");
            env.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let (step, given) = (event["step"].as_str(), &event["arguments"]);
        shape.push(format!("{}{}", step.unwrap_or("end "), event["end"].as_str().unwrap_or_default()));
        match step {
            Some("string") if given[0]["defaultValue"].is_string() => {
                let text = |name: &str| given[0][name].as_str().unwrap().to_owned();
                parameters.insert(text("name"), text("defaultValue"));
            }
            Some("stage" | "always") => env.clear(),
            Some("sh") => {
                let place = PLACES[runs.len()];
                let mut env = env.clone();
                env.extend(parameters.clone());
                let set = [
                    ("SSH_KEY", "/nowhere"),
                    ("SSH_USER", "deploy"),
                    ("BUILD_NUMBER", "7"),
                    ("WINDLASS_RESULT", "SUCCESS"),
                    ("WINDLASS_REPORT_SECRET", "secret"),
                ];
                env.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
                runs.push(Run { place, env, command: given[0]["script"].as_str().unwrap().to_owned() });
            }
            _ => {}
        }
    }
    (runs, shape)
}
