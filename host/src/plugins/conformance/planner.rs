//! Rules for build planners.

use super::{Rule, all, crash, same};
use crate::domain::build_config::{BuildArg, BuildSettings};
use crate::domain::plan::PlanContext;
use crate::plugins::Plugins;

pub(super) fn check<'a>(plugins: &'a Plugins, name: &'a str) -> Vec<Rule<'a>> {
    vec![
        Rule::new(
            "planner-plans",
            "a repository with a Dockerfile and a compose file gets a plan, or a failure that says what is missing",
            plans(plugins, name),
        ),
        Rule::new(
            "planner-refuses-escapes",
            "a path that leads out of the repository is a problem or a failure, and never part of a plan",
            refuses_escapes(plugins, name),
        ),
        Rule::new(
            "planner-survives-garbage",
            "a configuration that makes no sense leads to problems or a failure, never to a trap or a time-out",
            survives_garbage(plugins, name),
        ),
        Rule::new(
            "planner-is-pure",
            "plan answers the same when it is asked the same",
            is_pure(plugins, name),
        ),
    ]
}

/// The build type that the planner is chosen by, and nothing else said.
fn settings(name: &str) -> Result<BuildSettings, String> {
    serde_json::from_value(serde_json::json!({ "buildType": name.replace('-', "_") }))
        .map_err(|error| error.to_string())
}

fn context(settings: BuildSettings) -> PlanContext {
    let files = ["Dockerfile", "README.md", "docker-compose.yml", "src/main.rs"];
    PlanContext {
        stack: "app".into(),
        ref_name: "main".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        files: files.map(str::to_owned).to_vec(),
        settings,
        contents: Vec::new(),
    }
}

async fn plans(plugins: &Plugins, name: &str) -> Result<String, String> {
    let settings = settings(name)?;
    let full = plugins.planner_plan(name, context(settings.clone())).await;
    if let Some(why) = crash(&full) {
        return Err(format!("a repository with files: {why}"));
    }
    let empty = plugins.planner_plan(name, PlanContext { files: Vec::new(), ..context(settings) }).await;
    match crash(&empty) {
        Some(why) => Err(format!("a repository without files: {why}")),
        None => Ok("a repository with files and one without".to_owned()),
    }
}

async fn refuses_escapes(plugins: &Plugins, name: &str) -> Result<String, String> {
    let mut results = Vec::new();
    for path in ["..", "../secret", "a/../../b", "/etc/passwd", "./../x", "a\0b", "a\nb", "-o"] {
        for field in ["contextPath", "dockerfilePath", "composePath"] {
            let mut settings = settings(name)?;
            let place = match field {
                "contextPath" => &mut settings.context_path,
                "dockerfilePath" => &mut settings.dockerfile_path,
                _ => &mut settings.compose_path,
            };
            *place = Some(path.to_owned());
            // The adapter takes no plan with such a path, so an answer that it takes has none.
            let answers = [
                crash(&plugins.planner_validate(name, &settings).await),
                crash(&plugins.planner_plan(name, context(settings)).await),
            ];
            let why = answers.into_iter().flatten().next();
            results
                .push(why.map_or(Ok(()), |why| Err(format!("`{}` as {field}: {why}", path.escape_debug()))));
        }
    }
    all(results)
}

async fn survives_garbage(plugins: &Plugins, name: &str) -> Result<String, String> {
    let odd = |text: &str| BuildArg { name: text.to_owned(), value: text.to_owned() };
    let mut strange = settings(name)?;
    strange.build_args = vec![odd(""), odd("A=B"), odd("\0"), odd("$(id)"), odd("ü\n")];
    strange.target = Some("--help".to_owned());
    strange.pre_build_commands = vec!["rm -rf /".to_owned(); 100];
    strange.timeout = 0;
    let mut other_type = settings(name)?;
    other_type.build_type = "no_such_type".to_owned();
    let mut results = Vec::new();
    for settings in [strange, other_type] {
        let validated = plugins.planner_validate(name, &settings).await;
        let planned = plugins.planner_plan(name, context(settings)).await;
        results.extend([crash(&validated), crash(&planned)].map(|why| why.map_or(Ok(()), Err)));
    }
    all(results)
}

async fn is_pure(plugins: &Plugins, name: &str) -> Result<String, String> {
    let settings = settings(name)?;
    let first = plugins.planner_plan(name, context(settings.clone())).await;
    let second = plugins.planner_plan(name, context(settings)).await;
    same("plan", &first, &second).map(|()| "asked twice".to_owned())
}
