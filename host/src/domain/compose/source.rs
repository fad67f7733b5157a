//! A compose file as it lies in the repository, judged before `docker compose` sees it: that program reads every file that
//! is named in it, with the rights of this server.

use serde_json::Value;

use super::{section, text};
use crate::domain::path;
use crate::error::{Error, Result};

pub const FIELD: &str = "composePath";
/// What a file may have at its top. `x-…` is the author's own.
const TOP: [&str; 7] = ["name", "version", "services", "networks", "volumes", "configs", "secrets"];

/// Files that the compose file names and that have to lie in the repository, relative to the compose file's folder.
///
/// # Errors
/// `Invalid` for what would lead `docker compose` to a file elsewhere.
pub fn check(file: &Value) -> Result<Vec<String>> {
    let Some(top) = file.as_object() else { return refuse("the compose file is not a mapping") };
    if let Some(key) = top.keys().find(|key| !TOP.contains(&key.as_str()) && !key.starts_with("x-")) {
        return refuse(&format!(
            "`{}` at the top of a compose file is not supported; write everything into one file",
            key.escape_debug()
        ));
    }
    for kind in ["configs", "secrets"] {
        for (name, item) in section(file, kind) {
            if !item.get("content").is_some_and(Value::is_string) {
                return refuse(&format!(
                    "the {kind} entry `{}` has no `content`: files of the repository are gone when the containers run, so \
                     write it as `content`, put it into the image, or use an environment variable",
                    name.escape_debug()
                ));
            }
        }
    }
    let mut paths = Vec::new();
    for (name, service) in section(file, "services") {
        if let Some(extended) = service.get("extends").and_then(|extends| text(extends, "file")) {
            return refuse(&format!(
                "service `{}` extends one of the file `{}`; only services of the same file can be extended",
                name.escape_debug(),
                extended.escape_debug()
            ));
        }
        if service.get("label_file").is_some() {
            return refuse(&format!("service `{}` has a `label_file`; write `labels`", name.escape_debug()));
        }
        env_files(service.get("env_file"), &mut paths)?;
    }
    Ok(paths)
}

fn env_files(value: Option<&Value>, paths: &mut Vec<String>) -> Result<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(path)) => {
            let path = path.trim_start_matches("./");
            if path.contains('$') {
                return refuse("an `env_file` may not contain variables");
            }
            path::check_relative("env_file", path)?;
            paths.push(path.to_string());
            Ok(())
        }
        Some(Value::Array(all)) => all.iter().try_for_each(|one| env_files(Some(one), paths)),
        Some(Value::Object(one)) => env_files(one.get("path"), paths),
        Some(_) => refuse("an `env_file` has to be a path"),
    }
}

/// Names that the text uses as variables, `$NAME` and `${NAME…}`: those and no others are given to `docker compose`.
pub fn variables(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices('$') {
        let rest = &text[at + 1..];
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Variables that mean something to the programs that read them: a stack's variable of such a name is not given to them.
pub fn is_reserved(name: &str) -> bool {
    const PREFIXES: [&str; 7] = ["DOCKER_", "COMPOSE_", "BUILDKIT_", "BUILDX_", "LD_", "GO", "XDG_"];
    const NAMES: [&str; 6] = ["PATH", "HOME", "TMPDIR", "PWD", "SSH_AUTH_SOCK", "SSL_CERT_FILE"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || NAMES.contains(&name)
        || name.to_ascii_uppercase().ends_with("_PROXY")
}

fn refuse<T>(why: &str) -> Result<T> {
    Err(Error::invalid(FIELD, why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_that_compose_would_read_are_told_or_refused() {
        let file = json!({ "services": { "a": { "env_file": ["./a.env", { "path": "b/c.env" }] }, "b": { "env_file": "d" } } });
        assert_eq!(check(&file).unwrap_or_default(), ["a.env", "b/c.env", "d"]);
        for bad in [
            json!({ "services": { "a": { "env_file": "/etc/passwd" } } }),
            json!({ "services": { "a": { "env_file": [{ "path": "../x" }] } } }),
            json!({ "services": { "a": { "env_file": "${X:-/etc/passwd}" } } }),
            json!({ "services": { "a": { "extends": { "file": "/etc/x.yml", "service": "b" } } } }),
            json!({ "services": { "a": { "label_file": "x" } } }),
            json!({ "include": ["/etc/x.yml"], "services": {} }),
            json!({ "secrets": { "s": { "file": "/etc/shadow" } } }),
            json!({ "configs": { "s": { "environment": "HOME" } } }),
            json!([]),
        ] {
            assert!(check(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_variables_that_are_used_are_given_away() {
        assert_eq!(variables("a: $TAG\nb: ${URL:-x}-${TAG}\nc: $$\nd: $"), ["TAG", "URL"]);
        assert!(["PATH", "DOCKER_HOST", "LD_PRELOAD", "https_proxy"].iter().all(|name| is_reserved(name)));
        assert!(!is_reserved("IMAGE_TAG"));
    }
}
