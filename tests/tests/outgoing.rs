//! Where this server goes for the URLs of repositories, which people of a team write: not inside, and not where a name leads
//! that changes.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass::domain::Id;
use windlass::error::{Error, Result};
use windlass::git::{Git, GitAuth, Log, RepoAccess};
use windlass::network::{Outgoing, Policy};
use windlass_tests::git_server::{File, GitDaemon, GitServer, Sshd, TestRepo, outgoing, outgoing_to};
use windlass_tests::peer::{CERTIFICATE_PATH, Net, Peer, Seen, redirect, text};
use windlass_tests::port::free_port;
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
    let server = GitServer::start().await;
    let repo = server.create("app");
    let daemon = GitDaemon::start(server.root());
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
    for url in [daemon.url("app"), server.url("app")] {
        let rig = Rig::new(outgoing());
        let access = open(&url);
        rig.fetch(&access).await.unwrap();
        let build = Id::from_text("b");
        let checkout = rig.git.checkout(&access.id, &sha, &build, Arc::new(|_| ())).await.unwrap();
        assert!(std::fs::read(checkout.path().join("big")).unwrap() == noise, "{url}");
    }
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
    for scheme in ["git", "http", "https"] {
        let rig = Rig::new(outgoing());
        let cancel = CancellationToken::new();
        let repo = open(&format!("{scheme}://{}/a", silent.address));
        let (outcome, ()) = tokio::join!(rig.git.fetch(&repo, &cancel, Arc::new(|_| ())), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            cancel.cancel();
        });
        assert!(matches!(outcome, Err(Error::Cancelled(_))), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_goes_to_the_judged_address_whatever_the_name_turns_into() {
    let server = GitServer::start().await;
    let sha = server.create("app").commit("main", &[("a", "1")], "one");
    let network = net("forge.example", &[&["8.8.8.8"], &["127.0.0.1"]], server.address());
    let rig = Rig::new(Outgoing::over(network.clone(), Policy::internet()));
    let repo = open("http://forge.example/app.git");
    rig.fetch(&repo).await.unwrap();
    assert_eq!(rig.git.resolve(&repo.id, "main").await.unwrap().sha, sha);
    let dialled = network.dialled.lock().unwrap().clone();
    assert!(dialled.len() > 1, "the advertisement and the pack: {dialled:?}");
    assert!(dialled.iter().all(|address| address.to_string() == "8.8.8.8:80"), "{dialled:?}");
    let refused = rig.fetch(&repo).await.unwrap_err().to_string();
    assert!(refused.contains("loopback"), "{refused}");
    assert_eq!(network.dialled.lock().unwrap().len(), dialled.len(), "nothing more was dialled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_inside_is_refused_like_an_address_inside() {
    let inside = Peer::start(|_| text(200, "")).await;
    let loopback = inside.url();
    let named = format!("http://inside.example:{}", inside.address.port());
    for (to, class) in [
        (loopback.as_str(), "loopback"),
        (named.as_str(), "private network"),
        ("http://169.254.169.254", "metadata service"),
    ] {
        let location = format!("{to}/app.git/info/refs?service=git-upload-pack");
        let forge = Peer::start(move |_| redirect(301, &location)).await;
        let mut network = Net::default()
            .name("forge.example", &[&["8.8.8.8"]])
            .name("inside.example", &[&["10.0.0.1"]])
            .server("8.8.8.8", &forge);
        network.servers.insert("10.0.0.1".parse().unwrap(), inside.address);
        let rig = Rig::new(Outgoing::over(Arc::new(network), Policy::internet()));
        let error = rig.refusal("http://forge.example/app.git").await;
        let said = error.to_string();
        assert!(matches!(&error, Error::Invalid { field, .. } if field == "repository.url"), "{error:?}");
        assert!(said.contains("redirects to") && said.contains(class), "{said}");
        assert!(!said.contains("inside.example"), "{said}");
        assert!(!forge.seen().is_empty() && inside.seen().is_empty());
    }
}

/// Wants any credentials.
fn unauthorized() -> axum::response::Response {
    let mut response = text(401, "");
    response.headers_mut().insert("www-authenticate", "Basic realm=\"git\"".parse().unwrap());
    response
}

fn login(seen: &Seen) -> Option<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let basic = seen.header("authorization")?.strip_prefix("Basic ")?;
    Some(String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_the_server_of_the_url_and_do_not_follow_a_redirect() {
    let other = Peer::start(|_| unauthorized()).await;
    let location = format!("{}/app.git/info/refs?service=git-upload-pack", other.url());
    let forge = Peer::start(move |seen| match seen.header("authorization") {
        None => unauthorized(),
        Some(_) => redirect(307, &location),
    })
    .await;
    let rig = Rig::new(outgoing());
    let auth = GitAuth::HttpToken { username: Some("ada".into()), token: TOKEN.into() };
    let repo = access(&format!("{}/app.git", forge.url()), auth);
    let error = rig.fetch(&repo).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("wants credentials") && said.contains("store the new address"), "{said}");
    let logins: Vec<_> = forge.seen().iter().map(login).collect();
    assert_eq!(logins, [None, Some(format!("ada:{TOKEN}"))]);
    assert!(!other.seen().is_empty());
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none()));
    assert!(other.seen().iter().all(|seen| seen.header("host") == Some(&other.address.to_string())));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_used_by_whoever_redirects_back() {
    let back = Arc::new(Mutex::new(String::new()));
    let location = back.clone();
    let other = Peer::start(move |_| redirect(302, &location.lock().unwrap())).await;
    let location = format!("{}/app.git/info/refs?service=git-upload-pack", other.url());
    let forge = Peer::start(move |seen| match seen.header("authorization") {
        Some(_) if seen.target.starts_with("/app.git/") => redirect(302, &location),
        _ => unauthorized(),
    })
    .await;
    *back.lock().unwrap() = format!("{}/delete/info/refs?service=git-upload-pack", forge.url());
    let auth = GitAuth::HttpToken { username: None, token: TOKEN.into() };
    let error =
        Rig::new(outgoing()).fetch(&access(&format!("{}/app.git", forge.url()), auth)).await.unwrap_err();
    assert!(error.to_string().contains("wants credentials"), "{error}");
    let last = forge.seen().pop().unwrap();
    assert!(last.target.starts_with("/delete/") && last.header("authorization").is_none(), "{last:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_name_in_the_url_goes_with_the_token() {
    let forge = Peer::start(|_| unauthorized()).await;
    let auth = GitAuth::HttpToken { username: Some("ada".into()), token: TOKEN.into() };
    let repo = access(&format!("http://grace@{}/app.git", forge.address), auth);
    let error = Rig::new(outgoing()).fetch(&repo).await.unwrap_err().to_string();
    assert!(error.contains("does not accept the stored credentials"), "{error}");
    assert_eq!(forge.seen().iter().filter_map(login).next_back(), Some(format!("grace:{TOKEN}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_server_answers_is_told_under_the_name_that_the_user_wrote() {
    type Bytes = &'static [u8];
    let answers: [(Bytes, &str); 6] = [
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi", "text/html"),
        (b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", "500"),
        (b"HTTP/1.1 404 Not found\r\ncontent-length: 0\r\n\r\n", "there is no repository at"),
        (b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", "an address that cannot be used"),
        (b"220 mail.example ESMTP\r\n", "does not answer in HTTP"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-advertisement\r\n\
              transfer-encoding: chunked\r\n\r\n4\r\n001e\r\nnonsense",
            "the connection broke off",
        ),
    ];
    for (answer, words) in answers {
        let peer = Peer::saying(answer).await;
        let network = net("forge.example", &[&["8.8.8.8"]], peer.address);
        let rig = Rig::new(Outgoing::over(network, Policy::internet()));
        let said = rig.refusal("http://forge.example/app.git").await.to_string();
        assert!(said.contains(words) && said.contains("http://forge.example/app.git"), "{said}");
        assert!(!said.contains("127.0.0.1"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused_in_words_and_ends_nothing() {
    let git = GitServer::start().await;
    git.create("app").commit("main", &[("a", "1")], "one");
    let secured = Peer::secured(git.address()).await;
    let rig = Rig::new(outgoing());
    for _ in 0..3 {
        let error = rig.refusal(&format!("https://{}/app.git", secured.address)).await;
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("nobody whom this machine trusts has issued it"), "{said}");
    }
    let plain = rig.refusal(&format!("https://{}/app.git", git.address())).await;
    assert!(matches!(plain, Error::Unavailable(_)), "{plain:?}");
    assert!(plain.to_string().contains("TLS"), "{plain}");
    rig.fetch(&open(&git.url("app"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_to_whom_the_machine_trusts() {
    let git = GitServer::start_with_token(TOKEN).await;
    git.create("app").commit("main", &[("a", "1")], "one");
    let secured = Peer::secured(git.address()).await;
    let server = TestServer::start_with(&[("SSL_CERT_FILE", CERTIFICATE_PATH)]).await;
    let test = async |host: &str| {
        let url = format!("https://{host}:{}/app.git", secured.address.port());
        server.post("/api/v1/repositories/test", json!({ "repository": repository(&url) })).await
    };
    assert_eq!(test("127.0.0.1").await.expect(200)["data"]["branchExists"], json!(true));
    let other_name = test("localhost").await;
    assert!(other_name.status >= 500 && other_name.text.contains("for another name"), "{}", other_name.text);
    // From http to https, where the token does not go along.
    let moved = GitServer::start().await;
    moved.redirect_to(&format!("https://{}", secured.address));
    let asked = json!({ "repository": repository(&moved.url("app")) });
    let asked = server.post("/api/v1/repositories/test", asked).await;
    assert!(asked.text.contains("store the new address"), "{}", asked.text);
    git.redirect_to(&format!("http://{}", git.address()));
    let unsafe_now = test("127.0.0.1").await;
    assert!(unsafe_now.text.contains("redirects from https to http"), "{}", unsafe_now.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_proxy_is_gone_through_and_survives_a_refused_certificate() {
    let git = GitServer::start_with_token(TOKEN).await;
    git.create("app").commit("main", &[("a", "1")], "one");
    let secured = Peer::secured(git.address()).await;
    let (proxy, heads) = Peer::proxy(secured.address).await;
    let address = format!("http://me:p%40ss@{}", proxy.address);
    let trusting =
        TestServer::start_with(&[("SSL_CERT_FILE", CERTIFICATE_PATH), ("https_proxy", &address)]).await;
    // Only the proxy knows this name.
    let input = json!({ "repository": repository("https://ci.example/app.git") });
    let found = trusting.post("/api/v1/repositories/test", input.clone()).await.expect(200);
    assert_eq!(found["data"]["branchExists"], json!(true));
    let head = heads.lock().unwrap()[0].to_ascii_lowercase();
    assert!(head.starts_with("connect ci.example:443 http/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: basic bwu6cebzcw=="), "{head}");

    let wary = TestServer::start_with(&[("https_proxy", &address)]).await;
    for _ in 0..3 {
        let refused = wary.post("/api/v1/repositories/test", input.clone()).await;
        assert!(refused.text.contains("nobody whom this machine trusts"), "{}", refused.text);
    }
    drop(proxy);
    let away = wary.post("/api/v1/repositories/test", input).await;
    assert!(
        away.status == 503 && away.text.contains("the proxy that this server has to use"),
        "{}",
        away.text
    );
    assert!(!away.text.contains("p@ss") && !away.text.contains("p%40ss"), "{}", away.text);
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

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_inside_only_if_the_operator_has_stored_its_registry() {
    let git = GitServer::start_with_token(TOKEN).await;
    git.create("app").commit("main", &[("Dockerfile", "FROM scratch\nLABEL a=b\nCMD [\"/a\"]\n")], "one");
    let server = TestServer::start_with(&[("WINDLASS_PRIVATE_NETWORKS", "127.0.0.1")]).await;
    let inside = format!("127.0.0.2:{}", free_port());
    let deploy = async |name: &str, registry: &str| {
        let stack = json!({
            "name": name, "repository": repository(&git.url("app")),
            "build": { "options": { "push": [format!("{registry}/app")] } },
        });
        server.post("/api/v1/stacks", stack).await.expect(201);
        let path = format!("/api/v1/stacks/{name}/deploy");
        let started = server.post(&path, json!({})).await.expect(202);
        let ended = server.wait_deployment(&started["data"]["seq"].to_string()).await;
        assert_eq!(ended["status"], "failed", "{ended}");
        ended["error"].as_str().unwrap().to_owned()
    };
    let said = deploy("inside", &inside).await;
    assert!(said.contains("loopback") && said.contains("windlass registry add"), "{said}");
    let said = deploy("metadata", "169.254.169.254").await;
    assert!(said.contains("metadata") && !said.contains("WINDLASS_PRIVATE_NETWORKS"), "{said}");
    let stored = json!({ "name": "inside", "address": inside });
    server.post("/api/v1/registries", stored).await.expect(201);
    let said = deploy("stored", &inside).await;
    assert!(!said.contains("loopback") && said.contains(&inside), "the engine has tried: {said}");
}
