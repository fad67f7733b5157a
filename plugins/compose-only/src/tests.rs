use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Planner};

use crate::ComposeOnly;

fn config() -> BuildConfig {
    BuildConfig {
        build_type: "compose_only".to_owned(),
        context_path: None,
        dockerfile_path: None,
        compose_path: None,
        target: None,
        build_args: Vec::new(),
        pre_build_commands: Vec::new(),
        post_build_commands: Vec::new(),
        timeout_seconds: 600,
        extras: Vec::new(),
    }
}

fn context(files: &[&str], config: BuildConfig) -> Context {
    Context {
        stack: "web".to_owned(),
        ref_name: "main".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        files: files.iter().map(|&file| file.to_owned()).collect(),
        config,
    }
}

fn words(context: Context) -> Vec<String> {
    let steps = ComposeOnly::plan(context).expect("there is a plan");
    let word = |step| match step {
        BuildStep::Other(word) => word,
        other => panic!("this is no step of a compose file: {other:?}"),
    };
    steps.into_iter().map(word).collect()
}

#[test]
fn the_file_is_rendered_then_built_then_pulled() {
    let planned = words(context(&["README.md", "docker-compose.yml"], config()));
    assert_eq!(planned, ["compose-config docker-compose.yml", "compose-build", "compose-pull"]);
}

#[test]
fn of_several_files_the_one_that_compose_would_take_is_taken() {
    let files = ["compose.yml", "compose.yaml", "docker-compose.yml"];
    assert_eq!(words(context(&files, config()))[0], "compose-config compose.yaml");
    let named = BuildConfig { compose_path: Some("./deploy//prod.yml".to_owned()), ..config() };
    assert_eq!(
        words(context(&["compose.yaml", "deploy/prod.yml"], named))[0],
        "compose-config deploy/prod.yml"
    );
}

#[test]
fn a_missing_file_is_named_with_those_that_are_there() {
    let files = ["deploy/compose.prod.yml", "compose.md"];
    let failure = ComposeOnly::plan(context(&files, config())).expect_err("it is missing");
    assert_eq!(failure.code, "file-missing");
    for part in ["Commit 0123456 of `main` has no `compose.yaml`", "There is `deploy/compose.prod.yml`;"] {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let named = BuildConfig { compose_path: Some("x.yml".to_owned()), ..config() };
    let failure = ComposeOnly::plan(context(&["src/main.rs"], named)).expect_err("it is missing");
    assert!(
        failure.message.contains("has no `x.yml`. It has no file of a similar name"),
        "{}",
        failure.message
    );
}

#[test]
fn a_list_of_files_that_may_be_cut_short_proves_nothing() {
    let files: Vec<String> = (0..10_000).map(|n| format!("{n:05}")).collect();
    let named = BuildConfig { compose_path: Some("deep/compose.yml".to_owned()), ..config() };
    assert_eq!(words(Context { files, ..context(&[], named) })[0], "compose-config deep/compose.yml");
}

#[test]
fn paths_that_leave_the_repository_or_look_like_options_are_refused() {
    for (path, word) in [
        ("/etc", "absolute"),
        ("../x", "`..`"),
        ("a/../../x", "`..`"),
        ("a\0b", "control"),
        ("a\\b", "backslash"),
        ("-f", "option"),
        ("", "empty"),
    ] {
        let config = BuildConfig { compose_path: Some(path.to_owned()), ..config() };
        let found = ComposeOnly::validate(&config);
        assert!(found.len() == 1 && found[0].message.contains(word), "{path:?}: {found:?}");
        assert_eq!(
            ComposeOnly::plan(context(&["compose.yaml"], config)).expect_err("bad").code,
            "invalid-configuration"
        );
    }
}

#[test]
fn what_this_build_type_does_not_do_is_refused_with_advice() {
    let config = BuildConfig {
        build_type: "script".to_owned(),
        context_path: Some("app".to_owned()),
        dockerfile_path: Some("Dockerfile".to_owned()),
        target: Some("x".to_owned()),
        build_args: vec![("A".to_owned(), "1".to_owned())],
        pre_build_commands: vec!["make".to_owned()],
        post_build_commands: vec!["make".to_owned()],
        timeout_seconds: 0,
        ..config()
    };
    let found = ComposeOnly::validate(&config);
    let paths: Vec<&str> = found.iter().map(|problem| problem.path.as_str()).collect();
    let expected = [
        "/buildType",
        "/timeout",
        "/contextPath",
        "/dockerfilePath",
        "/target",
        "/buildArgs",
        "/preBuildCommands",
        "/postBuildCommands",
    ];
    assert_eq!(paths, expected);
    assert_eq!(
        ComposeOnly::validate(&BuildConfig { context_path: Some(".".to_owned()), ..self::config() }).len(),
        0
    );
}

#[test]
fn options_without_an_effect_are_refused() {
    let options = r#"{"push":["registry.example/web"],"cache":{"mode":"inline"},"platforms":["linux/amd64"],
        "artifacts":["x"],"memoryMb":64,"cpuPercent":50,"shmMb":64}"#;
    let config = BuildConfig { extras: vec![("options".to_owned(), options.to_owned())], ..config() };
    let pointers: Vec<String> =
        ComposeOnly::validate(&config).into_iter().map(|problem| problem.path).collect();
    assert_eq!(pointers, ["/options/push", "/options/platforms", "/options/cache"]);
}
