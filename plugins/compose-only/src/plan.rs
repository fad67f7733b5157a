//! A commit → rendering its compose file, building what it says to build, and pulling the rest.

use windlass_sdk::Failure;
use windlass_sdk::planner::{BuildStep, Context};

/// The names that compose itself looks for, in its order.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];
/// The host lists at most so many files of a commit; with as many, a file that is not listed may still be there.
const LISTED_FILES: usize = 10_000;
const SIMILAR_FILES: usize = 5;

pub fn steps(context: &Context) -> Result<Vec<BuildStep>, Failure> {
    let path = match context.config.compose_path.as_deref().map(normal) {
        Some(path) if is_there(context, &path) || context.files.len() >= LISTED_FILES => path,
        Some(path) => return Err(missing(context, &format!("`{path}`"))),
        None => NAMES
            .into_iter()
            .find(|name| is_there(context, name))
            .map(str::to_owned)
            .ok_or_else(|| missing(context, "`compose.yaml` at its root"))?,
    };
    Ok(vec![BuildStep::compose_config(&path), BuildStep::compose_build(), BuildStep::compose_pull()])
}

fn is_there(context: &Context, path: &str) -> bool {
    context.files.iter().any(|file| file == path)
}

/// Without `./`, doubled and trailing slashes.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}

fn missing(context: &Context, what: &str) -> Failure {
    let commit: String = context.commit.chars().take(7).collect();
    let mut similar: Vec<&str> =
        context.files.iter().map(String::as_str).filter(|file| looks_like_compose(file)).collect();
    similar.sort_by_key(|file| (file.matches('/').count(), *file));
    similar.truncate(SIMILAR_FILES);
    let hint = if similar.is_empty() {
        "It has no file of a similar name either; add one, or set `composePath`.".to_owned()
    } else {
        let names: Vec<String> = similar.iter().map(|file| format!("`{file}`")).collect();
        format!(
            "There is {}; set `composePath`, which is relative to the repository's root.",
            names.join(", ")
        )
    };
    Failure::permanent(
        "file-missing",
        format!("Commit {commit} of `{}` has no {what}. {hint}", context.ref_name),
    )
}

fn looks_like_compose(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file).to_lowercase();
    name.contains("compose") && (name.ends_with(".yml") || name.ends_with(".yaml"))
}
