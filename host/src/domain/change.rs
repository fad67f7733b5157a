//! What a deployment changes about how a stack runs.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::build_config::EnvVar;
use super::health::HealthCheck;
use super::stack::RunSpec;

/// One thing that would be otherwise. Values of environment variables are never part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// Example: `port 80`.
    pub what: String,
    /// How it is now; absent if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How it would be; absent if it would be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// Everything about a release that decides how it runs.
#[derive(Debug, Clone)]
pub struct Shape<'a> {
    /// In words that tell releases apart, such as a digest.
    pub image: String,
    pub commit: String,
    pub run: &'a RunSpec,
    pub health: &'a HealthCheck,
    pub environment: &'a [EnvVar],
}

/// What differs between two shapes, in an order that people read; everything if nothing runs yet.
pub fn changes(from: Option<&Shape<'_>>, to: &Shape<'_>) -> Vec<Change> {
    let (old, new) = (from.map(facts).unwrap_or_default(), facts(to));
    let mut changes = between(&old, &new, |value| value.to_owned());
    let (old, new) = (from.map(environment).unwrap_or_default(), environment(to));
    changes.extend(between(&old, &new, |_| "a value".to_owned()).into_iter().map(|mut change| {
        if change.from.is_some() && change.to.is_some() {
            change.to = Some("another value".to_owned());
        }
        change
    }));
    changes
}

type Facts = BTreeMap<(u8, String), String>;

fn between(old: &Facts, new: &Facts, shown: impl Fn(&str) -> String) -> Vec<Change> {
    let mut keys: Vec<_> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Change {
            what: key.1.clone(),
            from: old.get(key).map(|value| shown(value)),
            to: new.get(key).map(|value| shown(value)),
        })
        .collect()
}

fn facts(shape: &Shape<'_>) -> Facts {
    let (run, health) = (shape.run, shape.health);
    let mut facts = Facts::new();
    let mut add = |rank, what: &str, value: String| facts.insert((rank, what.to_owned()), value);
    if !shape.commit.is_empty() {
        add(0, "commit", shape.commit.clone());
    }
    if !shape.image.is_empty() {
        add(1, "image", shape.image.clone());
    }
    add(2, "replicas", run.replicas.to_string());
    if let Some(command) = &run.command {
        add(3, "command", command.join(" "));
    }
    for port in &run.ports {
        let place = match port.host {
            Some(host) => format!("{}:{host}", port.address),
            None => format!("a free port of {}", port.address),
        };
        add(4, &format!("port {}", port.container), place);
    }
    for volume in &run.volumes {
        let how = if volume.read_only { " (read only)" } else { "" };
        add(5, &format!("volume {}", volume.name), format!("{}{how}", volume.path));
    }
    let path = health.path.as_deref().unwrap_or("the image's own check, or an open port");
    add(6, "health check", format!("{path}, within {} s", health.timeout_secs));
    add(7, "time to stop", format!("{} s", run.stop_timeout_secs));
    add(8, "downtime", if run.allow_downtime { "allowed" } else { "not allowed" }.to_owned());
    facts
}

fn environment(shape: &Shape<'_>) -> Facts {
    let name = |variable: &EnvVar| (9, format!("variable {}", variable.name));
    shape.environment.iter().map(|variable| (name(variable), variable.value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::stack::Port;

    fn variable(name: &str, value: &str) -> EnvVar {
        EnvVar { name: name.into(), value: value.into(), secret: true }
    }

    fn shown(changes: &[Change]) -> Vec<(&str, Option<&str>, Option<&str>)> {
        changes
            .iter()
            .map(|change| (change.what.as_str(), change.from.as_deref(), change.to.as_deref()))
            .collect()
    }

    #[test]
    fn only_what_differs_is_told_and_values_of_variables_never_are() {
        let health = HealthCheck { path: None, timeout_secs: 60 };
        let (old, mut new) = (RunSpec::default(), RunSpec::default());
        new.ports.push(Port { container: 80, host: Some(8080), address: "127.0.0.1".into() });
        let before = [variable("A", "hunter2"), variable("B", "same"), variable("GONE", "x")];
        let after = [variable("A", "hunter3"), variable("B", "same"), variable("NEW", "y")];
        let shape = |run, environment| Shape {
            image: "sha256:1".into(),
            commit: String::new(),
            run,
            health: &health,
            environment,
        };
        let told = changes(Some(&shape(&old, &before)), &shape(&new, &after));
        let expected = [
            ("port 80", None, Some("127.0.0.1:8080")),
            ("variable A", Some("a value"), Some("another value")),
            ("variable GONE", Some("a value"), None),
            ("variable NEW", None, Some("a value")),
        ];
        assert_eq!(shown(&told), expected);
    }

    #[test]
    fn everything_is_new_where_nothing_runs() {
        let (run, health) = (RunSpec::default(), HealthCheck { path: Some("/up".into()), timeout_secs: 5 });
        let shape = Shape {
            image: String::new(),
            commit: "abc".into(),
            run: &run,
            health: &health,
            environment: &[],
        };
        let told = changes(None, &shape);
        assert!(told.iter().all(|change| change.from.is_none()));
        assert_eq!(told.first().map(|change| change.what.as_str()), Some("commit"));
    }
}
