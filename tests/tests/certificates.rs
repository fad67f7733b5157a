//! Certificates for the hosts of stacks, from a real ACME server, by HTTP-01 through the real router.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};
use windlass::router::client::RouterClient;
use windlass_tests::acme::{AcmeServer, authority};
use windlass_tests::cli::run;
use windlass_tests::port::free_port;
use windlass_tests::router::until;
use windlass_tests::server::{ADMIN_TOKEN, TestServer};
use windlass_tests::tools::root;

/// A host with a certificate of the operator's own.
const OWN: &str = "ci.example";

/// A server whose router gets its certificates from an ACME server.
struct Rig {
    acme: AcmeServer,
    server: TestServer,
    config: PathBuf,
    http: SocketAddr,
    https: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn start(test: &str) -> Option<Self> {
        let [http, https] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
        let acme = AcmeServer::start(test, http.port()).await?;
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("windlass.toml");
        let text = format!(
            "[router]\nenabled = true\nhttp = [\"{http}\"]\nhttps = [\"{https}\"]\n\
             certificates = [{{ hosts = [\"{OWN}\"], chain = \"{own}\", key = \"{key}\" }}]\n\n\
             [acme]\ndirectory = \"{}\"\nemail = \"ada@example.org\"\nroot = \"{own}\"\n",
            acme.directory,
            own = authority().display(),
            key = root().join("tests/fixtures/tls-key.pem").display(),
        );
        std::fs::write(&config, text).unwrap();
        let server = TestServer::start_with(&[("WINDLASS_CONFIG", config.to_str().unwrap())]).await;
        Some(Self { acme, server, config, http, https, _folder: folder })
    }

    async fn stack(&self, name: &str, host: &str) {
        let traffic = json!({ "hosts": [host, format!("*.{host}")], "redirectHttps": true });
        self.server.create_stack(json!({ "name": name, "traffic": traffic })).await;
    }

    /// The `count`-th time that an attempt for the host ended in this state.
    async fn wait(&self, host: &str, state: &str, count: usize) -> Value {
        let mut seen = 0;
        self.server
            .wait_event(&format!("{state} for {host}"), |event| {
                let is_it = event["kind"] == "certificate.changed" && event["data"]["host"] == host;
                seen += usize::from(is_it && event["data"]["state"] == state);
                (seen == count).then_some(())
            })
            .await;
        self.certificate(host).await
    }

    async fn certificate(&self, host: &str) -> Value {
        let all = self.server.get("/api/v1/certificates").await.expect(200)["data"].clone();
        all.as_array().unwrap().iter().find(|row| row["host"] == host).cloned().unwrap_or_default()
    }

    /// Asks the router by HTTPS, and believes only what the ACME server has issued. The answer's status.
    async fn visit(&self, host: &str) -> Result<u16, reqwest::Error> {
        self.visit_believing(host, &self.acme.root().await).await
    }

    async fn visit_believing(&self, host: &str, root: &[u8]) -> Result<u16, reqwest::Error> {
        let root = reqwest::Certificate::from_pem(root).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).resolve(host, self.https).build()?;
        let answer = client.get(format!("https://{host}:{}/", self.https.port())).send().await?;
        Ok(answer.status().as_u16())
    }

    /// The files that the router's table names for a host.
    async fn files(&self, host: &str) -> Option<[PathBuf; 2]> {
        let table = RouterClient::new(&self.server.data()).table().await.unwrap();
        let mut found = table.certificates.into_iter().filter(|files| files.hosts == [host]);
        found.next().map(|files| [files.chain, files.key])
    }

    fn windlass(&self, words: &[&str]) -> (bool, String) {
        let mut command = self.server.command(words);
        command
            .env("WINDLASS_CONFIG", &self.config)
            .env("WINDLASS_LISTEN", self.server.url.trim_start_matches("http://"))
            .env("WINDLASS_DATA_DIR", self.server.data());
        let run = run(command);
        (run.code == 0, run.out)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_gets_a_certificate_which_is_renewed_and_kept_as_a_secret() {
    let Some(mut rig) = Rig::start("certificates").await else { return };
    let host = "app.windlass.test";
    rig.stack("web", host).await;
    let row = rig.wait(host, "valid", 1).await;
    assert_eq!(
        (&row["state"], &row["failures"], &row["error"]),
        (&json!("valid"), &json!(0), &Value::Null),
        "{row}"
    );
    assert!(row["dueAt"].as_str().unwrap() < row["notAfter"].as_str().unwrap(), "{row}");
    assert!(rig.certificate("*.app.windlass.test").await.is_null(), "HTTP-01 is for one name");

    until("the router has it", async || rig.visit(host).await.is_ok()).await;
    assert_eq!(rig.visit(host).await.unwrap(), 503, "nothing is deployed yet");
    let own = std::fs::read(authority()).unwrap();
    assert_eq!(
        rig.visit_believing(OWN, &own).await.unwrap(),
        404,
        "the operator's own certificate, without a stack"
    );
    let plain =
        reqwest::Client::builder().resolve(host, rig.http).redirect(reqwest::redirect::Policy::none());
    let url = format!("http://{host}:{}/", rig.http.port());
    let answer = plain.build().unwrap().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 308);
    let table = RouterClient::new(&rig.server.data()).table().await.unwrap();
    assert_eq!(table.challenges, [], "what the ACME server asked for is gone");

    let [_, key] = rig.files(host).await.unwrap();
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&key).unwrap();
    let line = secret.lines().nth(1).unwrap().to_owned();
    let holds_key = |file: &str| {
        let bytes = std::fs::read(rig.server.data().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(&line)
    };
    assert!(!["windlass.db", "windlass.db-wal"].iter().any(|file| holds_key(file)), "the key is not sealed");

    let (is_good, told) = rig.windlass(&["certificate", "renew", host]);
    assert!(is_good, "{told}");
    rig.wait(host, "valid", 2).await;
    until("the router has the new one", async || rig.files(host).await.is_some_and(|[_, next]| next != key))
        .await;
    until("the old files are gone", async || !key.exists()).await;
    assert_eq!(rig.visit(host).await.unwrap(), 503);
    let (is_good, told) = rig.windlass(&["doctor"]);
    assert!(
        told.contains("1 for hosts of stacks") && told.contains("it runs and listens on"),
        "{is_good} {told}"
    );

    // Files that are lost are written again from what is stored.
    let [chain, key] = rig.files(host).await.unwrap();
    rig.server.kill();
    std::fs::remove_file(&chain).unwrap();
    std::fs::remove_file(&key).unwrap();
    rig.server.launch(&[]).await.unwrap();
    until("the files are back", async || chain.exists() && key.exists()).await;
    let issued = rig.certificate(host).await;
    assert_eq!(issued["state"], "valid", "{issued}");

    rig.server.delete("/api/v1/stacks/web").await.expect_empty(204);
    until("nobody wants it any more", async || rig.certificate(host).await.is_null()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_lead_here_is_said_and_tried_again_later() {
    let Some(rig) = Rig::start("certificates that cannot be had").await else { return };
    let host = "lost.windlass.test";
    rig.acme.point(host, Some("127.0.0.2")).await;
    rig.stack("web", host).await;
    let row = rig.wait(host, "failing", 1).await;
    assert_eq!(row["failures"], 1, "{row}");
    let why = row["error"].as_str().unwrap();
    assert!(why.contains(host) && why.contains("has to lead to this server's router"), "{why}");
    let due: chrono::DateTime<chrono::Utc> = row["dueAt"].as_str().unwrap().parse().unwrap();
    let minutes = (due - chrono::Utc::now()).num_minutes();
    assert!((2..=6).contains(&minutes), "it is tried again in {minutes} minutes");
    let (is_good, told) = rig.windlass(&["doctor"]);
    assert!(!is_good && told.contains("lost.windlass.test is failing"), "{told}");
    let (_, told) = rig.windlass(&["certificate", "list"]);
    assert!(told.contains(host) && told.contains("failing"), "{told}");

    rig.acme.point(host, None).await;
    rig.server.post(&format!("/api/v1/certificates/{host}/renew"), json!({})).await.expect(202);
    let row = rig.wait(host, "valid", 1).await;
    assert_eq!((&row["failures"], &row["error"]), (&json!(0), &Value::Null), "{row}");
    rig.server.post("/api/v1/certificates/other.windlass.test/renew", json!({})).await.expect(404);
    let page = rig.server.stranger(reqwest::Method::GET, "/stacks/web");
    let page = page.header("cookie", format!("windlass_token={ADMIN_TOKEN}")).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("lost.windlass.test: valid until"), "{page}");
    let metrics = rig.server.get("/metrics").await.text;
    assert!(
        metrics.contains("windlass_certificate_expiry_seconds{host=\"lost.windlass.test\"}"),
        "{metrics}"
    );
}
