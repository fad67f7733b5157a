//! The form of a template: its JSON as people typed it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::template::{PipelineTemplate, TemplateContent};
use crate::error::{Error, Result};

/// Each text area as it came.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateForm {
    pub name: String,
    /// The name of the stored template that is edited; empty for a new one.
    pub known: String,
    pub description: String,
    pub model: String,
    pub parameters: String,
    pub settings: String,
    pub texts: String,
    /// Values of the parameters, for the preview only.
    pub values: String,
    #[serde(skip)]
    errors: Vec<(String, String)>,
}

const EXAMPLE_MODEL: &str = r#"{
  "name": "deploy {{service}}",
  "repository": {
    "url": "https://git.example/team/web.git",
    "branch": "{{branch}}"
  },
  "environments": [
    { "name": "staging" },
    { "name": "production", "approval": true }
  ],
  "hosts": [
    { "name": "web-1", "address": "192.0.2.10", "environment": "production" }
  ],
  "scripts": [
    {
      "path": "scripts/deploy.sh",
      "parameters": [{ "name": "SERVICE", "value": "{{service}}" }]
    }
  ],
  "parameters": [{ "name": "VERSION", "value": "latest" }]
}"#;

const EXAMPLE_PARAMETERS: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "service": { "type": "string", "default": "web" },
    "branch": { "type": "string", "default": "main" }
  }
}"#;

impl TemplateForm {
    /// What a new template begins with.
    pub fn example() -> Self {
        Self { model: EXAMPLE_MODEL.into(), parameters: EXAMPLE_PARAMETERS.into(), ..Self::default() }
    }

    pub fn of(row: &PipelineTemplate) -> Self {
        let content = &row.content;
        Self {
            name: row.name.clone(),
            known: row.name.clone(),
            description: content.description.clone(),
            model: pretty(&content.model),
            parameters: pretty(&content.parameters),
            settings: if content.settings.is_empty() { String::new() } else { pretty(&content.settings) },
            texts: if content.texts.is_empty() { String::new() } else { pretty(&content.texts) },
            ..Self::default()
        }
    }

    /// Without the line ends that browsers add.
    pub fn cleaned(mut self) -> Self {
        let all = [&mut self.description, &mut self.model, &mut self.parameters, &mut self.settings];
        for text in all.into_iter().chain([&mut self.texts, &mut self.values]) {
            *text = text.replace("\r\n", "\n");
        }
        self.name = self.name.trim().to_owned();
        self
    }

    pub fn is_new(&self) -> bool {
        self.known.is_empty()
    }

    /// The template and the values to try it with.
    pub fn draft(&self) -> Result<(TemplateContent, Map<String, Value>)> {
        let content = TemplateContent {
            description: self.description.trim().to_owned(),
            model: read("model", &self.model)?,
            parameters: match self.parameters.trim() {
                "" => serde_json::json!({ "type": "object", "additionalProperties": false }),
                text => read("parameters", text)?,
            },
            settings: read("settings", or_empty(&self.settings))?,
            texts: read("texts", or_empty(&self.texts))?,
        };
        Ok((content, read("values", or_empty(&self.values))?))
    }

    pub fn refuse(&mut self, error: &Error) {
        let field = if let Error::Invalid { field, .. } = error { field.clone() } else { String::new() };
        self.errors.push((field, error.to_string()));
    }

    /// What is wrong with a field or a part of it.
    pub fn error(&self, field: &str) -> Option<&str> {
        let fits =
            |of: &str| of.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.errors.iter().find(|(of, _)| fits(of)).map(|(_, message)| message.as_str())
    }

    /// What kept it from being saved.
    pub fn refusal(&self) -> Option<&str> {
        self.errors.first().map(|(_, message)| message.as_str())
    }
}

fn or_empty(text: &str) -> &str {
    if text.trim().is_empty() { "{}" } else { text }
}

fn read<T: DeserializeOwned>(field: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::invalid(field, format!("what is written under {field} is not the JSON it has to be: {error}"))
    })
}

fn pretty(value: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_good_template() {
        let (content, values) = TemplateForm::example().draft().expect("it is JSON");
        content.check().expect("its places are declared");
        let model = content.filled(&content.completed(&values)).expect("it has defaults");
        let model: crate::domain::pipeline::PipelineModel = serde_json::from_value(model).expect("a model");
        model.check().expect("it is good");
    }

    #[test]
    fn what_is_no_json_is_told_at_its_field() {
        let mut form = TemplateForm { model: "{".into(), ..TemplateForm::example() };
        let error = form.draft().expect_err("it is no JSON");
        form.refuse(&error);
        assert!(form.error("model").is_some() && form.error("parameters").is_none());
    }
}
