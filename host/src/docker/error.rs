//! The engine's errors in our words: what happened, and what to do about it.

use std::sync::LazyLock;

use bollard::errors::Error as Engine;
use regex::Regex;

use crate::error::Error;

/// Engine messages are bounded before they reach a log or a person.
const LONGEST: usize = 2000;

/// Errors that say nothing about a container or image in particular; see [`Engine`] for what there is.
pub(super) fn explain(host: &str, error: Engine) -> Error {
    match error {
        Engine::DockerResponseServerError { status_code, message } => answered(status_code, &message),
        Engine::DockerStreamError { error } => Error::failed(bounded(&error)),
        Engine::RequestTimeoutError => {
            Error::unavailable(format!("the Docker engine at {host} did not answer in time"))
        }
        Engine::SocketNotFoundError(_)
        | Engine::IOError { .. }
        | Engine::HyperLegacyError { .. }
        | Engine::HyperResponseError { .. } => unreachable_engine(host, &error),
        other => Error::internal(format!("Docker: {other}")),
    }
}

/// Whether an image that was to be removed is gone: nobody had it, or somebody else removed it at the same moment.
pub(super) fn image_is_gone(error: &Engine) -> bool {
    is_missing(error)
        || matches!(error, Engine::DockerResponseServerError { message, .. } if message.contains("unrecognized image ID"))
}

/// Whether the engine says that the thing does not exist.
pub(super) fn is_missing(error: &Engine) -> bool {
    has_status(error, 404)
}

/// Whether a registry says that it has no such image: then it has answered, and has let us ask.
pub(super) fn says_unknown(error: &Engine) -> bool {
    match error {
        Engine::DockerResponseServerError { status_code, message } => {
            let said = ["manifest unknown", "name unknown", "repository name not known"];
            *status_code == 404 || said.iter().any(|words| message.to_lowercase().contains(words))
        }
        _ => false,
    }
}

/// Whether the engine answered with that HTTP status.
pub(super) fn has_status(error: &Engine, status: u16) -> bool {
    matches!(error, Engine::DockerResponseServerError { status_code, .. } if *status_code == status)
}

/// Whether a build without BuildKit found a layer in its cache that was removed before it was used. Unlike BuildKit, the classic
/// builder holds nothing of what it is about to use: what it says is its store's, in moby's `image` and `layer`.
pub(super) fn lost_layer(error: &Engine) -> bool {
    let (Engine::DockerStreamError { error: message } | Engine::DockerResponseServerError { message, .. }) =
        error
    else {
        return false;
    };
    let said = [
        "No such image: sha256:",
        "failed to get digest sha256:",
        "unable to find image \"sha256:",
        "unknown parent image ID sha256:",
        "unrecognized image ID sha256:",
    ];
    said.iter().any(|words| message.starts_with(words)) || message.contains("layer does not exist")
}

/// Whether something of that name is there already. A swarm, asked for two at the same moment, answers it as an unknown error.
pub(super) fn is_taken(error: &Engine) -> bool {
    let said = "name conflicts with an existing object";
    has_status(error, 409)
        || matches!(error, Engine::DockerResponseServerError { message, .. } if message.contains(said))
}

/// Whether a container could not be attached to the network of that name, because there is none or more than one.
pub(super) fn lacks_network(error: &Engine, name: &str) -> bool {
    let said = [format!("network {name} not found"), format!("network {name} is ambiguous")];
    matches!(error, Engine::DockerResponseServerError { message, .. } if said.iter().any(|words| message.contains(words)))
}

/// Whether a swarm refuses a change because the thing was changed after it was read.
/// <https://github.com/moby/moby/issues/30794>
pub(super) fn is_outdated(error: &Engine) -> bool {
    matches!(error, Engine::DockerResponseServerError { message, .. } if message.contains("update out of sequence"))
}

pub(super) fn bounded(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_string(),
    }
}

/// What a program says that speaks with the engine for us.
pub(super) fn refused(message: &str) -> Error {
    match taken_port(message) {
        Some(_) => answered(500, message),
        None => Error::failed(bounded(message)),
    }
}

fn unreachable_engine(host: &str, error: &Engine) -> Error {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let advice = match host.strip_prefix("unix://") {
        Some(path) => format!(
            "start it (`systemctl start docker`), check that this user may use {path}, or set the engine's address"
        ),
        None => "check that it runs and that its address and certificates are right".to_string(),
    };
    Error::unavailable(format!(
        "the Docker engine at {host} cannot be reached ({}); {advice}",
        bounded(&cause.to_string())
    ))
}

fn answered(status: u16, message: &str) -> Error {
    if let Some(taken) = taken_port(message) {
        return Error::failed(format!(
            "host port {taken} is already in use; stop what holds it, or choose another port for the stack"
        ));
    }
    if message.contains("No such image") || message.contains("manifest unknown") {
        return Error::failed(format!(
            "the image is missing on the engine ({}); it was removed since it was built: build or pull it again",
            bounded(message)
        ));
    }
    match status {
        404 => Error::not_found("engine object", bounded(message)),
        409 => Error::conflict(bounded(message)),
        400 => Error::invalid("docker", bounded(message)),
        // 503 is "this node is not a swarm manager", a matter of configuration and not of time.
        _ => Error::failed(format!("the Docker engine refused: {}", bounded(message))),
    }
}

/// The address and port that somebody else holds, out of what several generations of engines say.
fn taken_port(message: &str) -> Option<String> {
    static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?:Bind for|listen (?:tcp|udp)[46]?|bind host port(?: for)?) (\S+)").ok()
    });
    if !message.contains("already allocated") && !message.contains("address already in use") {
        return None;
    }
    let named = NAMED.as_ref().and_then(|pattern| pattern.captures(message)).and_then(|found| found.get(1));
    let Some(named) = named.map(|found| found.as_str().trim_end_matches(':')) else {
        return Some(bounded(message));
    };
    if named.parse::<std::net::SocketAddr>().is_ok() {
        return Some(named.to_string());
    }
    // Newer engines append where the port leads to: `127.0.0.1:8080:172.17.0.2:80/tcp`.
    Some(named.split(':').take(2).collect::<Vec<_>>().join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_in_every_engines_wording() {
        for (message, port) in [
            (
                "driver failed programming external connectivity on endpoint a (0bf1): Bind for 127.0.0.1:8080 failed: port is already allocated",
                "127.0.0.1:8080",
            ),
            (
                "driver failed programming external connectivity on endpoint x: Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use",
                "0.0.0.0:80",
            ),
            (
                "failed to set up container networking: driver failed programming external connectivity on endpoint x (y): failed to bind host port for 127.0.0.1:8080:172.17.0.2:80/tcp: address already in use",
                "127.0.0.1:8080",
            ),
        ] {
            let error = answered(500, message).to_string();
            assert!(error.starts_with(&format!("host port {port} is already in use")), "{error}");
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let text = "ü".repeat(5000);
        assert_eq!(bounded(&text).chars().count(), LONGEST + 1);
    }
}
