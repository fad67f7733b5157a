//! A real ACME server: Let's Encrypt's own for tests, `pebble`, with a name server that says what a test wants.

use crate::PATIENCE;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::port::free_port;
use crate::tools::{root, skipped};

pub struct AcmeServer {
    pub directory: String,
    /// Where it is told about names.
    names: String,
    management: String,
    children: Vec<Child>,
    _folder: tempfile::TempDir,
}

/// The authority behind the certificate of the ACME server itself.
pub fn authority() -> PathBuf {
    root().join("tests/fixtures/tls-cert.pem")
}

impl AcmeServer {
    /// Checks hosts at this port of 127.0.0.1. `None` where there is no such program; says which test is skipped and how to
    /// get it.
    pub async fn start(test: &str, http_port: u16) -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&paths).any(|folder| folder.join("pebble").is_file()) {
            skipped(test, "there is no pebble; scripts/setup-test.sh installs it where Debian has it");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let [listen, management, dns, names] = [free_port(), free_port(), free_port(), free_port()];
        let config = folder.path().join("pebble.json");
        let text = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{listen}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": authority(),
            "privateKey": root().join("tests/fixtures/tls-key.pem"),
            "httpPort": http_port, "tlsPort": free_port(),
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
        } });
        std::fs::write(&config, text.to_string()).unwrap();
        let mut resolver = Command::new("pebble-challtestsrv");
        resolver.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        resolver.args(["-dns01", &format!("127.0.0.1:{dns}"), "-management", &format!("127.0.0.1:{names}")]);
        let mut server = Command::new("pebble");
        server.args(["-dnsserver", &format!("127.0.0.1:{dns}"), "-config"]).arg(&config);
        // By itself it waits, and refuses nonces at random so that clients learn to ask again; a test has no use for chance.
        server.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0").env("PEBBLE_AUTHZREUSE", "0");
        let children = [resolver, server].map(|mut command| spawn(&mut command, folder.path()));
        let server = Self {
            directory: format!("https://127.0.0.1:{listen}/dir"),
            names: format!("http://127.0.0.1:{names}"),
            management: format!("https://127.0.0.1:{management}"),
            children: children.into(),
            _folder: folder,
        };
        for port in [listen, management, names] {
            listens(SocketAddr::from(([127, 0, 0, 1], port))).await;
        }
        Some(server)
    }

    /// PEM of the authority that signs what is issued.
    pub async fn root(&self) -> Vec<u8> {
        let pem = std::fs::read(authority()).unwrap();
        let client =
            reqwest::Client::builder().add_root_certificate(reqwest::Certificate::from_pem(&pem).unwrap());
        let answer =
            client.build().unwrap().get(format!("{}/roots/0", self.management)).send().await.unwrap();
        answer.bytes().await.unwrap().to_vec()
    }

    /// From now on the name leads there; without an address, to 127.0.0.1 as every other.
    pub async fn point(&self, host: &str, address: Option<&str>) {
        let (path, body) = match address {
            Some(address) => ("add-a", json!({ "host": format!("{host}."), "addresses": [address] })),
            None => ("clear-a", json!({ "host": format!("{host}.") })),
        };
        let asked = reqwest::Client::new().post(format!("{}/{path}", self.names)).body(body.to_string());
        assert!(asked.send().await.unwrap().status().is_success());
    }
}

fn spawn(command: &mut Command, folder: &Path) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

async fn listens(address: SocketAddr) {
    let started = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(started.elapsed() < PATIENCE, "nobody listens on {address}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Drop for AcmeServer {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
