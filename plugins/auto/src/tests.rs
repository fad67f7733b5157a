//! The corpus: a project's files and the Dockerfile it gets. `UPDATE_CORPUS=1` writes the second half anew.

use std::fs;
use std::path::{Path, PathBuf};

use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Planner};

use crate::{Auto, FILES};

/// Between the files and what is expected.
const EXPECTED: &str = ">>> expected\n";

fn config(extras: Vec<(String, String)>) -> BuildConfig {
    BuildConfig {
        build_type: "auto".to_owned(),
        context_path: None,
        dockerfile_path: None,
        compose_path: None,
        target: None,
        build_args: Vec::new(),
        pre_build_commands: Vec::new(),
        post_build_commands: Vec::new(),
        timeout_seconds: 600,
        extras,
    }
}

/// `=== path`, then its content; `=== options` and `=== contextPath` are the configuration.
fn context(input: &str) -> Context {
    let (mut files, mut extras, mut folder) = (Vec::new(), Vec::new(), None);
    for part in input.split("=== ").skip(1) {
        let (name, content) = part.split_once('\n').expect("a line end");
        match name {
            "options" => extras.push(("options".to_owned(), content.to_owned())),
            "contextPath" => folder = Some(content.trim().to_owned()),
            _ => {
                files.push(name.to_owned());
                // As the host does it: only what the manifest asks for.
                let base = name.rsplit('/').next().unwrap_or(name);
                if FILES.split_whitespace().any(|wanted| wanted == base) {
                    extras.push((format!("file:{name}"), content.to_owned()));
                }
            }
        }
    }
    files.sort();
    Context {
        stack: "shop".to_owned(),
        ref_name: "main".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        files,
        config: BuildConfig { context_path: folder, ..config(extras) },
    }
}

fn answer(input: &str) -> String {
    match Auto::plan(context(input)) {
        Err(failure) => format!("{}: {}\n", failure.code, failure.message),
        Ok(steps) => {
            let [BuildStep::DockerBuild(step)] = &steps[..] else { panic!("{steps:?}") };
            let extra = |wanted: &str| step.extras.iter().find(|(name, _)| name == wanted);
            match extra("dockerfile") {
                Some((_, text)) => text.clone(),
                None => format!("its own {}\n", step.dockerfile_path),
            }
        }
    }
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("an entry").path()).collect();
    all.sort();
    all
}

#[test]
fn every_project_of_the_corpus_gets_its_dockerfile() {
    let all = corpus();
    assert!(all.len() >= 25, "only {} projects", all.len());
    let mut wrong = Vec::new();
    for path in all {
        let text = fs::read_to_string(&path).expect("a project");
        let (input, expected) = text.split_once(EXPECTED).unwrap_or((&text, ""));
        let got = answer(input);
        if std::env::var_os("UPDATE_CORPUS").is_some() {
            fs::write(&path, format!("{input}{EXPECTED}{got}")).expect("written");
        } else if got != expected {
            wrong.push(format!("{}:\n{got}\nand not\n{expected}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_dockerfile_of_the_corpus_runs_as_root_or_without_stages() {
    for path in corpus() {
        let text = fs::read_to_string(&path).expect("a project");
        let expected = text.split_once(EXPECTED).map_or("", |(_, expected)| expected);
        if !expected.starts_with("FROM ") {
            continue;
        }
        let last = expected.rsplit("FROM ").next().unwrap_or_default();
        assert!(last.contains("\nUSER ") && last.contains("\nEXPOSE "), "{}", path.display());
        let compiles = expected.contains("RUN ");
        assert_eq!(compiles, expected.matches("FROM ").count() == 2, "{}", path.display());
        assert_eq!(compiles, expected.contains("--mount=type=cache") || expected.contains("venv /venv"));
    }
}

#[test]
fn hostile_names_and_versions_do_not_become_instructions() {
    let cases = [
        "=== Cargo.toml\n[package]\nname = \"a\\nRUN evil\"\n=== src/main.rs\n",
        "=== go.mod\nmodule x\ngo 1.2\\nRUN evil\n=== cmd/x y;evil/main.go\n",
        "=== package.json\n{\"main\":\"x\\nRUN evil\",\"engines\":{\"node\":\"20\\nRUN evil\"}}\n=== x\nRUN evil\n=== index.js\n",
        "=== package.json\n{\"scripts\":{\"start\":\"node a.js\\nRUN evil\"}}\n",
        "=== requirements.txt\n=== .python-version\n3.12 AS x RUN evil\n=== main.py\n",
        "=== Procfile\nweb: x && \"RUN evil\n=== requirements.txt\n",
    ];
    for case in cases {
        let text = answer(case);
        assert!(!text.lines().any(|line| line.trim_start().starts_with("RUN evil")), "{case}\n{text}");
    }
}

#[test]
fn another_base_image_is_taken_by_its_name_only() {
    let input = |name: &str| {
        format!("=== options\n{{\"baseImages\":{{\"{name}\":\"mirror.example/x:1\"}}}}\n=== index.html\n")
    };
    assert!(answer(&input("static")).starts_with("FROM mirror.example/x:1\n"));
    assert!(answer(&input("nginx")).contains("Base images are named"));
}

#[test]
fn the_same_problems_are_found_before_a_commit_is_known() {
    let mut wrong =
        config(vec![("options".to_owned(), "{\"projectType\":\"cobol\",\"commands\":[\"x\"]}".to_owned())]);
    wrong.target = Some("x".to_owned());
    let pointers: Vec<String> = Auto::validate(&wrong).into_iter().map(|problem| problem.path).collect();
    assert_eq!(pointers, ["/target", "/options/image", "/options/projectType", "/options/commands"]);
}
