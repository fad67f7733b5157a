//! What each address answers.

#![allow(clippy::result_large_err, reason = "a refusal is the whole response")]

use axum::body::Body;
use axum::response::Response;
use serde_json::{Value, json};

use super::call::Call;
use super::tree::filtered;
use super::world::{Build, Definition, Item, Waiting, World};
use super::{CRUMB, SESSION, plain};

const FOLDER: &str = "com.cloudbees.hudson.plugins.folder.Folder";
const PIPELINE: &str = "org.jenkinsci.plugins.workflow.job.WorkflowJob";
const STARTED: u64 = 1_461_091_892_486;
const DURATION: u64 = 60_750;

pub fn answer(world: &mut World, call: &Call) -> Response {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    match (call.method.as_str(), path.as_slice()) {
        ("GET", []) => plain(200, "Welcome to Jenkins!"),
        ("GET", ["api", "json"]) => json_of(
            call,
            json!({
                "_class": "hudson.model.Hudson", "mode": "NORMAL", "nodeDescription": "the Jenkins controller's built-in node",
                "quietingDown": false, "numExecutors": 2,
            }),
        ),
        ("GET", ["me", "api", "json"]) => json_of(
            call,
            json!({
                "_class": "hudson.model.User", "absoluteUrl": format!("{}/user/admin", world.url), "description": null,
                "fullName": "Administrator", "id": "admin",
            }),
        ),
        ("GET", ["crumbIssuer", "api", "json"]) if world.crumbs => {
            let mut response = json_of(
                call,
                json!({
                    "_class": "hudson.security.csrf.DefaultCrumbIssuer", "crumb": CRUMB, "crumbRequestField": "Jenkins-Crumb",
                }),
            );
            let cookie = format!("{SESSION}; Path=/; HttpOnly").parse().expect("a cookie");
            response.headers_mut().insert("set-cookie", cookie);
            response
        }
        ("GET", ["queue", "api", "json"]) => {
            let waits = |item: &&Waiting| item.executable.is_none() && !item.cancelled;
            let items: Vec<Value> =
                world.queue.iter().filter(waits).map(|item| waiting(world, item)).collect();
            json_of(call, json!({ "_class": "hudson.model.Queue", "items": items }))
        }
        ("GET", ["queue", "item", id, "api", "json"]) => {
            match world.queue.iter().find(|item| item.id.to_string() == **id) {
                Some(item) => json_of(call, waiting(world, item)),
                None => plain(404, "Not Found"),
            }
        }
        ("POST", ["queue", "cancelItem"]) => {
            let id = call.query("id").unwrap_or_default();
            let found =
                world.queue.iter_mut().find(|item| item.id.to_string() == id && item.executable.is_none());
            found.into_iter().for_each(|item| item.cancelled = true);
            // It leads on to a page that does not exist (JENKINS-21311).
            found_at(&format!("{}/queue/", world.url))
        }
        (_, ["createItem"]) => create(world, call, ""),
        (_, ["job", ..]) => below(world, call, &path),
        _ => plain(404, "Not Found"),
    }
}

/// Follows `/job/a/job/b` to an item, and hands on what comes behind.
fn below(world: &mut World, call: &Call, path: &[&str]) -> Response {
    let depth = path.chunks(2).take_while(|pair| matches!(pair, ["job", _])).count();
    let (names, rest) = path.split_at(depth * 2);
    let name = names.chunks(2).map(|pair| pair[1]).collect::<Vec<_>>().join("/");
    let Some(item) = world.items.get_mut(&name) else {
        return plain(404, "Not Found");
    };
    match (call.method.as_str(), rest) {
        ("GET", []) => plain(200, &name),
        ("GET", ["api", "json"]) => {
            let whole = call.query("tree").is_some();
            json_of(call, described(&world.url, &name, &world.items[&name], whole))
        }
        ("POST", ["createItem"]) if item.is_folder => create(world, call, &name),
        ("GET", ["config.xml"]) => text(200, "application/xml", item.config.clone()),
        ("POST", ["config.xml"]) => match read_config(call) {
            Ok(new) if new.class == item.class => {
                *item = Item { builds: std::mem::take(&mut item.builds), ..new };
                text(200, "text/plain", String::new())
            }
            Ok(_) => plain(500, "Expecting another class of item"),
            Err(refusal) => refusal,
        },
        ("DELETE", []) | ("POST", ["doDelete"]) => {
            let inside = format!("{name}/");
            world.items.retain(|other, _| *other != name && !other.starts_with(&inside));
            if call.method == "DELETE" {
                text(204, "text/plain", String::new())
            } else {
                found_at(&format!("{}/", world.url))
            }
        }
        ("POST", ["build" | "buildWithParameters"]) => start(world, call, &name, rest[0]),
        ("GET", ["build" | "buildWithParameters"]) => {
            let mut response = plain(405, "This URL requires POST");
            response.headers_mut().insert("allow", "POST".parse().expect("a method"));
            response
        }
        (_, [number, rest @ ..]) => {
            let here = format!("{}/{number}/", address(&world.url, &name));
            match item.builds.iter_mut().find(|build| build.number.to_string() == **number) {
                Some(build) => of_build(call, build, rest, &here),
                None => plain(404, "Not Found"),
            }
        }
        _ => plain(404, "Not Found"),
    }
}

fn of_build(call: &Call, build: &mut Build, rest: &[&str], here: &str) -> Response {
    match (call.method.as_str(), rest) {
        ("GET", []) => plain(200, &format!("#{}", build.number)),
        ("GET", ["api", "json"]) => json_of(call, built(build, here)),
        ("GET", ["logText", "progressiveText"]) => progressive(call, build),
        ("GET", ["consoleText"]) => {
            let log = build.log.clone().unwrap_or_default();
            text(200, "text/plain", String::from_utf8_lossy(&log).into_owned())
        }
        ("GET", ["artifact", file @ ..]) => match build.artifacts.get(&file.join("/")) {
            Some(bytes) => text(200, "application/octet-stream", bytes.clone()),
            None => plain(404, "Not Found"),
        },
        ("POST", ["stop" | "term" | "kill"]) => {
            let how = ["stop", "term", "kill"].iter().position(|word| *word == rest[0]).unwrap_or_default();
            if build.building {
                build.stop(how);
            }
            found_at(here)
        }
        _ => plain(404, "Not Found"),
    }
}

/// While a build runs, only whole lines come; `start` behind the end begins again.
fn progressive(call: &Call, build: &Build) -> Response {
    let log = build.log.as_deref().unwrap_or_default();
    let whole = if build.building {
        log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    } else {
        log.len()
    };
    let start = call.query("start").and_then(|start| start.parse().ok()).unwrap_or(0usize);
    let start = if start > whole { 0 } else { start };
    let mut response = text(200, "text/plain;charset=UTF-8", log[start..whole].to_vec());
    response.headers_mut().insert("x-text-size", whole.into());
    if build.building || build.log.is_none() {
        response.headers_mut().insert("x-more-data", "true".parse().expect("a word"));
    }
    response
}

fn create(world: &mut World, call: &Call, folder: &str) -> Response {
    let name = call.query("name").unwrap_or_default().to_owned();
    if call.method != "POST" || name.is_empty() || name.contains(['/', '?', '*', '%']) {
        return refused("is an unsafe name");
    }
    let full = if folder.is_empty() { name } else { format!("{folder}/{name}") };
    if world.items.contains_key(&full) {
        return refused(&format!("A job already exists with the name ‘{full}’"));
    }
    match read_config(call) {
        Ok(item) => {
            world.items.insert(full, item);
            text(200, "text/plain", String::new())
        }
        Err(refusal) => refusal,
    }
}

fn refused(words: &str) -> Response {
    let mut response = plain(400, words);
    let ascii: String = words.chars().filter(char::is_ascii).collect();
    response.headers_mut().insert("x-error", ascii.parse().expect("a header"));
    response
}

/// An item as its `config.xml` has it; Jenkins takes it only with its type.
fn read_config(call: &Call) -> Result<Item, Response> {
    if !call.header("content-type").contains("xml") {
        return Err(refused("No Content-Type header set"));
    }
    let config = String::from_utf8(call.body.to_vec()).map_err(|_| plain(500, "no UTF-8"))?;
    let document = roxmltree::Document::parse(&config).map_err(|error| plain(500, &error.to_string()))?;
    let class = match document.root_element().tag_name().name() {
        "flow-definition" => PIPELINE,
        "project" => "hudson.model.FreeStyleProject",
        FOLDER => FOLDER,
        other => return Err(plain(500, &format!("{other} is no item"))),
    };
    let child = |node: roxmltree::Node, name: &str| {
        node.children()
            .find(|child| child.has_tag_name(name))
            .and_then(|child| child.text())
            .unwrap_or_default()
            .to_owned()
    };
    let definitions = document.descendants().filter(|node| node.has_tag_name("parameterDefinitions"));
    let parameters =
        definitions.flat_map(|node| node.children().filter(|child| child.is_element())).map(|node| {
            let strings = node.descendants().filter(|inner| inner.has_tag_name("string"));
            Definition {
                name: child(node, "name"),
                kind: node.tag_name().name().rsplit('.').next().unwrap_or_default().to_owned(),
                default: child(node, "defaultValue"),
                choices: strings.filter_map(|inner| inner.text().map(str::to_owned)).collect(),
            }
        });
    Ok(Item {
        is_folder: class == FOLDER,
        class: class.to_owned(),
        disabled: child(document.root_element(), "disabled") == "true",
        parameters: parameters.collect(),
        config: config.clone(),
        builds: Vec::new(),
    })
}

/// Parameters that the job does not define are dropped without a word (SECURITY-170).
fn start(world: &mut World, call: &Call, name: &str, verb: &str) -> Response {
    let item = &world.items[name];
    if item.is_folder {
        return plain(404, "Not Found");
    }
    if item.disabled {
        return plain(409, &format!("{name} is not buildable"));
    }
    if (verb == "build") != item.parameters.is_empty() {
        return if verb == "build" {
            plain(400, "Nothing is submitted")
        } else {
            plain(500, "java.lang.IllegalStateException")
        };
    }
    let fields = call.fields();
    let value = |definition: &Definition| {
        let sent = fields.iter().find(|(field, _)| *field == definition.name).map(|(_, value)| value.clone());
        (definition.name.clone(), sent.unwrap_or_else(|| definition.default.clone()))
    };
    let parameters = item.parameters.iter().map(value).collect();
    let id = world.enqueue(name, parameters);
    Response::builder()
        .status(201)
        .header("location", format!("{}/queue/item/{id}/", world.url))
        .body(Body::empty())
        .expect("a response")
}

fn address(url: &str, name: &str) -> String {
    let encoded = |name: &str| name.replace(' ', "%20");
    format!("{url}{}", name.split('/').map(|name| format!("/job/{}", encoded(name))).collect::<String>())
}

fn described(url: &str, name: &str, item: &Item, whole: bool) -> Value {
    let here = format!("{}/", address(url, name));
    let short = name.rsplit('/').next().unwrap_or_default();
    if item.is_folder {
        return json!({ "_class": FOLDER, "name": short, "fullName": name, "url": here, "jobs": [] });
    }
    let builds: Vec<Value> = item
        .builds
        .iter()
        .rev()
        .map(|build| {
            let url = format!("{here}{}/", build.number);
            if whole { built(build, &url) } else { json!({ "number": build.number, "url": url }) }
        })
        .collect();
    let color = match item.builds.last() {
        _ if item.disabled => "disabled",
        Some(build) if build.building => "notbuilt_anime",
        Some(build) if build.result.as_deref() == Some("SUCCESS") => "blue",
        Some(_) => "red",
        None => "notbuilt",
    };
    let definitions: Vec<Value> = item
        .parameters
        .iter()
        .map(|definition| {
            let mut told = json!({
                "defaultParameterValue": { "value": definition.default }, "description": "", "name": definition.name,
                "type": definition.kind,
            });
            if definition.kind == "ChoiceParameterDefinition" {
                told["choices"] = json!(definition.choices);
            }
            told
        })
        .collect();
    json!({
        "_class": item.class, "actions": [{}, { "parameterDefinitions": definitions }], "description": "",
        "displayName": short, "displayNameOrNull": null, "name": short, "url": here, "buildable": !item.disabled,
        "lastBuild": builds.first(), "builds": builds, "color": color, "inQueue": false, "keepDependencies": false,
    })
}

fn parameters(all: &[(String, String)]) -> Value {
    let all = all.iter().map(|(name, value)| json!({ "_class": "hudson.model.StringParameterValue", "name": name, "value": value }));
    json!({ "_class": "hudson.model.ParametersAction", "parameters": all.collect::<Vec<_>>() })
}

fn built(build: &Build, here: &str) -> Value {
    let artifact = |path: &String| {
        let file = path.rsplit('/').next().unwrap_or_default();
        json!({ "displayPath": file, "fileName": file, "relativePath": path })
    };
    json!({
        "_class": "org.jenkinsci.plugins.workflow.job.WorkflowRun",
        "actions": [parameters(&build.parameters), {}, { "_class": "jenkins.metrics.impl.TimeInQueueAction" }],
        "artifacts": build.artifacts.keys().map(artifact).collect::<Vec<_>>(), "building": build.building,
        "description": null, "displayName": format!("#{}", build.number),
        "duration": if build.building { 0 } else { DURATION }, "estimatedDuration": DURATION, "executor": null,
        "id": build.number.to_string(), "keepLog": false, "number": build.number, "queueId": build.queue_id,
        "result": build.result, "timestamp": STARTED, "url": here,
    })
}

fn waiting(world: &World, item: &Waiting) -> Value {
    let here = address(&world.url, &item.job);
    let mut told = json!({
        "actions": [parameters(&item.parameters)], "blocked": false, "buildable": false, "id": item.id,
        "inQueueSince": STARTED, "params": "", "stuck": false, "url": format!("queue/item/{}/", item.id),
        "task": { "_class": PIPELINE, "name": item.job, "url": format!("{here}/"), "color": "blue" },
    });
    let left = item.cancelled || item.executable.is_some();
    told["_class"] =
        json!(if left { "hudson.model.Queue$LeftItem" } else { "hudson.model.Queue$BlockedItem" });
    if left {
        told["why"] = Value::Null;
        told["cancelled"] = json!(item.cancelled);
        told["executable"] = item.executable.map_or(Value::Null, |number| {
            let class = "org.jenkinsci.plugins.workflow.job.WorkflowRun";
            json!({ "_class": class, "number": number, "url": format!("{here}/{number}/") })
        });
    } else {
        told["blocked"] = json!(true);
        told["why"] = json!("Waiting for next available executor");
    }
    told
}

fn json_of(call: &Call, value: Value) -> Response {
    let value = call.query("tree").map_or_else(|| value.clone(), |tree| filtered(&value, tree));
    text(200, "application/json;charset=utf-8", value.to_string())
}

fn text(status: u16, kind: &str, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header("content-type", kind).body(body.into()).expect("a response")
}

fn found_at(place: &str) -> Response {
    Response::builder().status(302).header("location", place).body(Body::empty()).expect("a response")
}
