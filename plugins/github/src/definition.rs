//! What a workflow file says about being started by hand.

use windlass_sdk::Failure;
use windlass_sdk::provider::Trigger;
use yaml_rust2::{Yaml, YamlLoader};

/// A workflow that has an input of this name is given the build's key in it, and shows it in its `run-name`: so a build is
/// found again, and a second attempt at it starts no second run.
pub const KEY_INPUT: &str = "windlass_run";

/// GitHub takes no more.
const MOST_INPUTS: usize = 25;

/// The inputs of `on: workflow_dispatch`.
#[derive(Debug, PartialEq)]
pub struct Definition {
    pub inputs: Vec<Input>,
}

#[derive(Debug, PartialEq)]
pub struct Input {
    pub name: String,
    /// Has to be given, since there is no default.
    pub required: bool,
    /// `string`, `choice`, `boolean`, `number` or `environment`.
    kind: String,
    options: Vec<String>,
}

impl Definition {
    /// Reads the text of a workflow file.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-job` if it is no YAML, or cannot be started by hand.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let invalid = |why: String| Failure::permanent("invalid-job", why);
        let documents = YamlLoader::load_from_str(text)
            .map_err(|error| invalid(format!("The workflow file is no good YAML: {error}.")))?;
        let on = documents.first().map_or(&Yaml::BadValue, |workflow| &workflow["on"]);
        let starts = match on {
            Yaml::String(event) => event == "workflow_dispatch",
            Yaml::Array(events) => events.iter().any(|event| event.as_str() == Some("workflow_dispatch")),
            Yaml::Hash(events) => events.keys().any(|event| event.as_str() == Some("workflow_dispatch")),
            _ => false,
        };
        if !starts {
            let said = "The workflow has no trigger `on: workflow_dispatch`, without which nobody can start it. Please add it.";
            return Err(invalid(said.to_owned()));
        }
        let inputs = on["workflow_dispatch"]["inputs"].as_hash();
        let read = |(name, input): (&Yaml, &Yaml)| Some(Input::read(name.as_str()?, input));
        Ok(Self { inputs: inputs.into_iter().flatten().filter_map(read).collect() })
    }

    pub fn takes(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.name == name)
    }

    /// The values of the inputs, checked as GitHub would, but with an answer that says everything at once.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-parameters`.
    pub fn inputs_of(
        &self,
        trigger: &Trigger,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
        let mut wrong: Vec<String> = Vec::new();
        let mut values = serde_json::Map::new();
        for (name, value) in &trigger.parameters {
            match self.inputs.iter().find(|input| input.name == *name) {
                None => wrong.push(format!("The workflow has no input `{name}`; it has {}.", self.names())),
                Some(input) => wrong.extend(input.complaint(value)),
            }
            values.insert(name.clone(), value.clone().into());
        }
        if self.takes(KEY_INPUT) {
            values.entry(KEY_INPUT).or_insert_with(|| trigger.idempotency_key.clone().into());
        }
        let missing = self.inputs.iter().filter(|input| input.required && !values.contains_key(&input.name));
        wrong
            .extend(missing.map(|input| format!("The input `{}` is required and has no value.", input.name)));
        if values.len() > MOST_INPUTS {
            wrong.push(format!("There are {} values, and GitHub takes {MOST_INPUTS} at most.", values.len()));
        }
        if wrong.is_empty() {
            Ok(values)
        } else {
            Err(Failure::permanent("invalid-parameters", wrong.join(" ")))
        }
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.inputs.iter().map(|input| format!("`{}`", input.name)).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

impl Input {
    fn read(name: &str, input: &Yaml) -> Self {
        let options = input["options"].as_vec().into_iter().flatten();
        Self {
            name: name.to_owned(),
            required: input["required"].as_bool().unwrap_or(false) && input["default"].is_badvalue(),
            kind: input["type"].as_str().unwrap_or("string").to_owned(),
            options: options.filter_map(text_of).collect(),
        }
    }

    fn complaint(&self, value: &str) -> Option<String> {
        let (good, wanted) = match self.kind.as_str() {
            "choice" => (self.options.iter().any(|option| option == value), self.options.join(", ")),
            "boolean" => (matches!(value, "true" | "false"), "true or false".to_owned()),
            "number" => (value.parse::<f64>().is_ok_and(f64::is_finite), "a number".to_owned()),
            _ => (true, String::new()),
        };
        (!good).then(|| {
            let shown: String = value.chars().take(60).collect();
            format!("The input `{}` takes {wanted}, but is `{shown}`.", self.name)
        })
    }
}

/// A scalar as it would be written.
fn text_of(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKFLOW: &str = "
name: Deploy
on:
  push:
  workflow_dispatch:
    inputs:
      target: { type: choice, options: [staging, production, 7], required: true }
      dry: { type: boolean, default: false, required: true }
      count: { type: number }
      note: { required: true }
      windlass_run: {}
";

    fn values(parameters: &[(&str, &str)]) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
        let parameters =
            parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let trigger =
            Trigger { ref_name: None, parameters, idempotency_key: "key-1".to_owned(), extras: Vec::new() };
        Definition::read(WORKFLOW)?.inputs_of(&trigger)
    }

    #[test]
    fn good_values_are_taken_and_the_key_is_added() {
        let taken =
            values(&[("target", "7"), ("note", "x"), ("count", "1.5"), ("dry", "true")]).expect("good");
        assert_eq!((&taken["target"], &taken[KEY_INPUT]), (&"7".into(), &"key-1".into()));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let failure = values(&[("target", "nowhere"), ("dry", "maybe"), ("count", "many"), ("x", "1")]);
        let failure = failure.expect_err("nothing of it is right");
        assert_eq!(failure.code, "invalid-parameters");
        for words in
            ["staging, production, 7", "true or false", "a number", "no input `x`", "`note` is required"]
        {
            assert!(failure.message.contains(words), "{words}: {}", failure.message);
        }
    }

    #[test]
    fn a_trigger_is_found_in_all_its_forms() {
        for on in ["on: workflow_dispatch", "on: [push, workflow_dispatch]", "on:\n  workflow_dispatch:\n"] {
            assert_eq!(Definition::read(on).expect(on).inputs, []);
        }
        for (on, word) in [("on: push", "workflow_dispatch"), ("a: [", "YAML"), ("", "workflow_dispatch")] {
            let failure = Definition::read(on).expect_err(on);
            assert!(failure.code == "invalid-job" && failure.message.contains(word), "{failure:?}");
        }
    }
}
