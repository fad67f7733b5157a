//! Lines: a generator whose pipeline is a list of commands, and a notifier that posts one line; both in one component, so
//! that a plugin of two kinds is tested as well.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::generator::{File, Generator, Model};
use windlass_sdk::notifier::{Event, Notifier, Request};
use windlass_sdk::{Connection, Failure, Manifest, Problem};

pub struct Lines;

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    shell: String,
}

/// In single quotes, as POSIX shells read them.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

impl Generator for Lines {
    fn describe() -> Manifest {
        Manifest::new("lines", env!("CARGO_PKG_VERSION"), "Writes pipelines that are lists of commands")
            .settings_schema(
                json!({ "type": "object", "properties": { "shell": { "enum": ["sh", "bash"] } } })
                    .to_string(),
            )
            .credential("secret", "Key that messages are signed with", "header:x-lines-key", false)
            .permission(&["POST"], "/**", "posts messages")
    }

    fn validate(model: &Model) -> Vec<Problem> {
        let none = model.scripts.is_empty();
        none.then(|| Problem::at("/scripts", "There is no script to run; add one.")).into_iter().collect()
    }

    fn generate(model: Model) -> Result<Vec<File>, Failure> {
        if model.scripts.is_empty() {
            return Err(Failure::permanent("invalid-model", "There is no script to run; add one."));
        }
        let settings: Settings = serde_json::from_str(&model.settings)
            .map_err(|error| Failure::permanent("invalid-model", format!("Strange settings: {error}.")))?;
        let mut lines = vec![format!(
            "#!/usr/bin/env {}",
            if settings.shell.is_empty() { "sh" } else { &settings.shell }
        )];
        for environment in &model.environments {
            lines.push(format!("# {}", environment.name));
            for host in model.hosts.iter().filter(|host| host.environment == environment.name) {
                for script in &model.scripts {
                    let values =
                        script.parameters.iter().map(|parameter| format!(" {}", quoted(&parameter.value)));
                    lines.push(format!(
                        "on {} ./{}{}",
                        host.address,
                        script.path,
                        values.collect::<String>()
                    ));
                }
            }
        }
        let main = File { path: "pipeline.sh".into(), content: lines.join("\n") + "\n", executable: true };
        Ok(vec![main, File::new("pipeline.txt", format!("{} of {}\n", model.name, model.repository.url))])
    }
}

impl Notifier for Lines {
    fn describe() -> Manifest {
        <Self as Generator>::describe()
    }

    fn render(target: Connection, event: Event) -> Result<Vec<Request>, Failure> {
        if event.kind == "deployment.progressed" {
            return Ok(Vec::new());
        }
        let line = format!("{} {} {}\n", target.base_url, event.kind, event.title);
        Ok(vec![Request::post("/lines").credential("secret").body(line)])
    }
}

windlass_sdk::export_plugin!(Lines: generator, notifier);
