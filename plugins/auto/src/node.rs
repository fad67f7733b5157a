//! Node: dependencies by the lock file's package manager, the build's script, and only what production needs.

mod manager;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use windlass_sdk::Failure;

use crate::detect::Project;
use crate::dockerfile::{is_plain, start, version};
use crate::site;
use manager::Manager;

/// The current long-term release.
const DEFAULT: &str = "22";
/// The user `node` of the official images; other images need no entry for it.
const USER: &str = "1000:1000";
/// Tools that make a site out of sources, and the folder they put it into.
const SITES: [(&str, &str); 9] = [
    ("vite", "dist"),
    ("react-scripts", "build"),
    ("@vue/cli-service", "dist"),
    ("astro", "dist"),
    ("gatsby", "public"),
    ("parcel", "dist"),
    ("@11ty/eleventy", "_site"),
    ("@docusaurus/core", "build"),
    ("vitepress", ".vitepress/dist"),
];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Package {
    scripts: BTreeMap<String, String>,
    dependencies: BTreeMap<String, Value>,
    dev_dependencies: BTreeMap<String, Value>,
    engines: Value,
    main: Option<String>,
    workspaces: Option<Value>,
    package_manager: Option<String>,
}

pub fn dockerfile(project: &Project<'_>) -> Result<String, Failure> {
    let text = project.read("package.json").unwrap_or("{}");
    let package: Package = serde_json::from_str(text)
        .map_err(|error| project.cannot("unreadable", &format!("`package.json` cannot be read: {error}.")))?;
    let manager = Manager::of(project, &package);
    let image = match manager {
        Manager::Bun => project.base("bun", "oven/bun:1"),
        _ => project.base("node", &format!("node:{}-bookworm-slim", node_version(project, &package))),
    };
    let has_build = package.scripts.contains_key("build");
    let build = if has_build { format!("RUN {}\n", manager.run("build")) } else { String::new() };
    let is_needed_later = package.starts_with_manager();
    let stage = format!(
        "FROM {image} AS build\nWORKDIR /app\n{}{}{build}",
        manager.setup(is_needed_later),
        manager.install(project, package.workspaces.is_some())
    );
    match command(project, &package, manager) {
        Some(command) => {
            let port = "3000";
            Ok(format!(
                "{stage}{}\nFROM {image}\nENV NODE_ENV=production PORT={port}\nWORKDIR /app\n{}\
                 COPY --from=build --chown={USER} /app /app\nUSER {USER}\nEXPOSE {port}\n{}\n",
                manager.prune(),
                if is_needed_later { manager.setup(true) } else { "" },
                start(&command)
            ))
        }
        None if has_build => {
            let known = |tool: &str| {
                package.dependencies.contains_key(tool) || package.dev_dependencies.contains_key(tool)
            };
            let folder = SITES.iter().find(|(tool, _)| known(tool)).map_or("dist", |(_, folder)| folder);
            Ok(site::serve(project, &format!("{stage}\n"), &format!("COPY --from=build /app/{folder} /www")))
        }
        None => Err(project.cannot(
            "no-program",
            "package.json has neither a script `start` or `build` nor `main`, and there is no server.js or index.js. \
             Add a script `start`.",
        )),
    }
}

fn node_version(project: &Project<'_>, package: &Package) -> String {
    let file = project.line(".nvmrc").or_else(|| project.line(".node-version"));
    let engines = package.engines.get("node").and_then(Value::as_str);
    file.and_then(|text| version(text, 1))
        .or_else(|| engines.and_then(|text| version(text, 1)))
        .unwrap_or_else(|| DEFAULT.to_owned())
}

/// What starts the program.
fn command(project: &Project<'_>, package: &Package, manager: Manager) -> Option<String> {
    let is_plain_start = |script: &&String| {
        // One program and its words: then it gets the engine's signals, which package managers keep for themselves.
        script.strip_prefix("node ").is_some_and(|rest| rest.split(' ').all(is_plain))
    };
    if let Some(script) = package.scripts.get("start") {
        // A development server is no server for production.
        if is_development(script) {
            return None;
        }
        return Some(match Some(script).filter(is_plain_start) {
            Some(script) => script.clone(),
            None => manager.start().to_owned(),
        });
    }
    let main = package.main.as_deref().filter(|file| is_plain(file) && project.has(file));
    let file =
        main.or_else(|| project.first(&["server.js", "index.js", "app.js", "server.mjs", "index.mjs"]))?;
    let runtime = if manager == Manager::Bun { "bun" } else { "node" };
    // What is built is served, where it is a site.
    let makes_site = package.scripts.contains_key("build")
        && SITES.iter().any(|(tool, _)| package.dev_dependencies.contains_key(*tool));
    (!makes_site || main.is_some()).then(|| format!("{runtime} {file}"))
}

fn is_development(script: &str) -> bool {
    let script = script.trim();
    let starts =
        ["vite", "react-scripts start", "vue-cli-service serve", "gatsby develop", "astro dev", "parcel"];
    starts.iter().any(|start| script == *start || script.starts_with(&format!("{start} ")))
        && !script.starts_with("vite preview")
}

impl Package {
    /// Whether the script `start` itself calls a package manager that no image brings.
    fn starts_with_manager(&self) -> bool {
        let first = self.scripts.get("start").and_then(|script| script.split_whitespace().next());
        first.is_some_and(|word| ["pnpm", "yarn"].contains(&word))
    }

    pub fn package_manager(&self) -> &str {
        self.package_manager.as_deref().unwrap_or_default()
    }
}
