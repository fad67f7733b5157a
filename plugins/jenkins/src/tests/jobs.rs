//! Making and deleting jobs.

use windlass_sdk::http::Error;
use windlass_sdk::provider::{Parameter, Provider};

use super::{advice, connection, ok, scripted, spec, status, with_headers, with_settings};
use crate::Jenkins;
use crate::config::{self, KEY};
use crate::path::{BuildRef, JobPath};
use crate::settings;

const PIPELINE: &str =
    r#"{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","color":"blue","buildable":true}"#;

/// The text of the only element of that name.
fn text_of(xml: &str, element: &str) -> String {
    let document = roxmltree::Document::parse(xml).unwrap_or_else(|error| panic!("{error}: {xml}"));
    let found: Vec<_> = document.descendants().filter(|node| node.has_tag_name(element)).collect();
    assert_eq!(found.len(), 1, "{element} in {xml}");
    assert!(found[0].children().all(|child| child.is_text()), "markup in {element}: {xml}");
    found[0].text().unwrap_or_default().to_owned()
}

#[test]
fn no_text_can_leave_its_element() {
    for hostile in [
        "</script><evil/>",
        "]]><evil/>",
        "<!-- a --> & &amp; &#10; \" '",
        "node { sh \"echo 'a' && b < c > d\" }\r\nline two\n\ttab",
        "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>&e;",
        "ünïcödé 🚀 \u{FFFD}",
        "  blanks at both ends  ",
    ] {
        let mut spec = spec("app", None, hostile);
        spec.description = hostile.to_owned();
        let settings = settings::read(&connection()).expect("settings");
        let xml = config::job(&settings, &spec, false).expect("it can be written");
        assert_eq!(text_of(&xml, "script"), hostile);
        // The parameters have descriptions as well.
        spec.parameters.push(Parameter {
            name: "A".to_owned(),
            default: hostile.to_owned(),
            description: String::new(),
        });
        let xml = config::job(&settings, &spec, false).expect("it can be written");
        let document = roxmltree::Document::parse(&xml).expect("it is well-formed");
        let of = |name: &str| {
            document
                .descendants()
                .find(|node| node.has_tag_name(name))
                .and_then(|node| node.text())
                .unwrap_or_default()
        };
        assert_eq!((of("description"), of("defaultValue")), (hostile, hostile));
        assert!(!xml.contains("<evil"), "{xml}");
    }
}

#[test]
fn what_xml_cannot_hold_is_refused_with_its_place() {
    for bad in ["a\0b", "\u{1b}[31m", "\u{FFFE}"] {
        let work = || Jenkins::create_job(connection(), spec("app", None, bad));
        let (answer, requests) = scripted(Vec::new(), work);
        let failure = answer.expect_err("it is no XML");
        assert_eq!(failure.code, "invalid-job");
        assert!(
            failure.message.contains("Jenkinsfile") && failure.message.contains("U+"),
            "{}",
            failure.message
        );
        assert!(requests.is_empty());
    }
}

#[test]
fn a_job_from_the_repository_names_file_branch_and_credentials() {
    let settings = settings::read(&with_settings(
        r#"{"pipeline_from":"repository","repository_credentials":"deploy-key"}"#,
    ))
    .expect("settings");
    let mut spec = spec("app", None, "");
    spec.pipeline[0].path = "ci/Jenkinsfile".to_owned();
    let xml = config::job(&settings, &spec, true).expect("it can be written");
    assert_eq!(text_of(&xml, "scriptPath"), "ci/Jenkinsfile");
    assert_eq!(text_of(&xml, "url"), "https://git.example/team/app.git");
    assert_eq!(text_of(&xml, "credentialsId"), "deploy-key");
    assert_eq!(text_of(&xml, "disabled"), "true");
    assert!(
        xml.contains("<name>${BRANCH}</name>") && xml.contains("<defaultValue>main</defaultValue>"),
        "{xml}"
    );
    for bad in ["ext::sh -c id", "--upload-pack=id", "-oProxyCommand=id@host:x", "file:///etc", "a@b::c"] {
        spec.repository_url = bad.to_owned();
        assert_eq!(config::job(&settings, &spec, false).expect_err(bad).code, "invalid-job");
    }
    spec.repository_url = "git@git.example:team/app.git".to_owned();
    assert!(config::job(&settings, &spec, false).is_ok());
    for bad in ["../x", "/etc/x", "a//b", "a/./b", ""] {
        spec.pipeline[0].path = bad.to_owned();
        assert_eq!(config::job(&settings, &spec, false).expect_err(bad).code, "invalid-job");
    }
}

#[test]
fn only_a_script_that_asks_for_the_branch_gets_the_parameter() {
    let settings = settings::read(&connection()).expect("settings");
    let with =
        |script: &str| config::job(&settings, &spec("app", None, script), false).expect("it can be written");
    assert!(with("git branch: params.BRANCH").contains("<name>BRANCH</name>"));
    let without = with("echo 'hi'");
    assert!(!without.contains("<name>BRANCH</name>") && without.contains(&format!("<name>{KEY}</name>")));
}

#[test]
fn a_job_in_folders_makes_those_that_lack() {
    let lines = vec![
        ("GET /job/team%20a/job/b/job/app/api/json", status(404, "")),
        ("GET /job/team%20a/api/json", ok(r#"{"_class":"com.cloudbees.hudson.plugins.folder.Folder"}"#)),
        ("GET /job/team%20a/job/b/api/json", status(404, "")),
        ("POST /job/team%20a/createItem?name=b", ok("")),
        ("POST /job/team%20a/job/b/createItem?name=app", ok("")),
        ("GET /job/team%20a/job/b/job/app/api/json", ok(PIPELINE)),
    ];
    let (job, requests) =
        scripted(lines, || Jenkins::create_job(connection(), spec("app", Some("/team a/b/"), "node {}")));
    let job = job.expect("it is made");
    assert_eq!((job.id.as_str(), job.name.as_str(), job.buildable), ("team a/b/app", "app", true));
    for at in [3, 4] {
        assert_eq!(
            requests[at].headers,
            [("content-type".to_owned(), "application/xml; charset=utf-8".to_owned())]
        );
    }
    assert!(String::from_utf8_lossy(&requests[3].body).contains("folder.Folder>"));
}

#[test]
fn a_job_that_is_there_is_changed_and_stays_disabled() {
    let disabled = PIPELINE.replace("blue", "disabled").replace("true", "false");
    let lines = vec![
        ("GET /job/app/api/json", ok(&disabled)),
        ("POST /job/app/config.xml", ok("")),
        ("GET /job/app/api/json", ok(&disabled)),
    ];
    let (job, requests) = scripted(lines, || Jenkins::create_job(connection(), spec("app", None, "node {}")));
    assert!(!job.expect("it is changed").buildable);
    assert_eq!(text_of(&String::from_utf8_lossy(&requests[1].body), "disabled"), "true");
}

#[test]
fn something_else_of_that_name_is_not_overwritten() {
    for other in [
        r#"{"_class":"hudson.model.FreeStyleProject","color":"blue","buildable":true}"#,
        r#"{"_class":"com.cloudbees.hudson.plugins.folder.Folder"}"#,
    ] {
        let lines = vec![("GET /job/app/api/json", ok(other))];
        let (answer, _) = scripted(lines, || Jenkins::create_job(connection(), spec("app", None, "node {}")));
        let failure = answer.expect_err("there is something else");
        assert_eq!((failure.code.as_str(), failure.request_sent), ("invalid-job", false));
        assert!(failure.message.contains("another name"), "{}", failure.message);
    }
}

#[test]
fn a_job_that_somebody_made_meanwhile_is_changed() {
    let lines = vec![
        ("GET /job/app/api/json", status(404, "")),
        (
            "POST /createItem?name=app",
            with_headers(400, "", &[("x-error", "A job already exists with the name app")]),
        ),
        ("GET /job/app/api/json", ok(PIPELINE)),
        ("POST /job/app/config.xml", ok("")),
        ("GET /job/app/api/json", ok(PIPELINE)),
    ];
    let (job, _) = scripted(lines, || Jenkins::create_job(connection(), spec("app", None, "node {}")));
    assert_eq!(job.expect("it is changed").id, "app");
}

#[test]
fn a_refusal_says_in_jenkins_words_why_and_that_nothing_happened() {
    let page = "<html><body><h1>Error</h1><p>No such <b>property</b>: nope</p></body></html>";
    let lines = vec![
        ("GET /job/app/api/json", status(404, "")),
        ("POST /createItem?name=app", status(400, page)),
        ("GET /job/app/api/json", status(404, "")),
    ];
    let (answer, _) = scripted(lines, || Jenkins::create_job(connection(), spec("app", None, "node {}")));
    let failure = answer.expect_err("it is refused");
    assert_eq!(
        (failure.code.as_str(), advice(&failure), failure.request_sent),
        ("invalid-job", "permanent", false)
    );
    assert!(failure.message.contains("Error No such property : nope"), "{}", failure.message);
}

#[test]
fn the_right_that_lacks_is_named() {
    let lines = vec![
        ("GET /job/app/api/json", status(404, "")),
        (
            "POST /createItem?name=app",
            with_headers(403, "", &[("x-required-permission", "hudson.model.Item.Create")]),
        ),
    ];
    let (answer, _) = scripted(lines, || Jenkins::create_job(connection(), spec("app", None, "node {}")));
    let failure = answer.expect_err("it is refused");
    assert_eq!(advice(&failure), "auth-required");
    assert!(failure.message.contains("hudson.model.Item.Create"), "{}", failure.message);
}

#[test]
fn once_a_folder_was_made_a_failure_says_that_something_happened() {
    let lines = vec![
        ("GET /job/f/job/app/api/json", status(404, "")),
        ("GET /job/f/api/json", status(404, "")),
        ("POST /createItem?name=f", ok("")),
        ("POST /job/f/createItem?name=app", status(403, "")),
    ];
    let (answer, _) =
        scripted(lines, || Jenkins::create_job(connection(), spec("app", Some("f"), "node {}")));
    let failure = answer.expect_err("it is refused");
    assert_eq!((advice(&failure), failure.request_sent), ("auth-required", true));
}

#[test]
fn names_that_jenkins_does_not_take_are_refused_before_any_request() {
    for (folder, name) in [
        (None, "a/b"),
        (None, ""),
        (None, "a%"),
        (None, ".."),
        (None, "a\nb"),
        (Some("x/a?"), "b"),
        (None, " a"),
    ] {
        let failure = JobPath::new(folder, name).expect_err(name);
        assert_eq!(failure.code, "invalid-job");
    }
    assert_eq!(JobPath::new(Some("a/b/c/d/e/f/g/h/i"), "j").expect_err("too deep").code, "invalid-job");
    for id in ["", "a//b", "../a", "a/.."] {
        assert_eq!(JobPath::of(id).expect_err(id).code, "no-such-job");
    }
    for id in ["", "x", "-1", "queue-", "queue-x", "7/../8"] {
        assert_eq!(BuildRef::of(id).expect_err(id).code, "no-such-build");
    }
}

#[test]
fn a_job_that_is_not_there_is_deleted_already() {
    for answer in [status(204, ""), status(404, "")] {
        let (deleted, _) =
            scripted(vec![("DELETE /job/a/job/b/", answer)], || Jenkins::delete_job(connection(), "a/b"));
        assert_eq!(deleted, Ok(()));
    }
    let lines = vec![("DELETE /job/a/", Err(Error::Timeout))];
    let (answer, _) = scripted(lines, || Jenkins::delete_job(connection(), "a"));
    let failure = answer.expect_err("nobody knows");
    assert_eq!((advice(&failure), failure.request_sent), ("retry", true));
}

#[test]
fn what_is_not_jenkins_is_told_apart() {
    let (answer, _) = scripted(vec![("GET /api/json", ok("{}"))], || Jenkins::test_connection(connection()));
    assert_eq!(answer.expect_err("it is another server").code, "not-jenkins");
    let lines = vec![
        ("GET /api/json", with_headers(200, r#"{"quietingDown":true}"#, &[("x-jenkins", "2.516.3")])),
        ("GET /me/api/json", ok(r#"{"id":"deployer","fullName":"The Deployer"}"#)),
    ];
    let (account, _) = scripted(lines, || Jenkins::test_connection(connection()));
    let account = account.expect("it is Jenkins");
    assert_eq!((account.name.as_str(), account.server_version.as_str()), ("deployer", "2.516.3"));
    assert!(account.extras.contains(&("quieting-down".to_owned(), "true".to_owned())));
}

#[test]
fn the_credential_that_was_entered_is_the_one_that_goes() {
    let empty = |slot: &str| {
        Err(Error::Denied(format!("the connection has no secret for the slot `{slot}`. Please enter one")))
    };
    let lines = vec![("DELETE /job/a/", empty("token")), ("DELETE /job/a/", status(204, ""))];
    let (_, requests) = scripted(lines, || Jenkins::delete_job(connection(), "a"));
    assert_eq!(requests[0].credential.as_deref(), Some("token"));
    assert_eq!(requests[1].credential.as_deref(), Some("basic"));
    let lines = vec![("DELETE /job/a/", empty("token")), ("DELETE /job/a/", empty("basic"))];
    let (answer, _) = scripted(lines, || Jenkins::delete_job(connection(), "a"));
    let failure = answer.expect_err("there is none");
    assert_eq!(
        (failure.code.as_str(), advice(&failure), failure.request_sent),
        ("no-credential", "auth-required", false)
    );
}
