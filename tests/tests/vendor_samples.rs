//! Every payload that GitHub and GitLab publish as a sample is read, or put aside by name. The samples are read in place; see
//! `windlass_tests::vendors::tools`.

use std::path::Path;

use bytes::Bytes;
use windlass::domain::ci::{CiEvent, CiStatus};
use windlass::domain::webhook::ForgeEvent;
use windlass_tests::vendors::bench::Bench;
use windlass_tests::vendors::tools::contract;

type Headers = Vec<(String, String)>;

/// Name and text of each sample, sorted.
fn samples(folder: &Path) -> Vec<(String, Bytes)> {
    let entries = std::fs::read_dir(folder).expect("the samples are a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let json = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let mut all: Vec<(String, Bytes)> = json
        .map(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a sample").into())
        })
        .collect();
    all.sort();
    all
}

fn headers(event: (&str, &str), kind: &str) -> Headers {
    [event, ("content-type", kind)].map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// As GitHub sends it where a hook is set to forms.
fn form(body: &[u8]) -> Bytes {
    let encoded: String = body.iter().map(|byte| format!("%{byte:02X}")).collect();
    format!("payload={encoded}").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_github_is_understood_as_json_and_as_a_form() {
    let test = "every_sample_of_github_is_understood_as_json_and_as_a_form";
    let Some(folder) = contract("github/webhooks", test) else { return };
    let plugins = Bench::start().await.plugins;
    let (mut pushes, mut builds) = (0, 0);
    let samples = samples(&folder);
    for (name, body) in &samples {
        let event = name.split('.').next().unwrap_or_default();
        let json = headers(("x-github-event", event), "application/json");
        let forge = plugins.forge_parse("github", json.clone(), body.clone()).await.expect(name);
        let as_form = headers(("x-github-event", event), "application/x-www-form-urlencoded");
        let same = plugins.forge_parse("github", as_form, form(body)).await.expect(name);
        assert_eq!(format!("{forge:?}"), format!("{same:?}"), "{name}");
        match (event, forge) {
            ("push", ForgeEvent::Push(push)) => pushes += push.changes.len(),
            ("ping", ForgeEvent::Ping) => {}
            (event, ForgeEvent::Unsupported(said)) if said == event && event != "push" => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
        match (event, plugins.provider_parse("github", json, body.clone()).await.expect(name)) {
            ("workflow_run", CiEvent::Builds(found)) => {
                assert!(
                    found.iter().all(|(_, build)| build.status != CiStatus::Unknown),
                    "{name}: {found:?}"
                );
                builds += 1;
            }
            ("ping", CiEvent::Ping) => {}
            (event, CiEvent::Unsupported(said)) if said == event && event != "workflow_run" => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
    }
    assert!(samples.len() > 60 && pushes >= 7 && builds >= 5, "{} {pushes} {builds}", samples.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_gitlab_is_understood() {
    let test = "every_sample_of_gitlab_is_understood";
    let Some(folder) = contract("gitlab/webhooks", test) else { return };
    let plugins = Bench::start().await.plugins;
    let mut seen = 0;
    for (name, body) in samples(&folder) {
        let event = match name.as_str() {
            "push" => "Push Hook",
            "tag_push" => "Tag Push Hook",
            "pipeline" => "Pipeline Hook",
            "job" | "build" => "Job Hook",
            "deployment" => "Deployment Hook",
            "release" => "Release Hook",
            other => panic!("{other} is new; please say here how GitLab names it"),
        };
        let sent = headers(("x-gitlab-event", event), "application/json");
        match (event, plugins.forge_parse("gitlab", sent.clone(), body.clone()).await.expect(&name)) {
            ("Push Hook" | "Tag Push Hook", ForgeEvent::Push(push)) => assert_eq!(push.changes.len(), 1),
            (event, ForgeEvent::Unsupported(said)) if said == event && !event.contains("Push") => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
        match (event, plugins.provider_parse("gitlab", sent, body).await.expect(&name)) {
            ("Pipeline Hook", CiEvent::Builds(found)) => {
                assert_eq!(
                    (found[0].0.as_str(), found[0].1.status),
                    ("gitlab-org/gitlab-test", CiStatus::Success)
                );
            }
            (event, CiEvent::Unsupported(said)) if said == event && event != "Pipeline Hook" => {}
            (_, other) => panic!("{name}: {other:?}"),
        }
        seen += 1;
    }
    assert!(seen >= 7, "{seen}");
}
