//! Where this server goes for the URLs of repositories, which people of a team write: not inside, and not where a name leads
//! that changes.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass::domain::Id;
use windlass::error::{Error, Result};
use windlass::git::{Git, GitAuth, Log, RepoAccess};
use windlass::network::{Outgoing, Policy};
use windlass_tests::git_server::{File, GitDaemon, GitServer, Sshd, TestRepo, outgoing, outgoing_to};
use windlass_tests::peer::{Net, Peer, text};
use windlass_tests::server::TestServer;

const TOKEN: &str = "token-of-the-repository";

/// A `Git` in a folder of its own.
struct Rig {
    git: Git,
    _folder: TempDir,
}

impl Rig {
    fn new(outgoing: Outgoing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { git: Git::open(folder.path().join("git"), outgoing).unwrap(), _folder: folder }
    }

    async fn fetch(&self, repo: &RepoAccess) -> Result<()> {
        let log: Log = Arc::new(|_| ());
        self.git.fetch(repo, &CancellationToken::new(), log).await
    }

    /// What somebody who looks at this URL is told.
    async fn refusal(&self, url: &str) -> Error {
        let tested = self.git.test_connection(&open(url)).await.unwrap_err();
        let fetched = self.fetch(&open(url)).await.unwrap_err();
        assert_eq!(tested.to_string(), fetched.to_string());
        fetched
    }
}

fn access(url: &str, auth: GitAuth) -> RepoAccess {
    RepoAccess { id: Id::from_text("0192-repo"), url: url.into(), auth }
}

fn open(url: &str) -> RepoAccess {
    access(url, GitAuth::None)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_on_this_machine_is_refused_in_every_form() {
    let peer = Peer::start(|_| text(200, "")).await;
    let port = peer.address.port();
    let rig = Rig::new(outgoing_to("10.0.0.0/8"));
    for url in [
        format!("http://127.0.0.1:{port}/a"),
        format!("http://localhost:{port}/a"),
        format!("http://2130706433:{port}/a"),
        format!("http://[::ffff:127.0.0.1]:{port}/a"),
        format!("https://127.0.0.1:{port}/a"),
        format!("git://127.0.0.1:{port}/a"),
        format!("ssh://git@127.0.0.1:{port}/a"),
        "git@localhost:a/b".into(),
    ] {
        let error = rig.refusal(&url).await;
        let said = error.to_string();
        assert!(matches!(error, Error::Invalid { .. }), "{url}: {said}");
        assert!(said.contains("loopback") && said.contains("WINDLASS_PRIVATE_NETWORKS"), "{url}: {said}");
    }
    assert!(peer.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_service_is_refused_whatever_is_configured() {
    let rig = Rig::new(outgoing_to("0.0.0.0/0,::/0,169.254.169.254"));
    for (url, class) in [
        ("http://169.254.169.254/latest/meta-data", "metadata service"),
        ("http://[::ffff:169.254.169.254]/a", "metadata service"),
        ("http://[64:ff9b::a9fe:a9fe]/a", "metadata service"),
        ("ssh://git@169.254.169.254/a", "metadata service"),
        ("git@169.254.170.2:a", "metadata service"),
        ("http://169.254.7.7/a", "link-local"),
        ("git://0.0.0.0/a", "unspecified"),
        ("http://224.0.0.1/a", "multicast"),
    ] {
        let said = rig.refusal(url).await.to_string();
        assert!(said.contains(class) && !said.contains("WINDLASS_PRIVATE_NETWORKS"), "{url}: {said}");
    }
}

/// A network in which this name has these addresses, one list a look-up, and this public address is the server.
fn net(name: &str, answers: &[&[&str]], server: SocketAddr) -> Arc<Net> {
    let mut net = Net::default().name(name, answers);
    net.servers.insert("8.8.8.8".parse().unwrap(), server);
    Arc::new(net)
}

/// Where a URL of this machine leads.
fn address(url: &str) -> SocketAddr {
    let port = url.split_once("127.0.0.1:").unwrap().1.split_once('/').unwrap().0;
    SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_turns_into_an_address_inside_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    TestRepo::create(&folder.path().join("app.git")).commit("main", &[("a", "1")], "one");
    let daemon = GitDaemon::start(folder.path());
    let server = address(&daemon.url("app"));
    let network = net("forge.example", &[&["8.8.8.8"], &["127.0.0.1"]], server);
    let rig = Rig::new(Outgoing::over(network.clone(), Policy::internet()));
    let repo = open("git://forge.example/app.git");
    rig.fetch(&repo).await.unwrap();
    let dialled = network.dialled.lock().unwrap().clone();
    assert!(dialled.iter().all(|address| address.to_string() == "8.8.8.8:9418"), "{dialled:?}");
    let refused = rig.fetch(&repo).await.unwrap_err().to_string();
    assert!(refused.contains("loopback"), "{refused}");
    assert_eq!(network.dialled.lock().unwrap().len(), dialled.len(), "nothing more was dialled");

    let mixed = net("forge.example", &[&["8.8.8.8", "10.0.0.1"]], server);
    let rig = Rig::new(Outgoing::over(mixed.clone(), Policy::internet()));
    for url in ["git://forge.example/app.git", "https://forge.example/app.git", "git@forge.example:app.git"] {
        let refused = rig.fetch(&open(url)).await.unwrap_err().to_string();
        assert!(refused.contains("private network"), "{url}: {refused}");
    }
    assert!(mixed.dialled.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn git_and_ssh_go_to_the_judged_address_under_the_name_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let repo = TestRepo::create(&folder.path().join("app.git"));
    let sha = repo.commit("main", &[("a", "1")], "one");
    let daemon = GitDaemon::start(folder.path());
    let network = net("forge.example", &[&["8.8.8.8"]], address(&daemon.url("app")));
    let rig = Rig::new(Outgoing::over(network, Policy::internet()));
    let plain = open("git://forge.example/app.git");
    rig.fetch(&plain).await.unwrap();
    assert_eq!(rig.git.resolve(&plain.id, "main").await.unwrap().sha, sha);

    let Some(sshd) = Sshd::start() else { return };
    let url = sshd.url(&repo);
    let user = url.trim_start_matches("ssh://").split_once('@').unwrap().0.to_string();
    let network = net("forge.example", &[&["8.8.8.8"]], address(&url));
    let folder = tempfile::tempdir().unwrap();
    let git = Git::open(folder.path().into(), Outgoing::over(network, Policy::internet())).unwrap();
    let key = GitAuth::SshKey { username: None, private_key: sshd.client_key(), passphrase: None };
    let path = repo.path().display();
    for url in [format!("ssh://{user}@forge.example{path}"), format!("{user}@forge.example:{path}")] {
        git.test_connection(&access(&url, key.clone())).await.unwrap();
    }
    let pinned = std::fs::read_to_string(folder.path().join("known_hosts")).unwrap();
    assert!(pinned.lines().count() == 1 && pinned.starts_with("forge.example ssh-"), "{pinned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_pack_passes_whole() {
    let folder = tempfile::tempdir().unwrap();
    let repo = TestRepo::create(&folder.path().join("app.git"));
    let daemon = GitDaemon::start(folder.path());
    // Nothing that compresses well.
    let mut noise = Vec::with_capacity(24 << 20);
    let mut state = 88_172_645_463_325_252_u64;
    while noise.len() < noise.capacity() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_le_bytes());
    }
    let sha = repo.commit_files("main", &[File { path: "big", mode: "100644", content: &noise }], "big");
    let rig = Rig::new(outgoing());
    let access = open(&daemon.url("app"));
    rig.fetch(&access).await.unwrap();
    let checkout = rig.git.checkout(&access.id, &sha, &Id::from_text("b"), Arc::new(|_| ())).await.unwrap();
    assert!(std::fs::read(checkout.path().join("big")).unwrap() == noise);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_silent_holds_nobody_up_who_cancels() {
    let silent = Peer::accepting(|stream| {
        tokio::spawn(async move {
            let _open = stream;
            std::future::pending::<()>().await;
        })
    })
    .await;
    let rig = Rig::new(outgoing());
    let (cancel, began) = (CancellationToken::new(), Instant::now());
    let repo = open(&format!("git://{}/a", silent.address));
    let (outcome, ()) = tokio::join!(rig.git.fetch(&repo, &cancel, Arc::new(|_| ())), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    });
    assert!(matches!(outcome, Err(Error::Cancelled(_))), "{outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

fn repository(url: &str) -> Value {
    json!({ "url": url, "branch": "main", "authType": "http_token", "credentials": { "token": TOKEN } })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_told_what_is_refused_and_who_can_change_it() {
    let git = GitServer::start_with_token(TOKEN).await;
    git.create("app").commit("main", &[("a", "1")], "one");
    let server = TestServer::start_with(&[("WINDLASS_PRIVATE_NETWORKS", "10.0.0.0/8")]).await;
    server.create_stack(json!({ "name": "web", "repository": repository(&git.url("app")) })).await;
    let test = async |input: Value| server.post("/api/v1/repositories/test", input).await.expect(422);

    let refused = test(json!({ "stack": "web" })).await;
    let said = refused["error"].as_str().unwrap().to_string();
    assert_eq!(refused["field"], "repository.url");
    for words in ["loopback", "who operates this server", "[outgoing]", "WINDLASS_PRIVATE_NETWORKS"] {
        assert!(said.contains(words), "{said}");
    }
    let metadata = test(json!({ "repository": repository("http://169.254.169.254/latest") })).await;
    assert!(metadata["error"].as_str().unwrap().contains("metadata service"), "{metadata}");
    let terminal = server.cli(&["stack", "test-connection", "web"]);
    assert!(terminal.code != 0 && terminal.said().contains("loopback"), "{terminal:?}");
    let log = std::fs::read_to_string(server.server_log()).unwrap();
    assert!(!log.contains(TOKEN), "{log}");
}
