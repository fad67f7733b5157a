//! The rules of the house, checked on the source text: who may import whom, and what must not appear where.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// For each module of `host/src`, the modules it may import. `README.md` shows the same table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("domain", &["error"]),
    ("error", &["domain"]),
    ("config", &["error"]),
    ("telemetry", &["error"]),
    ("network", &["domain", "error"]),
    ("store", &["domain", "error", "telemetry"]),
    ("queue", &["domain", "error", "store"]),
    ("plugins", &["domain", "error", "config", "network"]),
    ("git", &["domain", "error", "config", "network"]),
    ("docker", &["domain", "error", "config"]),
    ("router", &["domain", "error", "config", "network"]),
    (
        "app",
        &[
            "domain",
            "error",
            "config",
            "telemetry",
            "network",
            "store",
            "queue",
            "plugins",
            "git",
            "docker",
            "router",
        ],
    ),
    ("jobs", &["app", "queue", "domain", "error", "telemetry"]),
    ("api", &["app", "domain", "error", "config", "telemetry"]),
    ("web", &["app", "api", "domain", "error", "config"]),
    ("cli", &["app", "domain", "error", "config"]),
    // The composition root.
    ("serve", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Crates that only one module may use.
const OWNED_CRATES: &[(&str, &str)] =
    &[("wasmtime", "plugins"), ("bollard", "docker"), ("git2", "git"), ("sqlx", "store")];

const VENDORS: &[&str] = &[
    "jenkins",
    "github",
    "gitlab",
    "circleci",
    "bitbucket",
    "gitea",
    "forgejo",
    "gogs",
    "slack",
    "discord",
    "ntfy",
    "gotify",
];

/// A vendor may be named where a seed spells a route out, and in the configuration's list of built-in plugins.
const VENDOR_EXCEPTIONS: &[&str] = &["api/webhooks.rs", "config/defaults.toml"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Path below `host/src` and text of every source file.
fn sources() -> BTreeMap<String, String> {
    let src = root().join("host/src");
    let mut files = BTreeMap::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "toml") {
                let name = path.strip_prefix(&src).unwrap().to_string_lossy().into_owned();
                if name.ends_with("_tests.rs") {
                    // A file of unit tests is no part of the program.
                    continue;
                }
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    assert!(files.len() > 50, "the source was not found");
    files
}

fn module(file: &str) -> &str {
    file.split('/').next().unwrap().trim_end_matches(".rs")
}

/// The part of a file that is compiled into the program.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn lines_of_code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    production(text).lines().enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or("")))
}

/// Modules that a file names as `crate::<module>`, also in `use crate::{a, b::{c, d}}` over several lines; with the line.
fn imported(text: &str) -> Vec<(usize, String)> {
    let code: String = lines_of_code(text).map(|(_, line)| format!("{line}\n")).collect();
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let line_at = |offset: usize| code[..at + "crate::".len() + offset].matches('\n').count() + 1;
        if !rest.starts_with('{') {
            found.push((line_at(0), word(rest)));
            continue;
        }
        let mut depth = 0;
        for (offset, character) in rest.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && matches!(character, '{' | ',') {
                let name = rest[offset + 1..].trim_start();
                found.push((line_at(rest.len() - rest[offset + 1..].trim_start().len()), word(name)));
            }
        }
    }
    found.retain(|(_, name)| !name.is_empty());
    found
}

#[test]
fn imports_are_found_in_groups_and_over_several_lines() {
    let text = "use crate::a::B;\nuse crate::{\n    c, // crate::no\n    d::{E, F},\n    self,\n};\nlet x = crate::g::h();\n";
    let found = imported(text);
    let found: Vec<_> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(found, [(1, "a"), (3, "c"), (4, "d"), (5, "self"), (7, "g")]);
}

#[test]
fn every_import_follows_the_table() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let from = module(&file);
        let allowed = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == from)
            .unwrap_or_else(|| panic!("module `{from}` ({file}) is not in the table"))
            .1;
        for (n, to) in imported(&text) {
            let known = MAY_IMPORT.iter().any(|(name, _)| *name == to);
            if known && to != from && !allowed.contains(&"*") && !allowed.contains(&to.as_str()) {
                wrong.push(format!("{file}:{n}: {from} may not import {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn crates_with_an_owner_are_used_by_nobody_else() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (n, line) in lines_of_code(&text) {
            for (name, owner) in OWNED_CRATES {
                let named = line.contains(&format!("{name}::")) || line.contains(&format!("use {name}"));
                if named && module(&file) != *owner {
                    wrong.push(format!("{file}:{n}: only {owner} may use {name}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_the_store_contains_sql() {
    let words = ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE TABLE"];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        if module(&file) == "store" {
            continue;
        }
        for (n, line) in lines_of_code(&text) {
            if words.iter().any(|word| line.contains(&format!("\"{word}"))) {
                wrong.push(format!("{file}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_domain_does_no_io() {
    let words = [
        "std::fs",
        "std::net::Tcp",
        "tokio",
        "async fn",
        "SystemTime",
        "Instant::now",
        "getrandom",
        "std::env",
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        if module(&file) != "domain" {
            continue;
        }
        for (n, line) in lines_of_code(&text) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{file}:{n}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_vendor_is_named_in_the_host() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        if VENDOR_EXCEPTIONS.contains(&file.as_str()) {
            continue;
        }
        for (n, line) in lines_of_code(&text) {
            let line = line.to_ascii_lowercase();
            if let Some(vendor) = VENDORS.iter().find(|vendor| line.contains(**vendor)) {
                wrong.push(format!("{file}:{n}: names {vendor}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn there_is_no_mutable_static() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        // The crash points of debug builds count for the whole process on purpose.
        if file == "app/crash.rs" {
            continue;
        }
        for (n, line) in lines_of_code(&text) {
            let line = line.trim();
            let is_static =
                line.starts_with("static ") || line.contains(" static ") && !line.contains("'static ");
            let changeable = ["mut ", "Mutex", "RwLock", "Atomic", "OnceLock", "OnceCell"];
            if is_static && changeable.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{file}:{n}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_user_string_reaches_a_shell() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        // The shell of a container that is made for a build's commands, and no process of this machine.
        if file == "docker/run.rs" && !production(&text).contains("Command::") {
            continue;
        }
        for (n, line) in lines_of_code(&text) {
            if ["\"sh\"", "\"bash\"", "\"/bin/sh\"", "Command::new(\"sh"]
                .iter()
                .any(|word| line.contains(word))
            {
                wrong.push(format!("{file}:{n}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    let mut sizes: Vec<(usize, String)> = sources()
        .into_iter()
        .filter(|(file, _)| file.ends_with(".rs"))
        .map(|(file, text)| (production(&text).lines().count(), file))
        .collect();
    sizes.sort_unstable();
    let (largest, file) = sizes.last().unwrap();
    assert!(*largest <= 500, "{file} has {largest} lines; split it along a real seam");
    let p90 = sizes[sizes.len() * 9 / 10].0;
    assert!(p90 <= 330, "one file in ten has more than {p90} lines");
}

#[test]
fn every_module_says_what_it_is() {
    let missing: Vec<String> = sources()
        .into_iter()
        .filter(|(file, text)| file.ends_with(".rs") && !text.starts_with("//!"))
        .map(|(file, _)| file)
        .collect();
    assert!(missing.is_empty(), "without a module comment: {missing:?}");
}

#[test]
fn every_lint_exception_gives_its_reason() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        for (n, line) in text.lines().enumerate() {
            let line = line.trim();
            if (line.starts_with("#[allow(")
                || line.starts_with("#[expect(")
                || line.starts_with("#![allow("))
                && line.ends_with(")]")
                && !line.contains("reason")
            {
                wrong.push(format!("{file}:{}: {line}", n + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
