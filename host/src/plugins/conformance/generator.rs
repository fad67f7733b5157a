//! Rules for pipeline generators.

use super::{Rule, all, crash, same, settings_of};
use crate::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use crate::plugins::Plugins;

/// Text that breaks out of every language that does not quote it.
const HOSTILE: &str = "x'; touch /tmp/x; echo \"$(id)`id`${{ a }}\\\n- run: evil #";

pub(super) fn check<'a>(plugins: &'a Plugins, name: &'a str) -> Vec<Rule<'a>> {
    vec![
        Rule::new(
            "generator-generates",
            "a good model gives files inside of the repository, or a failure that says what is missing",
            generates(plugins, name),
        ),
        Rule::new(
            "generator-survives-garbage",
            "models that are empty or full of quotes lead to files, problems or a failure, never to a trap",
            survives_garbage(plugins, name),
        ),
        Rule::new(
            "generator-is-pure",
            "generate answers the same when it is asked the same",
            is_pure(plugins, name),
        ),
    ]
}

/// One environment, one host and one script, with the text wherever any text may be.
fn model(text: &str) -> PipelineModel {
    let parameter = || Parameter { name: "LEVEL".into(), value: text.into() };
    PipelineModel {
        name: text.into(),
        description: text.into(),
        repository: PipelineRepository { url: "https://forge.example/app.git".into(), branch: "main".into() },
        environments: vec![Environment {
            name: "staging".into(),
            variables: vec![parameter()],
            approval: true,
        }],
        hosts: vec![PipelineHost {
            name: "one".into(),
            address: "192.0.2.1".into(),
            environment: "staging".into(),
        }],
        scripts: vec![Script { path: "scripts/test.sh".into(), parameters: vec![parameter()] }],
        parameters: vec![parameter()],
        report_url: Some("https://windlass.example/report".into()),
        template: None,
    }
}

async fn generates(plugins: &Plugins, name: &str) -> Result<String, String> {
    let settings = settings_of(plugins, name)?;
    let model = model("nightly");
    let problems = plugins.generator_validate(name, &model, &settings).await;
    let problems = problems.map_err(|error| format!("validate: {error}"))?;
    // The adapter takes no path that leads out of the repository, and no path twice.
    let files = plugins.generator_generate(name, &model, &settings).await;
    if let Some(why) = crash(&files) {
        return Err(format!("generate: {why}"));
    }
    match (problems.is_empty(), files) {
        (true, Err(error)) => {
            Err(format!("validate finds nothing wrong with the model, and generate does: {error}"))
        }
        (false, Ok(_)) => {
            Err("validate complains about the model, and generate takes it all the same".to_owned())
        }
        (true, Ok(files)) => Ok(format!("{} files", files.len())),
        (false, Err(_)) => Ok("it refuses the suite's model, and says why".to_owned()),
    }
}

async fn survives_garbage(plugins: &Plugins, name: &str) -> Result<String, String> {
    let settings = settings_of(plugins, name)?;
    let mut template = model("nightly");
    template.template = Some(format!("{{{{ {HOSTILE} }}}}{}", "{%".repeat(1_000)));
    let mut results = Vec::new();
    for model in [PipelineModel::default(), model(HOSTILE), template] {
        let validated = plugins.generator_validate(name, &model, &settings).await;
        let generated = plugins.generator_generate(name, &model, &settings).await;
        results.extend([crash(&validated), crash(&generated)].map(|why| why.map_or(Ok(()), Err)));
    }
    all(results)
}

async fn is_pure(plugins: &Plugins, name: &str) -> Result<String, String> {
    let settings = settings_of(plugins, name)?;
    let model = model("nightly");
    let first = plugins.generator_generate(name, &model, &settings).await;
    let second = plugins.generator_generate(name, &model, &settings).await;
    same("generate", &first, &second).map(|()| "asked twice".to_owned())
}
