use windlass_sdk::planner::{BuildConfig, BuildStep, Context, Planner, RunInContainer};

use crate::Script;

fn config(options: &str) -> BuildConfig {
    BuildConfig {
        build_type: "script".to_owned(),
        context_path: None,
        dockerfile_path: None,
        compose_path: None,
        target: None,
        build_args: Vec::new(),
        pre_build_commands: Vec::new(),
        post_build_commands: Vec::new(),
        timeout_seconds: 600,
        extras: vec![("options".to_owned(), options.to_owned())],
    }
}

fn planned(config: BuildConfig) -> (RunInContainer, String, usize) {
    let context = Context {
        stack: "web".to_owned(),
        ref_name: "main".to_owned(),
        commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        files: vec!["build.sh".to_owned()],
        config,
    };
    let steps = Script::plan(context).expect("a plan");
    let [BuildStep::Other(run), BuildStep::DockerBuild(build), ..] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(build.tags, ["web:main-0123456"]);
    let json = run.strip_prefix("run-in-container ").expect("the step's name");
    let text = build.extras.iter().find(|(name, _)| name == "dockerfile").expect("a Dockerfile").1.clone();
    (serde_json::from_str(json).expect("JSON"), text, steps.len())
}

fn pointers(config: &BuildConfig) -> Vec<String> {
    Script::validate(config).into_iter().map(|problem| problem.path).collect()
}

#[test]
fn outputs_are_the_only_thing_in_the_image_besides_the_runtime() {
    let options = r#"{"image":"node:22","commands":["npm ci","npm run build"],"outputs":["./dist/","a b/c*$"],
        "runtimeImage":"nginx:1","workingDirectory":"web"}"#;
    let (run, dockerfile, steps) = planned(config(options));
    assert_eq!(run.image.as_deref(), Some("node:22"));
    assert_eq!(run.commands, ["npm ci", "npm run build"]);
    assert_eq!((run.working_directory.as_str(), steps), ("web", 2));
    assert_eq!(run.outputs, ["dist", "a b/c*$"]);
    let expected = "FROM nginx:1\nWORKDIR /app\nCOPY [\"dist\",\"/app/dist\"]\n\
                    COPY [\"a b/c[*]\\\\$\",\"/app/a b/c*\\\\$\"]\n";
    assert_eq!(dockerfile, expected);
}

#[test]
fn without_outputs_everything_is_in_the_build_image_again() {
    let (run, dockerfile, _) = planned(config(r#"{"image":"alpine:3","commands":["make"]}"#));
    assert_eq!(run.outputs, ["."]);
    assert_eq!(dockerfile, "FROM alpine:3\nWORKDIR /app\nCOPY [\".\",\"/app\"]\n");
}

#[test]
fn commands_before_the_build_run_in_the_same_shell_and_those_after_it_in_the_image() {
    let config = BuildConfig {
        pre_build_commands: vec!["export A=1".to_owned()],
        post_build_commands: vec!["/app/x --version".to_owned()],
        ..config(r#"{"image":"alpine:3","commands":["make A=$A"]}"#)
    };
    let (run, _, steps) = planned(config);
    assert_eq!(run.commands, ["export A=1", "make A=$A"]);
    assert_eq!(steps, 3);
}

#[test]
fn what_is_missing_or_has_no_effect_is_said_where_it_is() {
    assert_eq!(pointers(&config("{}")), ["/options/commands"]);
    assert_eq!(pointers(&config(r#"{"commands":["make"]}"#)), ["/options/image"]);
    assert_eq!(pointers(&config(r#"{"image":"-x","commands":["make"]}"#)), ["/options/image"]);
    assert_eq!(pointers(&config(r#"{"image":"a","commands":[" "]}"#)), ["/options/commands/0"]);
    assert_eq!(
        pointers(&config(r#"{"image":"a","commands":["b"],"outputs":["ok","../x"],"workingDirectory":"/"}"#)),
        ["/options/workingDirectory", "/options/outputs/1"]
    );
    let options = r#"{"image":"a","commands":["b"],"runtimeImage":"c d"}"#;
    let wrong = BuildConfig {
        dockerfile_path: Some("Dockerfile".to_owned()),
        build_args: vec![("A".to_owned(), "1".to_owned())],
        ..config(options)
    };
    assert_eq!(pointers(&wrong), ["/dockerfilePath", "/buildArgs", "/options/runtimeImage"]);
}
