//! What a `.gitlab-ci.yml` says about the values it takes.

use serde_json::{Map, Value, json};
use windlass_sdk::Failure;
use windlass_sdk::provider::Trigger;
use yaml_rust2::{Yaml, YamlLoader};

/// Each pipeline is given the build's key in this variable: by it a second attempt at the build finds the first.
pub const KEY_VARIABLE: &str = "WINDLASS_RUN";

/// The inputs of the header `spec`, and the variables of the whole file.
#[derive(Debug, Default, PartialEq)]
pub struct Definition {
    inputs: Vec<Declared>,
    variables: Vec<Declared>,
    /// Other files belong to it, which may declare more variables.
    has_includes: bool,
}

#[derive(Debug, PartialEq)]
struct Declared {
    name: String,
    required: bool,
    /// `string`, `number`, `boolean` or `array`.
    kind: String,
    /// Empty if any value will do.
    options: Vec<String>,
}

/// What a pipeline is started with.
#[derive(Debug, Default, PartialEq)]
pub struct Values {
    pub inputs: Map<String, Value>,
    pub variables: Vec<(String, String)>,
}

impl Definition {
    /// # Errors
    /// `permanent` with the code `invalid-job` if it is no YAML.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let documents = YamlLoader::load_from_str(text).map_err(|error| {
            Failure::permanent("invalid-job", format!("The pipeline is no good YAML: {error}."))
        })?;
        // With a header, the pipeline itself is the second document.
        let header = documents.first().filter(|first| documents.len() > 1 && !first["spec"].is_badvalue());
        let body = documents.get(usize::from(header.is_some())).unwrap_or(&Yaml::BadValue);
        let inputs = header.and_then(|header| header["spec"]["inputs"].as_hash());
        let variables = body["variables"].as_hash();
        let declared = |(name, about): (&Yaml, &Yaml)| Some(Declared::read(name.as_str()?, about));
        Ok(Self {
            inputs: inputs.into_iter().flatten().filter_map(declared).collect(),
            variables: variables
                .into_iter()
                .flatten()
                .filter_map(declared)
                .map(|variable| Declared { required: false, ..variable })
                .collect(),
            has_includes: !body["include"].is_badvalue(),
        })
    }

    /// The values, checked, each in the place that it was declared for.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-parameters`.
    pub fn values_of(&self, trigger: &Trigger) -> Result<Values, Failure> {
        let mut wrong: Vec<String> = Vec::new();
        let mut values = Values::default();
        for (name, value) in &trigger.parameters {
            if let Some(input) = self.inputs.iter().find(|input| input.name == *name) {
                match input.typed(value) {
                    Ok(typed) => drop(values.inputs.insert(name.clone(), typed)),
                    Err(why) => wrong.push(why),
                }
                continue;
            }
            match self.variables.iter().find(|variable| variable.name == *name) {
                Some(variable) => wrong.extend(variable.typed(value).err()),
                None if self.has_includes && is_variable(name) => {}
                None => wrong.push(format!("The pipeline takes no `{name}`; it takes {}.", self.names())),
            }
            values.variables.push((name.clone(), value.clone()));
        }
        let missing =
            self.inputs.iter().filter(|input| input.required && !values.inputs.contains_key(&input.name));
        wrong
            .extend(missing.map(|input| format!("The input `{}` is required and has no value.", input.name)));
        if wrong.is_empty() {
            Ok(values)
        } else {
            Err(Failure::permanent("invalid-parameters", wrong.join(" ")))
        }
    }

    fn names(&self) -> String {
        let all = self.inputs.iter().chain(&self.variables);
        let names: Vec<String> = all.map(|declared| format!("`{}`", declared.name)).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }
}

impl Declared {
    fn read(name: &str, about: &Yaml) -> Self {
        let options = about["options"].as_vec().into_iter().flatten();
        Self {
            name: name.to_owned(),
            required: about["default"].is_badvalue(),
            kind: about["type"].as_str().unwrap_or("string").to_owned(),
            options: options.filter_map(text_of).collect(),
        }
    }

    /// The value in the type that was declared, or what is wrong with it.
    fn typed(&self, value: &str) -> Result<Value, String> {
        let read = || serde_json::from_str::<Value>(value).ok();
        let typed = match self.kind.as_str() {
            "number" => read().filter(Value::is_number),
            "boolean" => read().filter(Value::is_boolean),
            "array" => read().filter(Value::is_array),
            _ => Some(json!(value)),
        };
        let shown: String = value.chars().take(60).collect();
        match typed {
            None => Err(format!("`{}` takes a {}, but is `{shown}`.", self.name, self.kind)),
            Some(_) if !self.options.is_empty() && !self.options.iter().any(|option| option == value) => {
                Err(format!("`{}` takes {}, but is `{shown}`.", self.name, self.options.join(", ")))
            }
            Some(typed) => Ok(typed),
        }
    }
}

/// What GitLab takes for the name of a variable.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
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

    const PIPELINE: &str = "
spec:
  inputs:
    target: { options: [staging, production] }
    count: { type: number, default: 1 }
---
variables:
  COLOUR: { value: blue, options: [blue, green], description: Which side }
  PLAIN: text
job: { script: [ls] }
";

    fn values(text: &str, parameters: &[(&str, &str)]) -> Result<Values, Failure> {
        let parameters =
            parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let trigger =
            Trigger { ref_name: None, parameters, idempotency_key: "k".to_owned(), extras: Vec::new() };
        Definition::read(text)?.values_of(&trigger)
    }

    #[test]
    fn inputs_and_variables_each_go_where_they_were_declared() {
        let taken =
            values(PIPELINE, &[("target", "staging"), ("count", "2"), ("COLOUR", "green"), ("PLAIN", "x")]);
        let taken = taken.expect("they are good");
        assert_eq!(Value::Object(taken.inputs), json!({ "target": "staging", "count": 2 }));
        assert_eq!(taken.variables, [("COLOUR".into(), "green".into()), ("PLAIN".into(), "x".into())]);
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let failure = values(PIPELINE, &[("count", "many"), ("COLOUR", "red"), ("OTHER", "1")]);
        let failure = failure.expect_err("nothing of it is right");
        assert_eq!(failure.code, "invalid-parameters");
        for words in ["a number", "blue, green", "no `OTHER`", "`target` is required", "`PLAIN`"] {
            assert!(failure.message.contains(words), "{words}: {}", failure.message);
        }
    }

    #[test]
    fn what_other_files_declare_is_not_known_and_let_through() {
        let taken = values("include: other.yml\n", &[("OTHER", "1")]).expect("it may be declared there");
        assert_eq!(taken.variables.len(), 1);
        assert!(values("include: other.yml\n", &[("no name", "1")]).is_err());
        assert_eq!(Definition::read("a: [").expect_err("no YAML").code, "invalid-job");
    }
}
