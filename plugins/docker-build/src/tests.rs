use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Planner};

use crate::DockerBuild;

fn config() -> BuildConfig {
    BuildConfig {
        build_type: "docker_build".to_owned(),
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

fn planned(context: Context) -> windlass_sdk::planner::DockerBuild {
    match DockerBuild::plan(context).as_deref() {
        Ok([BuildStep::DockerBuild(step)]) => step.clone(),
        other => panic!("this is not the one step: {other:?}"),
    }
}

fn tag_of(ref_name: &str) -> String {
    planned(Context { ref_name: ref_name.to_owned(), ..context(&["Dockerfile"], config()) }).tags.remove(0)
}

fn complaints(config: &BuildConfig) -> Vec<(String, String)> {
    DockerBuild::validate(config).into_iter().map(|problem| (problem.path, problem.message)).collect()
}

#[test]
fn without_settings_the_dockerfile_at_the_root_is_built() {
    let step = planned(context(&["Dockerfile", "src/main.rs"], config()));
    assert_eq!((step.context_path.as_str(), step.dockerfile_path.as_str()), (".", "Dockerfile"));
    assert_eq!(step.tags, ["web:main-0123456"]);
    let revision = "0123456789abcdef0123456789abcdef01234567".to_owned();
    assert_eq!(step.labels, [("org.opencontainers.image.revision".to_owned(), revision)]);
}

#[test]
fn the_dockerfile_is_looked_for_in_the_context_unless_it_is_named_from_the_root() {
    let inside = BuildConfig { context_path: Some("./app/".to_owned()), ..config() };
    let step = planned(context(&["app/Dockerfile"], inside.clone()));
    assert_eq!((step.context_path.as_str(), step.dockerfile_path.as_str()), ("app", "app/Dockerfile"));
    let named = BuildConfig { dockerfile_path: Some("docker/web.Dockerfile".to_owned()), ..inside };
    let step =
        planned(context(&["app/a", "app/docker/web.Dockerfile", "docker/web.Dockerfile"], named.clone()));
    assert_eq!((step.context_path.as_str(), step.dockerfile_path.as_str()), ("app", "docker/web.Dockerfile"));
    let step = planned(context(&["app/docker/web.Dockerfile"], named));
    assert_eq!(step.dockerfile_path, "app/docker/web.Dockerfile");
}

#[test]
fn stage_and_build_arguments_reach_the_step() {
    let args = vec![("A".to_owned(), "1".to_owned()), ("_b2".to_owned(), String::new())];
    let config = BuildConfig { target: Some("runtime".to_owned()), build_args: args.clone(), ..config() };
    let step = planned(context(&["Dockerfile"], config));
    assert_eq!((step.target.as_deref(), step.build_args), (Some("runtime"), args));
}

#[test]
fn a_missing_dockerfile_is_named_with_those_that_are_there() {
    let files = ["docker/Dockerfile", "docker/Dockerfile.dev", "src/main.rs"];
    let failure = DockerBuild::plan(context(&files, config())).expect_err("it is missing");
    assert_eq!(failure.code, "file-missing");
    for part in
        ["Commit 0123456 of `main` has no `Dockerfile`", "`docker/Dockerfile`, `docker/Dockerfile.dev`"]
    {
        assert!(failure.message.contains(part), "{}", failure.message);
    }
    let failure = DockerBuild::plan(context(&["src/main.rs"], config())).expect_err("it is missing");
    assert!(failure.message.contains("no file of a similar name"), "{}", failure.message);
}

#[test]
fn a_missing_context_is_named() {
    let config = BuildConfig {
        context_path: Some("app".to_owned()),
        dockerfile_path: Some("Dockerfile".to_owned()),
        ..config()
    };
    let failure = DockerBuild::plan(context(&["Dockerfile"], config)).expect_err("it is missing");
    assert!(failure.message.contains("no folder `app`"), "{}", failure.message);
}

#[test]
fn a_list_of_files_that_may_be_cut_short_proves_nothing() {
    let files: Vec<String> = (0..10_000).map(|n| format!("{n:05}")).collect();
    let context = Context { files, ..context(&[], config()) };
    assert_eq!(planned(context).dockerfile_path, "Dockerfile");
}

#[test]
fn a_tag_is_made_of_what_tags_may_be_made_of() {
    assert_eq!(tag_of("feature/Login_Page"), "web:feature-login_page-0123456");
    assert_eq!(tag_of("-.v1.2.-"), "web:v1.2-0123456");
    assert_eq!(tag_of("größe"), "web:gr--e-0123456");
    assert_eq!(tag_of("///"), "web:0123456");
    let long = tag_of(&"a/".repeat(200));
    assert!(long.len() <= "web:".len() + 128 && long.ends_with("a-0123456"), "{long}");
}

#[test]
fn a_good_configuration_has_no_problems() {
    assert_eq!(complaints(&config()), []);
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
        let path = Some(path.to_owned());
        for config in [
            BuildConfig { context_path: path.clone(), ..config() },
            BuildConfig { dockerfile_path: path.clone(), ..config() },
        ] {
            let found = complaints(&config);
            assert!(found.len() == 1 && found[0].1.contains(word), "{path:?}: {found:?}");
        }
    }
}

#[test]
fn build_arguments_need_proper_and_different_names() {
    let arg = |name: &str| (name.to_owned(), "x".to_owned());
    let config =
        BuildConfig { build_args: vec![arg("OK"), arg("1A"), arg("a-b"), arg(""), arg("OK")], ..config() };
    let found = complaints(&config);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/buildArgs/1/name", "/buildArgs/2/name", "/buildArgs/3/name", "/buildArgs/4/name"]);
    assert!(found[3].1.contains("twice"), "{found:?}");
}

#[test]
fn what_this_build_type_does_not_do_is_refused_with_advice() {
    let config = BuildConfig {
        build_type: "script".to_owned(),
        compose_path: Some("compose.yaml".to_owned()),
        target: Some("--x".to_owned()),
        pre_build_commands: vec!["make".to_owned()],
        post_build_commands: vec!["make".to_owned()],
        timeout_seconds: 0,
        ..config()
    };
    let found = complaints(&config);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    let expected = ["/buildType", "/timeout", "/composePath", "/target", "/options/image"];
    assert_eq!(paths, expected);
    assert!(found[4].1.contains("of which image"), "{found:?}");
    let failure = DockerBuild::plan(context(&["Dockerfile"], config)).expect_err("it is bad");
    assert_eq!(failure.code, "invalid-configuration");
}

#[test]
fn commands_run_before_and_after_the_build() {
    let config = BuildConfig {
        pre_build_commands: vec!["make dist".to_owned()],
        post_build_commands: vec!["/app --version".to_owned()],
        extras: vec![("options".to_owned(), r#"{"image":"alpine:3.22","outputs":["dist"]}"#.to_owned())],
        ..config()
    };
    // The Dockerfile may be one of the things that they make.
    let steps = DockerBuild::plan(context(&["Makefile"], config)).expect("a plan");
    let [BuildStep::Other(before), BuildStep::DockerBuild(_), BuildStep::Other(after)] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(
        before,
        r#"run-in-container {"image":"alpine:3.22","commands":["make dist"],"workingDirectory":".","outputs":["dist"]}"#
    );
    assert_eq!(
        after,
        r#"run-in-container {"image":null,"commands":["/app --version"],"workingDirectory":".","outputs":[]}"#
    );
}
