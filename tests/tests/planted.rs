//! A thousand secrets are planted wherever a person can put one. Then everything that the server shows or keeps is searched
//! for them in eight encodings, and the database as it would be copied without the key. The same search finds, in each of
//! these places, a text that is no secret: so it would have found one.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::BTreeSet;
use std::time::Duration;

use clap::CommandFactory as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use windlass::cli::Cli;
use windlass::store::{Db, DbConfig, sealed};
use windlass_tests::postgres;
use windlass_tests::search::Search;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::tools::{skipped, this_test};
use windlass_tests::world::World;

const STACKS: usize = 10;
const EACH: usize = 95;
const MASTER_KEY: &str = "7b1de0a94c5f5a9a1f0c2e8d6b3a49587b1de0a94c5f5a9a1f0c2e8d6b3a4958";
/// What is no secret, with characters that look different in each encoding.
const MARKER: &str = "marker/\"visible\"+one=";
const URL: &str = "https://git.example/team/app.git";

/// Unlike each other from the first character on, with characters that look different in each encoding.
fn secret(n: usize) -> String {
    format!("{:08x}/\"s3cr3t\"+{n}=\\", n.wrapping_mul(0x9e37_79b1) & 0xffff_ffff)
}

fn input(stack: usize) -> Value {
    let first = stack * EACH;
    let mut variables: Vec<Value> = (first..first + EACH)
        .map(|n| json!({ "name": format!("SECRET_{n}"), "value": secret(n), "secret": true }))
        .collect();
    variables.push(json!({ "name": "PLAIN", "value": MARKER, "secret": false }));
    let at = STACKS * EACH + stack * 3;
    json!({
        "name": format!("stack-{stack}"),
        "description": MARKER,
        "build": { "environmentVariables": variables, "autoDeployOnPush": true, "autoDeployBranches": ["main"] },
        "repository": {
            "url": URL, "provider": "github", "authType": "http_token",
            "credentials": { "token": secret(at), "passphrase": secret(at + 1) },
            "webhookSecret": secret(at + 2),
        },
    })
}

/// Everything that a person can put a secret in, also by mistake. Answers of a failure must not repeat it.
async fn plant(server: &TestServer, search: &Search) {
    let next = STACKS * (EACH + 3);
    for stack in 0..STACKS {
        let created = server.post("/api/v1/stacks", input(stack)).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let shown = server.put(&format!("/api/v1/stacks/stack-{stack}"), input(stack)).await;
        search.look("the answer to a change", shown.text.as_bytes());
        search.look("the answer to a change", text_of(&shown.json).as_bytes());
    }
    let provider = json!({
        "type": "jenkins", "name": "ci", "url": "http://127.0.0.1:9",
        "credentials": { "token": secret(0) }, "webhook_secret": secret(1),
    });
    let made = server.post("/api/v1/providers", provider).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let registry = json!({
        "name": "images", "address": "registry.example", "username": MARKER, "password": secret(2),
    });
    server.post("/api/v1/registries", registry).await.expect(201);
    let channel = json!({ "name": "chat", "plugin": "slack", "url": "https://127.0.0.1:9",
        "credentials": { "webhook": secret(2) } });
    server.post("/api/v1/teams/default/channels", channel).await.expect(201);
    let told = server.post("/api/v1/channels/1/test", json!({})).await.expect(200);
    search.look("a message that was not sent", text_of(&told).as_bytes());
    server.post("/api/v1/me/second-factor", json!({})).await.expect(201);
    let mistakes = [
        json!({ "name": "bad", "build": { "environmentVariables": [{ "name": "A", "value": "x", "secret": secret(next) }] } }),
        json!({ "name": "bad", "repository": { "url": URL, "credentials": secret(next + 1) } }),
        json!({ "name": "bad", "repository": { "url": format!("https://user:{}@git.example/app.git", hex(next + 2)) } }),
        json!({ "name": "bad", "run": secret(next + 3) }),
    ];
    for mistake in mistakes {
        let refused = server.post("/api/v1/stacks", mistake).await;
        assert_eq!(refused.status, 422, "{}", refused.text);
        search.look("a refusal", refused.text.as_bytes());
        search.look("a refusal", text_of(&refused.json).as_bytes());
    }
    for n in next + 4..next + 19 {
        let request = server.stranger(Method::POST, "/api/v1/tokens").bearer_auth(hex(n));
        let refused = request.send().await.unwrap().text().await.unwrap();
        search.look("a refusal", refused.as_bytes());
        let form = format!("token={}", hex(n));
        let request = server
            .stranger(Method::POST, "/login")
            .header("content-type", "application/x-www-form-urlencoded");
        search.look("a refused log-in", &request.body(form).send().await.unwrap().bytes().await.unwrap());
        let hook = server.stranger(Method::POST, "/v1/webhooks/github");
        let hook =
            hook.header("authorization", format!("Bearer {}", hex(n))).header("x-github-event", "push");
        hook.json(&json!({ "ref": MARKER })).send().await.unwrap();
    }
    server.post("/api/v1/secrets/rotate", json!({ "dataKeys": true })).await.expect(409);
}

/// As hexadecimal digits, which fit into headers and URLs.
fn hex(n: usize) -> String {
    secret(n).bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Every text in a document as it is, without JSON's escapes, also where it is a document itself.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ (Value::Array(_) | Value::Object(_))) => format!("{text}\n{}", text_of(&inner)),
            _ => format!("{text}\n"),
        },
        Value::Array(items) => items.iter().map(text_of).collect(),
        Value::Object(members) => members.values().map(text_of).collect(),
        _ => String::new(),
    }
}

/// What a query of an operation asks for.
const QUERIES: [(&str, &str); 3] = [("limit", "200"), ("q", "marker"), ("path", "no-such-file")];

/// A stream that says nothing for so long has said what there was.
const QUIET: Duration = Duration::from_millis(300);

/// Commands that only show something, by their last word.
const LOOKS: [&str; 20] = [
    "artifacts",
    "builds",
    "call",
    "calls",
    "diff",
    "events",
    "export",
    "history",
    "inspect",
    "invitations",
    "list",
    "logs",
    "me",
    "members",
    "overview",
    "plan",
    "repository",
    "show",
    "status",
    "verify",
];

/// Where there is something to see: every address that is only read and every command that only shows something, about the
/// first team's things and about those with secrets. They are found in the API's document, in the list of pages and in the
/// definition of the command line, so what is added there is searched as well.
struct Places {
    addresses: BTreeSet<String>,
    commands: BTreeSet<Vec<String>>,
}

impl Places {
    fn of(world: &World, planted: &[(&'static str, String)]) -> Self {
        let mut places = Self { addresses: BTreeSet::new(), commands: BTreeSet::new() };
        let document = serde_json::to_value(windlass::api::openapi()).unwrap();
        for things in [&[][..], planted] {
            for (path, operations) in document["paths"].as_object().unwrap() {
                if operations["get"].is_object() {
                    let address = format!("{}{}", world.path(path, things), query(&operations["get"]));
                    places.addresses.insert(address);
                }
            }
            let pages = windlass::web::PAGES.iter().filter(|(method, _, _)| *method == "GET");
            places.addresses.extend(pages.map(|(_, path, _)| world.path(path, things)));
            let mut open = vec![(Vec::new(), Cli::command())];
            while let Some((words, command)) = open.pop() {
                for inner in command.get_subcommands() {
                    open.push(([words.clone(), vec![inner.get_name().to_owned()]].concat(), inner.clone()));
                }
                if LOOKS.contains(&command.get_name()) && !command.has_subcommands() {
                    places.commands.insert(filled(world, things, words, &command));
                }
            }
        }
        assert!(places.addresses.len() > 150, "only {:?}", places.addresses);
        assert!(places.commands.len() > 50, "only {:?}", places.commands);
        places
    }
}

/// Where an operation takes them; what it cannot do without has to be known.
fn query(operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let mut pairs = Vec::new();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "query") {
        let name = parameter["name"].as_str().unwrap();
        match QUERIES.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => pairs.push(format!("{name}={value}")),
            None => assert_eq!(parameter["required"], false, "add `{name}` to QUERIES: {operation:#}"),
        }
    }
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The words of a command, with the things that its arguments name.
fn filled(
    world: &World,
    things: &[(&str, String)],
    mut words: Vec<String>,
    command: &clap::Command,
) -> Vec<String> {
    let noun = words[words.len().saturating_sub(2)].clone();
    for argument in command.get_positionals() {
        let named = argument.get_value_names().and_then(|names| names.first());
        let named = named.map_or_else(|| argument.get_id().to_string(), ToString::to_string).to_lowercase();
        let parameter = match (noun.as_str(), named.split('|').next().unwrap_or_default()) {
            // Of a repository, which nobody keeps here.
            (_, "path") => {
                words.push("no-such-file".into());
                continue;
            }
            ("job", "build") => "ci_build",
            ("job", "job") => "ci_job",
            ("webhook", "id") => "event",
            (noun, "name" | "id") => noun,
            (_, named) => named,
        };
        words.push(world.path(&format!("{{{parameter}}}"), things));
    }
    words
}

/// Looks at all places; how many of the addresses have answered with what was asked for.
async fn look_at_answers(server: &TestServer, search: &Search, places: &Places) -> usize {
    let mut shown = 0;
    for address in &places.addresses {
        // Of a stream, all there is.
        let request = server.stranger(Method::GET, address).bearer_auth(ADMIN_TOKEN);
        let response = request.header("last-event-id", "0").send().await.unwrap();
        let status = response.status();
        shown += usize::from(status.is_success());
        search.look(address, format!("{:?}", response.headers()).as_bytes());
        let body = body_of(response).await;
        assert_ne!(status.as_u16(), 500, "{address}: {}", String::from_utf8_lossy(&body));
        look_into_body(search, address, &body);
    }
    for words in &places.commands {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let said = tokio::task::block_in_place(|| server.cli(&words)).said();
        look_into_body(search, &format!("`{}`", words.join(" ")), said.as_bytes());
    }
    shown
}

/// A body as it is, as a browser shows it, and every text of the JSON documents that it is or that are its lines.
fn look_into_body(search: &Search, place: &str, body: &[u8]) {
    search.look(place, body);
    let text = String::from_utf8_lossy(body);
    search.look(place, unescaped(&text).as_bytes());
    let lines = text.lines().map(|line| line.trim_start_matches("data:"));
    for document in std::iter::once(&*text).chain(lines) {
        if let Ok(value) = serde_json::from_str(document.trim()) {
            search.look(place, text_of(&value).as_bytes());
        }
    }
}

fn unescaped(html: &str) -> String {
    const ESCAPES: [(&str, &str); 10] = [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    ESCAPES.iter().fold(html.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

async fn body_of(mut response: reqwest::Response) -> Vec<u8> {
    let kind = response.headers().get("content-type").cloned();
    let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let mut body = Vec::new();
    loop {
        let next = response.chunk();
        // What it begins with may take a while on a busy machine.
        let chunk = match is_stream {
            true if body.is_empty() => tokio::time::timeout(QUIET * 20, next).await.unwrap_or(Ok(None)),
            true => tokio::time::timeout(QUIET, next).await.unwrap_or(Ok(None)),
            false => next.await,
        };
        match chunk.unwrap() {
            Some(bytes) => body.extend_from_slice(&bytes),
            None => return body,
        }
    }
}

/// The things that were planted secrets in, by name of the parameter that means them.
async fn planted_things(server: &TestServer, event: String) -> Vec<(&'static str, String)> {
    let newest = async |path: &str| {
        let list = server.get(&format!("/api/v1/{path}")).await.expect(200);
        list["data"]["items"][0]["seq"].to_string()
    };
    // For everybody, so that no project has to be named.
    let model = json!({ "description": MARKER, "model": { "name": "planted" } });
    server.put("/api/v1/templates/planted", model).await.expect(200);
    vec![
        ("stack", "stack-3".into()),
        ("service", "stack-3".into()),
        ("project", "default".into()),
        ("team", "default".into()),
        ("deployment", newest("stacks/stack-3/deployments").await),
        ("event", event),
        ("template", "planted".into()),
        ("provider", "ci".into()),
        ("registry", "images".into()),
        ("channel", "1".into()),
        ("delivery", newest("channels/1/deliveries").await),
        ("user", "admin".into()),
    ]
}

/// Every column of every table as text, and which of them hold sealed texts.
async fn look_at_tables(url: &str, search: &Search) -> BTreeSet<String> {
    let db = Db::open(&DbConfig::new(url)).await.unwrap();
    let mut conn = db.read().await.unwrap();
    let columns = match db.engine() {
        "sqlite" => {
            "SELECT m.name AS t, c.name AS c FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        }
        _ => {
            "SELECT CAST(table_name AS TEXT) AS t, CAST(column_name AS TEXT) AS c FROM information_schema.columns \
             WHERE table_schema = 'public'"
        }
    };
    let columns = sqlx::query(columns).fetch_all(&mut *conn).await.unwrap();
    assert!(columns.len() > 100, "only {} columns were found", columns.len());
    let mut with_sealed = BTreeSet::new();
    for column in columns {
        let (table, column): (String, String) = (column.get("t"), column.get("c"));
        // SQLite would take bytes for text as they are; their hexadecimal digits are searched as well.
        let text = match db.engine() {
            "sqlite" => format!(
                "CASE typeof({column}) WHEN 'blob' THEN lower(hex({column})) ELSE CAST({column} AS TEXT) END"
            ),
            _ => format!("CAST({column} AS TEXT)"),
        };
        let sql = format!("SELECT {text} AS v FROM {table} WHERE {column} IS NOT NULL");
        for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *conn).await.unwrap() {
            let value: String = row.get("v");
            search.look("the database", value.as_bytes());
            search.look_into("the database", &value);
            if value.contains("x2:") {
                with_sealed.insert(format!("{table}.{column}"));
            }
        }
    }
    drop(conn);
    db.close().await;
    with_sealed
}

async fn nothing_shows_a_secret(database: Option<String>) {
    let search = Search::default();
    let planted: Vec<String> = (0..1000).map(secret).chain([MASTER_KEY.into()]).collect();
    search.plant(&planted.iter().map(String::as_str).collect::<Vec<_>>());
    let mut variables = vec![("WINDLASS_MASTER_KEY", MASTER_KEY), ("WINDLASS_LOG", "debug,hyper=info")];
    let global = secret(999);
    variables.push(("WEBHOOK_SECRET", &global));
    if let Some(url) = &database {
        variables.push(("WINDLASS_DATABASE_URL", url));
    }
    let server = TestServer::start_with(&variables).await;
    plant(&server, &search).await;
    let mut world = World::on(server).await;
    let server = &world.server;
    let hook = secret(STACKS * EACH + 3 * 3 + 2);
    let path = server.get("/api/v1/stacks/stack-3").await.json["data"]["gitRepository"]["webhookUrl"].clone();
    let path = path.as_str().unwrap();
    let path = &path[path.find("/api/").unwrap()..];
    let event = server.push_webhook(path, &hook, URL, "main", &"a".repeat(40)).await;
    assert_eq!(server.wait_webhook(&event).await["reason"], "deployed");

    let things = planted_things(server, event).await;
    let places = Places::of(&world, &things);
    let shown = look_at_answers(&world.server, &search, &places).await;
    println!("{shown} of {} addresses and {} commands", places.addresses.len(), places.commands.len());
    assert!(shown * 4 > places.addresses.len() * 3, "only {shown} of {:#?} exist", places.addresses);
    let server = &mut world.server;
    server.terminate();
    tokio::task::block_in_place(|| server.wait());
    let url =
        database.clone().unwrap_or_else(|| format!("sqlite:{}", server.data().join("windlass.db").display()));
    let with_sealed = look_at_tables(&url, &search).await;
    search.look("the log", &std::fs::read(server.server_log()).unwrap());
    search.look_below("a file", server.folder.path());
    assert_eq!(search.found(), Vec::<String>::new());

    // Whoever adds a column with sealed texts adds it to the list, or a rotation would pass it by.
    let known: BTreeSet<String> = sealed::PLACES.iter().map(|place| place.name.to_owned()).collect();
    assert!(with_sealed.is_subset(&known), "{with_sealed:?} is more than {known:?}");
    assert!(with_sealed.len() >= 8, "{with_sealed:?}");

    // What is no secret is found in the same places by the same search.
    search.plant(&[MARKER]);
    server.launch(&[]).await.unwrap();
    look_at_answers(server, &search, &places).await;
    look_at_tables(&url, &search).await;
    let found = search.found().join("\n");
    let mut visible = vec![
        "/api/v1/stacks/stack-3",
        "/api/v1/audit/export",
        "/stacks/stack-3/edit",
        "`audit export`",
        "the database",
    ];
    if database.is_none() {
        search.look_below("a file", server.folder.path());
        assert!(search.found().join("\n").contains("a file"));
    }
    visible.retain(|place| !found.lines().any(|line| line.ends_with(&format!(" in {place}"))));
    assert!(visible.is_empty(), "the marker is not found in {visible:?}, only:\n{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_shows_a_secret_on_sqlite() {
    nothing_shows_a_secret(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_shows_a_secret_on_postgres() {
    let created = tokio::task::spawn_blocking(|| {
        postgres::shared().map_err(str::to_owned).and_then(postgres::Postgres::database)
    });
    match created.await.unwrap() {
        Ok(url) => nothing_shows_a_secret(Some(url)).await,
        Err(why) => skipped(&this_test(), &format!("there is no PostgreSQL to test with: {why}")),
    }
}
