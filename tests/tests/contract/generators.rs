//! Pipeline generators, and a component of two kinds.

use serde_json::{Value, json};
use windlass::domain::pipeline::{
    Environment, Parameter, PipelineHost, PipelineModel, PipelineRepository, Script,
};
use windlass::domain::plugin::PluginKind;
use windlass::error::{Error, PluginErrorKind};
use windlass_tests::components;

use super::{code, invalid, plugins};

fn model() -> PipelineModel {
    let host = |name: &str, address: &str, environment: &str| PipelineHost {
        name: name.into(),
        address: address.into(),
        environment: environment.into(),
    };
    let environment =
        |name: &str| Environment { name: name.into(), variables: Vec::new(), approval: name == "prod" };
    PipelineModel {
        name: "shop".into(),
        repository: PipelineRepository {
            url: "https://forge.example/shop.git".into(),
            branch: "main".into(),
        },
        environments: vec![environment("test"), environment("prod")],
        hosts: vec![
            host("t", "10.0.0.1", "test"),
            host("a", "10.0.1.1", "prod"),
            host("b", "10.0.1.2", "prod"),
        ],
        scripts: vec![Script {
            path: "deploy.sh".into(),
            parameters: vec![Parameter { name: "TITLE".into(), value: "it's; rm -rf /".into() }],
        }],
        ..PipelineModel::default()
    }
}

#[tokio::test]
async fn a_component_may_be_of_two_kinds() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let info = plugins.inspect("lines").expect("it is listed").info.expect("it is loaded");
    assert_eq!(info.kinds, [PluginKind::PipelineGenerator, PluginKind::Notifier]);
    assert_eq!(info.manifest.kinds, ["pipeline-generator", "notifier"]);
    assert_eq!(info.abilities, []);
}

#[tokio::test]
async fn a_generator_makes_files_of_a_model() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let settings = json!({ "shell": "bash" });
    assert_eq!(plugins.generator_validate("lines", &model(), &settings).await.expect("an answer"), []);
    let files = plugins.generator_generate("lines", &model(), &settings).await.expect("files");
    let paths: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.executable)).collect();
    assert_eq!(paths, [("pipeline.sh", true), ("pipeline.txt", false)]);
    let lines: Vec<&str> = files[0].content.lines().collect();
    assert_eq!(
        lines,
        [
            "#!/usr/bin/env bash",
            "# test",
            r"on 10.0.0.1 ./deploy.sh 'it'\''s; rm -rf /'",
            "# prod",
            r"on 10.0.1.1 ./deploy.sh 'it'\''s; rm -rf /'",
            r"on 10.0.1.2 ./deploy.sh 'it'\''s; rm -rf /'",
        ]
    );
}

#[tokio::test]
async fn a_model_is_checked_by_the_host_the_schema_and_the_plugin_in_this_order() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    let problems = async |model: &PipelineModel, settings: Value| {
        let problems = plugins.generator_validate("lines", model, &settings).await.expect("an answer");
        problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
    };
    let no_scripts = PipelineModel { scripts: Vec::new(), ..model() };
    assert_eq!(problems(&no_scripts, json!({})).await, ["/scripts"]);
    assert_eq!(problems(&no_scripts, json!({ "shell": "fish" })).await, ["/settings/shell"]);
    let mut strange = no_scripts.clone();
    strange.hosts[0].environment = "moon".into();
    assert_eq!(problems(&strange, json!({ "shell": "fish" })).await, ["/hosts/0/environment"]);

    let error = plugins.generator_generate("lines", &no_scripts, &json!({})).await.expect_err("no scripts");
    match error {
        Error::Plugin(error) => assert!(
            matches!(&error.kind, PluginErrorKind::Failure { code, .. } if code == "invalid-model"),
            "{error}"
        ),
        other => panic!("{other:?}"),
    }
    let error = plugins.generator_generate("lines", &model(), &json!({ "shell": "fish" })).await;
    let (field, message) = invalid(error.expect_err("the schema forbids it"));
    assert_eq!(field, "settings/shell");
    assert!(message.contains("`lines`") && message.contains("fish"), "{message}");
}

#[tokio::test]
async fn files_out_of_place_are_nonsense() {
    let (_folder, plugins) = plugins(&[("lines", components::LINES)]).await;
    for (path, message) in
        [("../evil", "`../evil`"), ("/etc/cron.d/x", "relative path"), ("./pipeline.txt", "twice")]
    {
        let model = PipelineModel { template: Some(path.into()), ..model() };
        let said = code(plugins.generator_generate("lines", &model, &json!({})).await);
        assert!(said.contains("makes no sense") && said.contains(message), "{said}");
    }
}
