//! A commit → the step that builds its image, between the commands around it.

use windlass_sdk::Failure;
use windlass_sdk::planner::{BuildStep, Context, DockerBuild, Options, after_build, before_build, image_tag};

/// The host lists at most so many files of a commit; with as many, a file that is not listed may still be there.
const LISTED_FILES: usize = 10_000;
const SIMILAR_FILES: usize = 5;

pub fn steps(context: Context, options: &Options) -> Result<Vec<BuildStep>, Failure> {
    let folder = normal(context.config.context_path.as_deref().unwrap_or("."));
    let dockerfile = dockerfile(&context, &folder);
    // What commands make is in no commit.
    if context.config.pre_build_commands.is_empty() {
        check_files(&context, &folder, &dockerfile)?;
    }
    let mut step = DockerBuild::new(&folder, &dockerfile, image_tag(&context));
    let before = before_build(&context.config, options);
    let after = after_build(&context.config);
    step.target = context.config.target;
    step.build_args = context.config.build_args;
    step.labels = vec![("org.opencontainers.image.revision".to_owned(), context.commit)];
    Ok(before.into_iter().chain([BuildStep::DockerBuild(step)]).chain(after).collect())
}

/// A path that is given counts from the root. People also give it from the context, so it is looked for there next.
fn dockerfile(context: &Context, folder: &str) -> String {
    let in_folder = |path: &str| if folder == "." { path.to_owned() } else { format!("{folder}/{path}") };
    let is_there = |path: &String| context.files.contains(path);
    match context.config.dockerfile_path.as_deref().map(normal) {
        None => in_folder("Dockerfile"),
        Some(path) if is_there(&path) => path,
        Some(path) => Some(in_folder(&path)).filter(is_there).unwrap_or(path),
    }
}

/// Without `./`, doubled and trailing slashes; `.` for the root.
fn normal(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

fn check_files(context: &Context, folder: &str, dockerfile: &str) -> Result<(), Failure> {
    if context.files.len() >= LISTED_FILES || context.files.iter().any(|file| file == dockerfile) {
        let inside = format!("{folder}/");
        let is_there = folder == "." || context.files.iter().any(|file| file.starts_with(&inside));
        return if is_there || context.files.len() >= LISTED_FILES {
            Ok(())
        } else {
            Err(missing(context, &format!("folder `{folder}` that `contextPath` names"), ""))
        };
    }
    let similar = similar(&context.files, dockerfile);
    let hint = if similar.is_empty() {
        " The repository has no file of a similar name either; add one, or set `dockerfilePath`.".to_owned()
    } else {
        let names: Vec<String> = similar.iter().map(|file| format!("`{file}`")).collect();
        format!(
            " There is {}; set `dockerfilePath`, which is relative to the repository's root.",
            names.join(", ")
        )
    };
    Err(missing(context, &format!("`{dockerfile}`"), &hint))
}

fn missing(context: &Context, what: &str, hint: &str) -> Failure {
    let commit: String = context.commit.chars().take(7).collect();
    Failure::permanent(
        "file-missing",
        format!("Commit {commit} of `{}` has no {what}.{hint}", context.ref_name),
    )
}

/// Files that may be the Dockerfile that was meant: of the same name elsewhere first, then any Dockerfile.
fn similar<'a>(files: &'a [String], wanted: &str) -> Vec<&'a str> {
    let wanted = base_name(wanted).to_lowercase();
    let looks_right = |file: &&str| {
        let name = base_name(file).to_lowercase();
        name == wanted || name.contains("dockerfile") || name == "containerfile"
    };
    let mut similar: Vec<&str> = files.iter().map(String::as_str).filter(looks_right).collect();
    similar.sort_by_key(|file| (base_name(file).to_lowercase() != wanted, file.matches('/').count(), *file));
    similar.truncate(SIMILAR_FILES);
    similar
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
