//! A thousand secrets are planted wherever a person can put one. Then everything that the server shows or keeps is searched
//! for them in eight encodings, and the database as it would be copied without the key. The same search finds, in each of
//! these places, a text that is no secret: so it would have found one.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use windlass::store::{Db, DbConfig, sealed};
use windlass_tests::postgres;
use windlass_tests::search::Search;
use windlass_tests::server::TestServer;
use windlass_tests::tools::{skipped, this_test};

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

/// Every text in a document as it is, without JSON's escapes.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(items) => items.iter().map(text_of).collect(),
        Value::Object(members) => members.values().map(text_of).collect(),
        _ => String::new(),
    }
}

const ANSWERS: &[&str] = &[
    "/api/v1/stacks",
    "/api/v1/stacks/stack-3",
    "/api/v1/stacks/stack-3/deployments",
    "/api/v1/deployments",
    "/api/v1/webhooks",
    "/api/v1/webhooks/1",
    "/api/v1/plugins",
    "/api/v1/plugins/calls?limit=200",
    "/api/v1/plugins/calls/cassette",
    "/api/v1/tokens",
    "/api/v1/registries",
    "/api/v1/secrets",
    "/api/v1/audit?limit=200",
    "/api/v1/audit/export",
    "/metrics",
    "/readyz",
    "/",
    "/stacks/stack-3",
    "/stacks/stack-3/edit",
    "/stacks/stack-3/plan",
    "/deployments",
    "/webhooks",
    "/plugins/calls",
    "/audit",
    "/backups",
    "/security",
    "/tokens",
    "/status",
];

async fn look_at_answers(server: &TestServer, search: &Search) {
    for path in ANSWERS {
        let answer = server.get(path).await;
        assert!(answer.status < 500, "{path}: {}", answer.text);
        search.look(path, answer.text.as_bytes());
        search.look(path, text_of(&answer.json).as_bytes());
    }
    for words in [["stack", "show", "stack-3"], ["audit", "list", "--limit=200"], ["webhook", "show", "1"]] {
        search.look("the command line", server.cli(&words).said().as_bytes());
    }
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
    let mut server = TestServer::start_with(&variables).await;
    plant(&server, &search).await;
    let hook = secret(STACKS * EACH + 3 * 3 + 2);
    let path = server.get("/api/v1/stacks/stack-3").await.json["data"]["gitRepository"]["webhookUrl"].clone();
    let path = path.as_str().unwrap();
    let path = &path[path.find("/api/").unwrap()..];
    let event = server.push_webhook(path, &hook, URL, "main", &"a".repeat(40)).await;
    assert_eq!(server.wait_webhook(&event).await["reason"], "deployed");

    look_at_answers(&server, &search).await;
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
    look_at_answers(&server, &search).await;
    look_at_tables(&url, &search).await;
    let found = search.found().join("\n");
    let mut visible =
        vec!["/api/v1/stacks/stack-3", "/api/v1/audit?limit=200", "the command line", "the database"];
    if database.is_none() {
        search.look_below("a file", server.folder.path());
        assert!(search.found().join("\n").contains("a file"));
    }
    visible.retain(|place| !found.contains(&format!("in {place}")));
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
