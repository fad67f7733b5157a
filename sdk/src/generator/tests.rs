use serde_json::json;

use super::{Model, Parameter, Repository, Script, Shell, Steps, check, variables, yaml};

fn parameter(name: &str, value: &str) -> Parameter {
    Parameter { name: name.to_owned(), value: value.to_owned() }
}

fn model() -> Model {
    Model {
        name: "nightly".to_owned(),
        description: String::new(),
        repository: Repository { url: "https://forge.example/a.git".to_owned(), branch: "main".to_owned() },
        environments: Vec::new(),
        hosts: Vec::new(),
        scripts: vec![Script { path: "test.sh".to_owned(), parameters: Vec::new() }],
        parameters: Vec::new(),
        report_url: None,
        template: None,
        settings: String::new(),
        extras: Vec::new(),
    }
}

#[test]
fn a_script_is_never_an_option_nor_found_elsewhere() {
    let shell = Shell::default();
    assert_eq!(shell.path("deploy.sh"), "./deploy.sh");
    assert_eq!(shell.path("-x/y"), "./-x/y");
    assert_eq!(shell.path("a/b c"), "'a/b c'");
}

#[test]
fn what_cannot_be_seen_is_written_as_numbers() {
    assert_eq!(Shell::default().word("a\u{202e}b\r"), r"$'a\xe2\x80\xaeb\x0d'");
    assert_eq!(yaml::scalar("a\u{2028}b\u{85}"), "\"a\\u2028b\\u0085\"");
    assert_eq!(yaml::comment("a\rb\u{2028}c\n\nd"), "# abc\n#\n# d\n");
}

#[test]
fn texts_that_yaml_reads_as_something_else_are_quoted() {
    for word in [
        "yes", "NULL", "1.0", "0x1f", "~", "", "a: b", "a #b", "- a", "&a", "*a", "!!str a", "<<", "@a", "a ",
    ] {
        assert_ne!(yaml::scalar(word), word, "{word:?} is plain");
    }
    for word in
        ["main", "cimg/base:current", "${{ inputs.X }}", "<< pipeline.id >>", "a, b", "https://x.example/a"]
    {
        assert_eq!(yaml::scalar(word), word);
    }
}

#[test]
fn lists_in_lists_and_empty_ones_keep_their_shape() {
    let value = json!({ "a": [{ "b": [1, 2], "c": {} }, [3], "x\ny"], "d": [] });
    assert_eq!(
        yaml::block(&value),
        "a:\n  - b:\n      - 1\n      - 2\n    c: {}\n  - - 3\n  - |-\n    x\n    y\nd: []\n"
    );
}

#[test]
fn a_parameter_of_the_script_comes_before_the_environments() {
    let environment = [parameter("A", "1"), parameter("B", "2")];
    let script = Script { path: "x.sh".to_owned(), parameters: vec![parameter("A", "3")] };
    let values: Vec<&str> = variables(&environment, &script).iter().map(|one| one.value.as_str()).collect();
    assert_eq!(values, ["3", "2"]);
}

#[test]
fn a_command_sets_what_it_is_given_and_runs_the_script() {
    let script = Script { path: "a b.sh".to_owned(), parameters: vec![parameter("A", "it's")] };
    let exports: Vec<&Parameter> = script.parameters.iter().collect();
    let steps = Steps::default();
    assert_eq!(steps.here(&script, &exports), "export A='it'\\''s'\nbash './a b.sh'\n");
    assert!(
        steps
            .there(&script, &[], &["A"], "ssh x")
            .starts_with("{ declare -p A; cat './a b.sh'; } |\n  ssh x ")
    );
}

#[test]
fn every_problem_is_told_with_its_place() {
    let mut wrong = model();
    wrong.scripts = vec![
        Script { path: "../x".to_owned(), parameters: vec![parameter("PATH", "a\0")] },
        Script { path: "x".to_owned(), parameters: vec![parameter("WINDLASS_X", "")] },
    ];
    wrong.report_url = Some("ftp://x".to_owned());
    wrong.repository.branch = "--upload-pack=x".to_owned();
    let places: Vec<String> = check::problems(&wrong).into_iter().map(|one| one.path).collect();
    assert_eq!(
        places,
        [
            "/scripts/0/path",
            "/scripts/0/parameters/0/name",
            "/scripts/0/parameters/0/value",
            "/scripts/1/parameters/0/name",
            "/report_url",
            "/repository/branch",
        ]
    );
    assert!(check::problems(&model()).is_empty());
}

#[test]
fn identifiers_differ_whatever_the_names_are() {
    let found = check::identifiers(["a.b", "a-b", "1", "report"], &["report"]);
    assert_eq!(found, ["a-b", "a-b-2", "run-1", "report-2"]);
}
