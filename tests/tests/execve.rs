//! Whatever people write into names, URLs, paths and commits, no program is ever started with it among its arguments: the
//! kernel's own account of every execve(2) of the server and its children.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use windlass_tests::compose;
use windlass_tests::fixture::Fixture;
use windlass_tests::git_server::{File, Sshd};
use windlass_tests::machine::Machine;
use windlass_tests::tools::{skipped, this_test};

/// In every payload, and nowhere else.
const MARK: &str = "pwnd-mark";

const PAYLOADS: &[&str] = &[
    "; touch pwnd-mark",
    "$(touch pwnd-mark)",
    "`touch pwnd-mark`",
    "--upload-pack=pwnd-mark",
    "-oProxyCommand=pwnd-mark",
    "' || touch pwnd-mark || '",
    "\"\ntouch pwnd-mark\n\"",
    "a|touch${IFS}pwnd-mark&",
    "../../pwnd-mark",
];

/// Every text that a stack has, as a JSON pointer into the request that makes it.
const FIELDS: &[&str] = &[
    "/name",
    "/project",
    "/description",
    "/target",
    "/strategy",
    "/repository/url",
    "/repository/branch",
    "/repository/provider",
    "/repository/webhookSecret",
    "/repository/credentials/token",
    "/build/contextPath",
    "/build/dockerfilePath",
    "/build/composePath",
    "/build/target",
    "/build/healthCheckPath",
    "/build/buildArgs/0/name",
    "/build/buildArgs/0/value",
    "/build/environmentVariables/0/name",
    "/build/environmentVariables/0/value",
    "/build/preBuildCommands/0",
    "/build/autoDeployBranches/0",
    "/build/autoDeployTags/0",
    "/build/autoDeployPaths/0",
    "/run/service",
    "/run/exclusive",
    "/run/command/0",
    "/run/volumes/0/volume",
    "/run/volumes/0/path",
    "/run/ports/0/address",
    "/traffic/hosts/0",
    "/traffic/path",
];

/// The account of what a process and its children execute.
struct Trace {
    strace: Child,
    file: tempfile::NamedTempFile,
}

impl Trace {
    /// None, with the reason, where no process may be traced.
    fn of(process: u32) -> Result<Self, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut strace = Command::new("strace")
            .args(["-f", "-e", "trace=execve,execveat", "-e", "abbrev=none", "-s", "65536", "-o"])
            .arg(file.path())
            .args(["-p", &process.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("strace does not run ({error}); scripts/setup-test.sh brings it"))?;
        let mut said = String::new();
        let mut lines = BufReader::new(strace.stderr.take().unwrap());
        while !said.contains(" attached") {
            if lines.read_line(&mut said).unwrap() == 0 {
                let _ = strace.wait();
                return Err(format!("strace may not trace here: {said}"));
            }
        }
        // It goes on telling of new processes, and must not wait for somebody who reads that.
        std::thread::spawn(move || lines.lines().for_each(drop));
        Ok(Self { strace, file })
    }

    /// The arguments of every program that was started, the program's path first.
    fn end(mut self) -> Vec<Vec<String>> {
        let id = self.strace.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.strace.wait().unwrap();
        let text = std::fs::read_to_string(self.file.path()).unwrap();
        text.lines().filter_map(executed).collect()
    }
}

/// `1234 execve("/bin/a", ["a", "b"], ["HOME=/"]) = 0`: the path, and what is in the first list.
fn executed(line: &str) -> Option<Vec<String>> {
    let (_, call) = line.split_once("execve")?;
    let (mut strings, mut text) = (Vec::new(), None::<String>);
    let mut characters = call.chars();
    while let Some(character) = characters.next() {
        match (&mut text, character) {
            (None, '"') => text = Some(String::new()),
            (None, ']') => break,
            (None, _) => {}
            (Some(_), '"') => strings.extend(text.take()),
            (Some(text), '\\') => {
                text.push('\\');
                text.extend(characters.next());
            }
            (Some(text), other) => text.push(other),
        }
    }
    // `<... execve resumed>) = 0`: two programs were started at a time, and the arguments are in an earlier line.
    (!strings.is_empty()).then_some(strings)
}

/// A stack that is fine but for one field.
fn stack(number: usize, url: &str, field: &str, payload: &str) -> Value {
    let mut input = json!({
        "name": format!("stack-{number}"), "project": "default", "description": "", "target": null, "strategy": "standard",
        "repository": {
            "url": url, "branch": "main", "provider": "github", "webhookSecret": "secret-secret-secret", "authType": "http_token",
            "credentials": { "token": "token" },
        },
        "build": {
            "healthCheckTimeout": 1, "timeout": 30,
            "buildArgs": [{ "name": "A", "value": "b" }],
            "environmentVariables": [{ "name": "B", "value": "c" }],
            "autoDeployBranches": ["main"], "autoDeployTags": ["v*"], "autoDeployPaths": ["**"],
        },
        "run": {
            "stopTimeoutSecs": 1,
            "ports": [{ "container": 8080, "address": "127.0.0.1" }],
        },
        "traffic": {},
    });
    if field.starts_with("/run/volumes") {
        input["run"]["volumes"] = json!([{ "volume": format!("execve-{number}"), "path": "/data" }]);
    }
    put(&mut input, field, payload.into());
    input
}

/// Puts a value at a pointer, making what leads there.
fn put(value: &mut Value, pointer: &str, new: Value) {
    let (head, rest) = pointer[1..].split_once('/').unwrap_or((&pointer[1..], ""));
    let next = match head.parse::<usize>() {
        Ok(index) => {
            if !value.is_array() {
                *value = json!([]);
            }
            let items = value.as_array_mut().unwrap();
            items.resize(items.len().max(index + 1), Value::Null);
            &mut items[index]
        }
        Err(_) => {
            if !value.is_object() {
                *value = json!({});
            }
            &mut value[head]
        }
    };
    match rest {
        "" => *next = new,
        rest => put(next, &format!("/{rest}"), new),
    }
}

#[test]
fn an_account_is_read_with_its_quotes() {
    let line = r#"7 execve("/bin/a", ["a", "b \"c], [\""], ["HOME=/"]) = 0"#;
    assert_eq!(executed(line).unwrap(), ["/bin/a", "a", r#"b \"c], [\""#]);
    assert_eq!(executed("7 +++ exited with 0 +++"), None);
    assert_eq!(executed(r#"7 execve("/bin/a", ["a"], [] <unfinished ...>"#).unwrap(), ["/bin/a", "a"]);
    assert_eq!(executed("7 <... execve resumed>) = 0"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_program_is_started_with_an_argument_that_a_stranger_chose() {
    let mut fixture = Fixture::start_with(false, &[("JOB_WORKERS", "6")], compose::stack()).await;
    compose::with_file(&mut fixture, compose::FILE);
    let trace = match Trace::of(fixture.server.pid()) {
        Ok(trace) => trace,
        Err(why) => return skipped(&this_test(), &why),
    };
    // What does run programs, with payloads wherever they are taken.
    fixture
        .edit(|input| {
            input["description"] = PAYLOADS[1].into();
            input["build"]["environmentVariables"] =
                json!([{ "name": "GREETING", "value": PAYLOADS.concat(), "secret": true }]);
        })
        .await;
    for payload in PAYLOADS {
        let branch = payload.replace([' ', '\n'], "-").replace("..", "-").replace("/", "");
        let files = [File { path: "a", mode: "100644", content: b"a" }];
        if !branch.starts_with('-') {
            fixture.repo.commit_files(&branch, &files, payload);
        }
        let request = json!({ "gitRef": payload, "reason": payload });
        fixture.server.post("/api/v1/stacks/web/deploy", request).await;
    }
    let (_, deployment) = fixture.deploy(&format!("one {}", PAYLOADS[1])).await;
    assert_eq!(deployment["status"], "successful", "{}", fixture.explain(&deployment).await);

    let url = fixture.git.url("app");
    let (mut taken, mut refused, mut under_way) = (0, 0, Vec::new());
    for (number, field) in FIELDS.iter().enumerate() {
        for (variant, payload) in PAYLOADS.iter().enumerate() {
            let answer = fixture
                .server
                .post("/api/v1/stacks", stack(number * PAYLOADS.len() + variant, &url, field, payload))
                .await;
            if answer.status != 201 {
                assert!(answer.status < 500, "{field} {payload:?}: {}", answer.text);
                refused += 1;
                continue;
            }
            taken += 1;
            // Each field goes all the way with one payload.
            if variant == number % PAYLOADS.len() {
                let id = answer.json["data"]["stack"]["id"].as_str().unwrap();
                let begun = fixture.server.post(&format!("/api/v1/stacks/{id}/deploy"), json!({})).await;
                under_way.extend(begun.json["data"]["seq"].as_i64());
            }
        }
    }
    assert!(refused > 50 && taken > 20 && under_way.len() > 5, "{refused}, {taken}, {under_way:?}");
    for number in under_way {
        fixture.server.wait_deployment(&number.to_string()).await;
    }
    let with_ssh = targets(&fixture).await;
    let started = trace.end();
    let of = |name: &str| started.iter().filter(|one| Path::new(&one[0]).ends_with(name)).count();
    assert!(of("docker") > 0, "the trace saw nothing of compose: {started:?}");
    assert!(!with_ssh || of("ssh") > 0, "the trace saw nothing of ssh: {started:?}");
    let chosen: Vec<_> = started.iter().filter(|one| one.iter().any(|text| text.contains(MARK))).collect();
    assert!(chosen.is_empty(), "{chosen:#?}");
}

/// Machines that are reached by a program. False where none can be had.
async fn targets(fixture: &Fixture) -> bool {
    let (Some(machine), Some(sshd)) = (Machine::shared().await, Sshd::start()) else { return false };
    let good = json!({
        "name": "attic", "address": sshd.address(&machine.socket()), "routeAddress": machine.address.to_string(),
        "credentials": { "key": sshd.client_key() },
    });
    fixture.server.post("/api/v1/targets", good.clone()).await.expect(201);
    fixture.server.post("/api/v1/targets/attic/test", json!({})).await.expect(200);
    for payload in PAYLOADS {
        for address in [
            format!("ssh://{payload}@127.0.0.1"),
            format!("ssh://ada@{payload}"),
            format!("ssh://ada@a/{payload}"),
        ] {
            let mut hostile = good.clone();
            (hostile["name"], hostile["address"]) = ("cellar".into(), address.clone().into());
            let answer = fixture.server.post("/api/v1/targets", hostile).await;
            assert!(answer.status == 422 || answer.status == 400, "{address}: {}", answer.text);
        }
    }
    true
}
