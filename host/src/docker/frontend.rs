//! `# syntax=` names an image that BuildKit runs *as the builder*. A Dockerfile of a stranger may not choose any image.
//!
//! Docker's own frontends are let through (the engine pulls them by itself); everything else is refused before anything
//! is sent. The `BUILDKIT_SYNTAX` build argument does the same and is judged the same.

use crate::{
    domain::build_config::BuildArg,
    error::{Error, Result},
};

const ALLOWED: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// # Errors
/// `Invalid` naming the frontend that is not Docker's own.
pub(super) fn check(dockerfile: &str, text: &str, args: &[BuildArg]) -> Result<()> {
    let by_argument = args.iter().find(|arg| arg.name == "BUILDKIT_SYNTAX").map(|arg| arg.value.as_str());
    for image in directives(text).into_iter().chain(by_argument.map(str::to_string)) {
        // The engine takes the first word as the image and the rest as its command.
        let name = image.split_whitespace().next().unwrap_or_default();
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        let name = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name,
        };
        if !ALLOWED.contains(&name) {
            return Err(Error::invalid(
                dockerfile,
                format!(
                    "{dockerfile} asks for the frontend `{}`; only docker/dockerfile is run as a builder: remove the syntax line",
                    image.escape_debug()
                ),
            ));
        }
    }
    Ok(())
}

/// Everything that some version of BuildKit takes as a syntax directive: `#` and `//` comments before the first
/// instruction, and a JSON object. More than any one version takes, so that none is missed.
fn directives(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        let Some(comment) = line.strip_prefix('#').or_else(|| line.strip_prefix("//")) else {
            if line.is_empty() {
                continue;
            }
            break;
        };
        if let Some((key, value)) = comment.split_once('=')
            && key.trim().eq_ignore_ascii_case("syntax")
        {
            found.push(value.trim().to_string());
        }
    }
    let after_shebang =
        text.strip_prefix("#!").and_then(|rest| rest.split_once('\n')).map_or(text, |(_, rest)| rest);
    if after_shebang.trim_start().starts_with('{') {
        let mut values = serde_json::Deserializer::from_str(after_shebang).into_iter::<serde_json::Value>();
        if let Some(Ok(serde_json::Value::Object(object))) = values.next() {
            let named = object.iter().filter(|(key, _)| key.eq_ignore_ascii_case("syntax"));
            found.extend(named.filter_map(|(_, value)| value.as_str()).map(str::to_string));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_own_frontends_pass_and_no_other() {
        for text in [
            "FROM scratch\n# syntax=evil/x\n",
            "# syntax=docker/dockerfile:1\nFROM scratch",
            "#syntax = docker.io/docker/dockerfile:1.7-labs\nFROM x",
            "# syntax=docker/dockerfile@sha256:0000\nFROM x",
            "# just a comment\nFROM scratch",
        ] {
            assert!(check("Dockerfile", text, &[]).is_ok(), "{text}");
        }
        for text in [
            "# syntax=evil/x\nFROM scratch",
            "# escape=`\n#SYNTAX=evil:1\nFROM scratch",
            "\u{feff}#!/bin/x\n# syntax=registry.example:5000/docker/dockerfile\nFROM scratch",
            "// syntax=evil\n",
            "{\"syntax\": \"evil\"}",
            "# syntax=docker/dockerfile.evil\nFROM x",
        ] {
            assert!(check("Dockerfile", text, &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_build_argument_is_no_way_around() {
        let arg = BuildArg { name: "BUILDKIT_SYNTAX".into(), value: "evil/x".into() };
        assert!(check("Dockerfile", "FROM scratch", &[arg]).is_err());
    }
}
