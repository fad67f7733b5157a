//! Backups, driven from outside: a server that is gone comes back on another machine, and half of it never does.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use age::secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use windlass::domain::backup::{Backup, BackupStatus};
use windlass::store::{Db, DbConfig, backups, new_id, now};
use windlass_tests::browser::Browser;
use windlass_tests::cli::{NOBODY, Run, command, run};
use windlass_tests::database::soon;
use windlass_tests::server::TestServer;
use windlass_tests::{postgres, tools};

const URL: &str = "https://git.example/team/app.git";
const PASSWORD: &str = "correct horse battery staple";

/// A pair of keys: the public one, and the file with the other.
struct Key {
    public: String,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Key {
    fn new() -> Self {
        let (identity, folder) = (age::x25519::Identity::generate(), tempfile::tempdir().unwrap());
        let (public, file) = (identity.to_public().to_string(), folder.path().join("key.txt"));
        std::fs::write(&file, format!("# of a test\n{}\n", identity.to_string().expose_secret())).unwrap();
        Self { public, file, _folder: folder }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The command line on a machine where no server answers, with these settings.
fn alone(words: &[&str], data: &Path, database: &str) -> Run {
    let mut command = command(NOBODY, "", words);
    command.env("WINDLASS_DATA_DIR", data);
    if !database.is_empty() {
        command.env("WINDLASS_DATABASE_URL", database);
    }
    run(command)
}

fn stack(name: &str, description: &str) -> Value {
    json!({
        "name": name, "description": description,
        "build": {
            "autoDeployOnPush": true, "autoDeployBranches": ["main"],
            "environmentVariables": [{ "name": "KEY", "value": "planted-secret", "secret": true }],
        },
        "repository": { "url": URL, "provider": "github" },
    })
}

/// The newest backup's file, once the server says that it is made.
fn backed_up(server: &TestServer) -> PathBuf {
    let made = server.cli(&["backup", "-o", "json"]).expect(0).json();
    assert_eq!((&made["status"], &made["recipients"]), (&json!("successful"), &json!(1)), "{made}");
    server.data().join("backups").join(made["name"].as_str().unwrap())
}

/// An empty PostgreSQL database, if there is a PostgreSQL.
fn postgres() -> Option<String> {
    match postgres::shared().map_err(str::to_owned).and_then(postgres::Postgres::database) {
        Ok(url) => Some(url),
        Err(why) => {
            tools::skipped(&tools::this_test(), &format!("there is no PostgreSQL to test with: {why}"));
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_sqlite_comes_back_on_postgresql() {
    if let Some(url) = postgres() {
        moves("", &url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_postgresql_comes_back_on_sqlite() {
    if let Some(url) = postgres() {
        moves(&url, "").await;
    }
}

async fn moves(from: &str, to: &str) {
    let key = Key::new();
    let mut old = TestServer::start_with(&[
        ("WINDLASS_DATABASE_URL", from),
        ("WINDLASS_BACKUP_RECIPIENTS", &key.public),
    ])
    .await;
    let (webhook, secret) = old.create_stack(stack("web", "before")).await;
    old.post("/api/v1/users", json!({ "name": "ada", "password": PASSWORD })).await.expect(201);
    let token = old.cli(&["token", "create", "robot"]).expect(0).out.trim().to_owned();
    std::fs::create_dir_all(old.data().join("git")).unwrap();
    std::fs::write(old.data().join("git/known_hosts"), "git.example ssh-ed25519 AAAA\n").unwrap();
    let (old, stop) = (&mut old, Arc::new(AtomicBool::new(false)));
    let writing = async |old: &TestServer| {
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            old.put("/api/v1/stacks/web", stack("web", &format!("change {written}"))).await.expect(200);
            written += 1;
        }
        written
    };
    let command = old.command(&["backup", "-o", "json"]);
    let backing = async {
        let done = tokio::task::spawn_blocking(move || run(command)).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        done
    };
    let (written, made) = tokio::join!(writing(old), backing);
    assert!(written > 0, "nobody wrote meanwhile");
    let made = made.expect(0).json();
    let file = old.data().join("backups").join(made["name"].as_str().unwrap());
    assert_eq!(std::fs::metadata(&file).unwrap().len(), made["bytes"].as_u64().unwrap());
    assert_holds_no_secret(&file, &[&secret, &token, &master_key(old), "planted-secret", "change"]);
    let asked = old.get("/api/v1/audit?action=backup_create").await.text;
    assert!(asked.contains("backup_create\""), "{asked}");
    let last = old.get("/api/v1/audit?limit=50").await.text;
    assert!(last.contains("\"what\":\"backup\""), "{last}");
    let instance = old.instance();
    old.kill();

    let new = TestServer::start_on(&[("WINDLASS_DATABASE_URL", to)], |data| {
        let words = ["restore", text(&file), "--identity", text(&key.file)];
        alone(&words, data, to).expect(0);
    })
    .await;
    assert_eq!(new.instance(), instance);
    assert_eq!(
        std::fs::read_to_string(new.data().join("git/known_hosts")).unwrap(),
        "git.example ssh-ed25519 AAAA\n"
    );
    // The administrator's own token, one that was made, and a password.
    assert_eq!(new.get("/api/v1/stacks/web").await.expect(200)["data"]["name"], "web");
    let asked =
        new.stranger(reqwest::Method::GET, "/api/v1/stacks").bearer_auth(&token).send().await.unwrap();
    assert_eq!(asked.status().as_u16(), 200);
    let credentials = json!({ "name": "ada", "password": PASSWORD });
    let login =
        new.stranger(reqwest::Method::POST, "/api/v1/sessions").json(&credentials).send().await.unwrap();
    assert_eq!(login.status().as_u16(), 201);
    // The webhook's secret opens, or its signature could not be right.
    let event = new.push_webhook(&webhook, &secret, URL, "elsewhere", &"a".repeat(40)).await;
    assert_eq!(new.wait_webhook(&event).await["reason"], "branch_mismatch");
    assert_eq!(new.get("/api/v1/audit/verify").await.expect(200)["data"]["intact"], true);
    let keys = new.get("/api/v1/secrets").await.expect(200);
    assert_eq!(keys["data"]["keys"][0]["known"], true, "{keys}");
    // Its own backup is no open one.
    let all = new.get("/api/v1/backups").await.expect(200);
    assert_eq!(
        (&all["data"]["items"][0]["status"], &all["data"]["enabled"]),
        (&json!("successful"), &json!(false))
    );
}

fn master_key(server: &TestServer) -> String {
    std::fs::read_to_string(server.data().join("secret.key")).unwrap().trim().to_owned()
}

fn assert_holds_no_secret(file: &Path, secrets: &[&str]) {
    let bytes = std::fs::read(file).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    for secret in secrets {
        assert!(
            !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
            "{secret} is in the file"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_has_another_key_is_refused_and_nothing_stays() {
    let key = Key::new();
    let server = TestServer::start_with(&[("WINDLASS_BACKUP_RECIPIENTS", &key.public)]).await;
    server.create_stack(stack("web", "")).await;
    let (file, folder) = (backed_up(&server), tempfile::tempdir().unwrap());
    let (whole, data) = (std::fs::read(&file).unwrap(), folder.path().join("data"));
    let broken = folder.path().join("broken.age");
    let bytes = |damage: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(&broken, bytes).unwrap();
        let refused = alone(&["restore", text(&broken), "--identity", text(&key.file)], &data, "").expect(1);
        assert!(refused.err.contains("backup"), "{refused:#?}");
        assert!(!data.exists(), "something was begun");
    };
    for part in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        bytes(&|bytes| bytes.truncate(part));
    }
    for place in [60, whole.len() / 2, whole.len() - 1] {
        bytes(&|bytes| bytes[place] ^= 1);
    }
    bytes(&|bytes| bytes.push(0));
    let other = Key::new();
    let refused = alone(&["restore", text(&file), "--identity", text(&other.file)], &data, "").expect(1);
    assert!(refused.err.contains("does not open"), "{refused:#?}");
    assert!(!data.exists());
    alone(&["restore", text(&file), "--identity", text(&key.file)], &data, "").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_empty_is_left_alone_and_what_is_unfinished_does_not_start() {
    let key = Key::new();
    let mut server = TestServer::start_with(&[("WINDLASS_BACKUP_RECIPIENTS", &key.public)]).await;
    let (file, before) = (backed_up(&server), master_key(&server));
    let words = ["restore", text(&file), "--identity", text(&key.file)];
    let refused = alone(&words, &server.data(), "").expect(1);
    assert!(refused.err.contains("not empty"), "{refused:#?}");
    assert_eq!(master_key(&server), before);
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", server.data().join("windlass.db").display());
    let refused = alone(&words, &folder.path().join("data"), &database).expect(1);
    assert!(refused.err.contains("the database is not empty"), "{refused:#?}");
    assert_eq!(
        std::fs::read_dir(folder.path().join("data")).unwrap().count(),
        0,
        "what was begun is still there"
    );

    server.kill();
    std::fs::write(server.data().join("restore-unfinished"), "").unwrap();
    let why = server.launch(&[]).await.unwrap_err();
    assert!(why.contains("did not come to its end"), "{why}");
    std::fs::remove_file(server.data().join("restore-unfinished")).unwrap();
    server.launch(&[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_for_somebody_or_not_at_all() {
    let server = TestServer::start().await;
    let refused = server.post("/api/v1/backups", json!({})).await.expect(409);
    assert!(refused["error"].as_str().unwrap().contains("backup.recipients"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let (to, words) = (folder.path().join("x.age"), folder.path().join("words"));
    let refused = alone(&["backup", "--to", text(&to)], &server.data(), "").expect(1);
    assert!(refused.err.contains("age1"), "{refused:#?}");
    let wrong = ["backup", "--to", text(&to), "--recipient", "age1nonsense"];
    assert!(alone(&wrong, &server.data(), "").expect(1).err.contains("no public key"));
    std::fs::write(&words, "short").unwrap();
    let passphrase = ["backup", "--to", text(&to), "--passphrase-file", text(&words)];
    assert!(alone(&passphrase, &server.data(), "").expect(1).err.contains("12 characters"));
    assert!(!to.exists());

    // Beside the running server, with words instead of keys.
    std::fs::write(&words, "long enough to be one\n").unwrap();
    alone(&passphrase, &server.data(), "").expect(0);
    assert!(alone(&passphrase, &server.data(), "").expect(1).err.contains("not overwritten"));
    let entries = server.get("/api/v1/audit?action=backup_here").await.expect(200);
    assert_eq!(entries["data"]["items"][0]["subject"], text(&to), "{entries}");
    assert_eq!(server.get("/api/v1/audit/verify").await.expect(200)["data"]["intact"], true);
    let data = folder.path().join("data");
    let restore = ["restore", text(&to), "--passphrase-file", text(&words)];
    alone(&restore, &data, "").expect(0);
    assert_eq!(
        std::fs::read_to_string(data.join("secret.key")).unwrap().trim(),
        format!("1:{}", master_key(&server))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_seen_and_old_files_go() {
    let (key, folder) = (Key::new(), tempfile::tempdir().unwrap());
    let (place, config) = (folder.path().join("place"), folder.path().join("windlass.toml"));
    std::fs::write(&place, "a file where the folder should be").unwrap();
    std::fs::write(&config, "[backup]\nkeep = 2\n").unwrap();
    let server = TestServer::start_with(&[
        ("WINDLASS_BACKUP_RECIPIENTS", &key.public),
        ("WINDLASS_BACKUP_FOLDER", text(&place)),
        ("WINDLASS_CONFIG", text(&config)),
    ])
    .await;
    let failed = server.cli(&["backup"]).expect(1);
    assert!(failed.err.contains("backup.folder"), "{failed:#?}");
    let check = async || {
        let overview = server.get("/api/v1/overview").await.expect(200);
        let checks = overview["data"]["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "backup").unwrap()
    };
    let failing = check().await;
    assert_eq!(failing["verdict"], "fail", "{failing}");
    assert!(server.get("/metrics").await.text.contains("windlass_backup_failing 1"));
    let mut doctor = server.command(&["doctor"]);
    doctor.env("WINDLASS_LISTEN", server.url.trim_start_matches("http://"));
    doctor.env("WINDLASS_DATA_DIR", server.data());
    let told = run(doctor);
    assert!(told.out.contains("the last one failed"), "{told:#?}");

    std::fs::remove_file(&place).unwrap();
    for _ in 0..3 {
        server.cli(&["backup"]).expect(0);
    }
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 2);
    assert_eq!(check().await["verdict"], "ok");
    let metrics = server.get("/metrics").await.text;
    assert!(
        metrics.contains("windlass_backup_failing 0") && !metrics.contains("last_size_bytes 0"),
        "{metrics}"
    );
    let list = server.cli(&["backup", "list"]).expect(0).out;
    assert!(list.contains("failed") && list.contains("successful") && list.contains("next at"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_makes_a_backup_and_shows_how_it_went() {
    let Some(browser) = Browser::start(&tools::this_test()).await else { return };
    let (key, folder) = (Key::new(), tempfile::tempdir().unwrap());
    let config = folder.path().join("windlass.toml");
    std::fs::write(
        &config,
        format!("[backup]\nrecipients = [\"{}\"]\nschedule = \"30 3 * * *\"\n", key.public),
    )
    .unwrap();
    let server = TestServer::start_with(&[("WINDLASS_CONFIG", text(&config))]).await;
    browser.log_in(&server).await;
    browser.open(&format!("{}/backups", server.url)).await;
    browser.wait_text("#live", "None yet").await;
    browser.press("form[action='/backups'] button").await;
    // The page follows by itself: nobody loads it again.
    browser.wait_text("#live tbody", "successful").await;
    browser.wait_text("#live", "the next one comes in ").await;
    let made = backup_files(&server);
    assert_eq!(made.len(), 1);
    browser.wait_text("#live tbody", &made[0]).await;
    browser.shot("backups").await;
    browser.become_phone(360).await;
    browser.shot("backups-phone").await;
    let width = browser.run("return document.documentElement.scrollWidth").await;
    assert!(width.as_u64().unwrap() <= 360, "{width}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    let without = TestServer::start().await;
    // The browser is logged in there too: cookies belong to a host, whatever its port.
    browser.open(&format!("{}/backups", without.url)).await;
    browser.wait_text("main", "windlass backup --to FILE").await;
    assert_eq!(browser.text("form[action='/backups']").await, "");
}

/// Names of the files in the server's folder.
fn backup_files(server: &TestServer) -> Vec<String> {
    let files = std::fs::read_dir(server.data().join("backups")).unwrap();
    files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_setting_that_makes_no_sense_keeps_the_server_from_starting() {
    for (setting, what) in [
        ("recipients = [\"age1nonsense\"]", "backup.recipients"),
        ("keep = 0", "backup.keep"),
        ("schedule = \"at noon\"", "backup.schedule"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("windlass.toml");
        std::fs::write(&config, format!("[backup]\n{setting}\n")).unwrap();
        let mut serve = command(NOBODY, "", &["serve", "--config", text(&config)]);
        serve.env("WINDLASS_DATA_DIR", folder.path().join("data")).env("WINDLASS_LISTEN", "127.0.0.1:0");
        let refused = run(serve);
        assert!(refused.code != 0 && refused.err.contains(what), "{refused:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_backup_makes_up_for_all_due_times_at_which_no_server_ran() {
    let key = Key::new();
    let mut server = TestServer::start_with(&[("WINDLASS_BACKUP_RECIPIENTS", &key.public)]).await;
    server.kill();
    let url = format!("sqlite:{}", server.data().join("windlass.db").display());
    let db = Db::open(&DbConfig::new(&url)).await.unwrap();
    let week_ago = now() - 7 * 24 * 3600 * 1000;
    db.write(move |tx| {
        Box::pin(async move {
            let old = Backup {
                id: new_id(),
                due_at: Some(week_ago),
                name: "old".into(),
                status: BackupStatus::Running,
                recipients: 1,
                bytes: None,
                rows: None,
                error: None,
                started_at: week_ago,
                finished_at: None,
            };
            backups::insert(tx, &old).await
        })
    })
    .await
    .unwrap();
    db.close().await;
    server.launch(&[]).await.unwrap();
    let items = soon("the backup that was missed", async {
        loop {
            let all = server.get("/api/v1/backups").await.expect(200);
            if all["data"]["items"][0]["status"] == "successful" {
                return all["data"]["items"].as_array().unwrap().clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!((items.len(), &items[0]["scheduled"]), (2, &json!(true)), "{items:?}");
    // The one that never ended stands in nobody's way.
    assert_eq!(items[1]["status"], "failed", "{items:?}");
}
