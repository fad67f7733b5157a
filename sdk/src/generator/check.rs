//! What is wrong with a model whatever language it becomes, and names for languages that take few characters.

use super::{Model, Parameter};
use crate::params::{self, Param, Values};
use crate::{Failure, Problem};

/// What bash does not let anybody set, or would run at its start.
const RESERVED: &[&str] =
    &["BASHOPTS", "BASH_ENV", "BASH_VERSINFO", "ENV", "EUID", "IFS", "PATH", "PPID", "SHELLOPTS", "UID", "_"];
/// Names of variables that generated pipelines set themselves.
const OURS: &str = "WINDLASS_";

/// The generator's settings, if they and the model are good.
///
/// # Errors
/// All problems: of the model, of the settings, and the vendor's `own`.
pub fn settings(model: &Model, params: &[Param], own: Vec<Problem>) -> Result<Values, Vec<Problem>> {
    let mut found = problems(model);
    found.extend(own);
    match params::read(params, &model.settings) {
        Ok(values) if found.is_empty() => Ok(values),
        Ok(_) => Err(found),
        Err(of_settings) => {
            let at = |one: Problem| Problem::at(format!("/settings{}", one.path), one.message);
            found.extend(of_settings.into_iter().map(at));
            Err(found)
        }
    }
}

/// Everything that keeps any pipeline from being made of this model.
pub fn problems(model: &Model) -> Vec<Problem> {
    let mut found = Vec::new();
    if model.scripts.is_empty() {
        found.push(Problem::at("/scripts", "There is no script to run; add one."));
    }
    for (n, script) in model.scripts.iter().enumerate() {
        let path = script.path.as_str();
        if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
            let message =
                "A script is named by its path from the repository's root, and has to be inside of it.";
            found.push(Problem::at(format!("/scripts/{n}/path"), message));
        }
        without_nul(&mut found, &format!("/scripts/{n}/path"), path);
        variables(&mut found, &format!("/scripts/{n}/parameters"), &script.parameters);
    }
    for (n, environment) in model.environments.iter().enumerate() {
        variables(&mut found, &format!("/environments/{n}/variables"), &environment.variables);
    }
    variables(&mut found, "/parameters", &model.parameters);
    for (n, host) in model.hosts.iter().enumerate() {
        let address = host.address.as_str();
        let fits = !address.is_empty()
            && !address.starts_with('-')
            && address.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_".contains(&b));
        if !fits {
            let message = format!("`{}` is neither an IP address nor a DNS name.", address.escape_debug());
            found.push(Problem::at(format!("/hosts/{n}/address"), message));
        }
    }
    if let Some(url) = &model.report_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        found.push(Problem::at(
            "/report_url",
            "The report's address has to begin with `https://` or `http://`.",
        ));
    }
    for (path, text) in [("/report_url", model.report_url.as_deref()), ("/name", Some(model.name.as_str()))] {
        without_nul(&mut found, path, text.unwrap_or_default());
    }
    for (path, text) in
        [("/repository/url", &model.repository.url), ("/repository/branch", &model.repository.branch)]
    {
        without_nul(&mut found, path, text);
        if text.starts_with('-') {
            found.push(Problem::at(path, "It begins with `-`, which git would take for an option."));
        }
    }
    found
}

fn variables(found: &mut Vec<Problem>, path: &str, parameters: &[Parameter]) {
    for (n, parameter) in parameters.iter().enumerate() {
        let name = parameter.name.as_str();
        let fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !fits || name.starts_with(OURS) || RESERVED.contains(&name) {
            let message = format!(
                "`{}` cannot be the name of a variable: letters, digits and `_`, and neither one of the shell's own nor \
                 one that begins with `{OURS}`.",
                name.escape_debug()
            );
            found.push(Problem::at(format!("{path}/{n}/name"), message));
        }
        without_nul(found, &format!("{path}/{n}/value"), &parameter.value);
    }
}

fn without_nul(found: &mut Vec<Problem>, path: &str, text: &str) {
    if text.contains('\0') {
        found.push(Problem::at(path, "It holds a NUL character, which no program can be handed."));
    }
}

/// The failure for a model with problems.
pub fn invalid(problems: &[Problem]) -> Failure {
    let messages: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
    Failure::permanent("invalid-model", messages.join(" "))
}

/// An identifier for each name, in their order: `[A-Za-z][A-Za-z0-9_-]*`, no two alike, none of the `taken` ones.
pub fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>, taken: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let mut word: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
        if !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
            word.insert_str(0, "run-");
        }
        let is_taken = |word: &String| found.contains(word) || taken.contains(&word.as_str());
        let others = (2..).map(|n| format!("{word}-{n}"));
        if let Some(free) = std::iter::once(word.clone()).chain(others).find(|word| !is_taken(word)) {
            found.push(free);
        }
    }
    found
}
