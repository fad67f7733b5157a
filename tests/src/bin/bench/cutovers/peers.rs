//! The same switch from one program to another and back, in the way that each proxy has for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use windlass::router::client::RouterClient;
use windlass_tests::crossing::{Crossing, Load};
use windlass_tests::cutover::visited;
use windlass_tests::port::free_port;
use windlass_tests::router::{parse, table};

use super::tell;
use crate::load::is_installed;
use crate::report::{Goal, Report, milliseconds};
use crate::router::{Proxy, launch, windlass};

const SWITCHES: usize = 20;
/// Between two switches: longer than anything that is in flight.
const PAUSE: Duration = Duration::from_secs(3);
const HOST: &str = "app.windlass.test";

/// How a proxy is told where requests go from now on.
enum Tell {
    /// A new table over the router's socket.
    Table(RouterClient),
    /// A new configuration file and a signal.
    Signal(&'static str),
    /// A new configuration to the address of its administration.
    Admin(u16),
}

struct Peer {
    proxy: Proxy,
    told: u64,
    config: PathBuf,
    text: fn(&Peer, u16) -> String,
    tell: Tell,
}

impl Peer {
    async fn send_to(&mut self, port: u16) {
        self.told += 1;
        let text = (self.text)(self, port);
        match &self.tell {
            Tell::Table(client) => {
                let table = table(self.told, &[("r", 100, &[SocketAddr::from(([127, 0, 0, 1], port))])]);
                let mut table = parse(&table);
                // Another release, as of another deployment.
                table.routes[0].releases[0].release = format!("r{}", self.told);
                client.apply(&table).await.unwrap();
            }
            Tell::Signal(signal) => {
                std::fs::write(&self.config, text).unwrap();
                let pid = self.proxy.child.id().to_string();
                assert!(Command::new("kill").args([signal, pid.as_str()]).status().unwrap().success());
            }
            Tell::Admin(admin) => {
                let request = reqwest::Client::new().post(format!("http://127.0.0.1:{admin}/load"));
                let answer =
                    request.header("content-type", "text/caddyfile").body(text).send().await.unwrap();
                assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
            }
        }
    }
}

pub async fn beside(report: &mut Report, load: Load) {
    report.section("The same switch, beside each other");
    report
        .note(&format!("{SWITCHES} switches of each; nginx and haproxy by a reload, caddy by its admin API"));
    let folder = tempfile::tempdir().unwrap();
    let programs = [Behind::start("blue"), Behind::start("green")];
    for name in ["windlass router", "nginx", "haproxy", "caddy"] {
        if name != "windlass router" && !is_installed(name) {
            report.skip(name, "it is missing; `make setup-bench` brings it");
            continue;
        }
        let first = programs[0].port;
        let mut peer = match name {
            "nginx" => nginx(folder.path(), first),
            "haproxy" => haproxy(folder.path(), first),
            "caddy" => caddy(folder.path(), first),
            _ => router(folder.path(), first).await,
        };
        let address = SocketAddr::from(([127, 0, 0, 1], peer.proxy.port));
        let crossing = Crossing::start(address, HOST, load);
        tokio::time::sleep(2 * PAUSE).await;
        let mut ordered = Vec::new();
        for n in 1..=SWITCHES {
            let from = Instant::now();
            peer.send_to(programs[n % 2].port).await;
            crossing.cut_over();
            tokio::time::sleep(PAUSE).await;
            ordered.push((from, Instant::now(), programs[(n + 1) % 2].name));
        }
        let outcome = crossing.end().await;
        tell(report, name, &outcome);
        let took: Vec<f64> = ordered
            .iter()
            .map(|(from, until, old)| {
                let astray = outcome
                    .visits
                    .iter()
                    .filter(|visit| *from < visit.from && visit.from < *until && visit.name == *old);
                astray.map(|visit| milliseconds(visit.from - *from)).fold(0.0, f64::max)
            })
            .collect();
        report.spread(&format!("{name}: ordered → all new requests there"), &took, "ms", Goal::None);
    }
}

/// What answers behind the proxies.
struct Behind {
    name: &'static str,
    port: u16,
    child: Child,
}

impl Behind {
    fn start(name: &'static str) -> Self {
        let port = free_port();
        let mut command = Command::new(visited());
        let child = command.arg(port.to_string()).arg(name).stdin(Stdio::null()).spawn().unwrap();
        Self { name, port, child }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn router(folder: &Path, first: u16) -> Peer {
    let folder = folder.join("windlass");
    let proxy = windlass(&folder, first).await;
    let client = RouterClient::new(&folder.join("data"));
    Peer { proxy, told: 1, config: PathBuf::new(), text: |_, _| String::new(), tell: Tell::Table(client) }
}

fn nginx(folder: &Path, first: u16) -> Peer {
    let folder = folder.join("nginx-cutover");
    std::fs::create_dir(&folder).unwrap();
    let config = folder.join("nginx.conf");
    let text = |peer: &Peer, behind: u16| nginx_text(peer.config.parent().unwrap(), peer.proxy.port, behind);
    let port = free_port();
    std::fs::write(&config, nginx_text(&folder, port, first)).unwrap();
    let proxy = launch("nginx", port, Command::new("nginx").arg("-p").arg(&folder).arg("-c").arg(&config));
    Peer { proxy, told: 0, config, text, tell: Tell::Signal("-HUP") }
}

fn nginx_text(folder: &Path, port: u16, behind: u16) -> String {
    let place = folder.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {place}/{kind};"))
        .collect();
    format!(
        "daemon off; worker_processes auto; pid {place}/pid; error_log /dev/null;
         events {{ worker_connections 4096; }}
         http {{ access_log off; keepalive_requests 100000000; {temporary}
                map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
                upstream behind {{ server 127.0.0.1:{behind}; keepalive 64; }}
                server {{ listen 127.0.0.1:{port} backlog=4096;
                          location / {{ proxy_pass http://behind; proxy_http_version 1.1;
                                        proxy_set_header Upgrade $http_upgrade;
                                        proxy_set_header Connection $connection_upgrade; }} }} }}"
    )
}

fn haproxy(folder: &Path, first: u16) -> Peer {
    let (port, config) = (free_port(), folder.join("haproxy-cutover.cfg"));
    let text = |peer: &Peer, behind: u16| haproxy_text(peer.proxy.port, behind);
    std::fs::write(&config, haproxy_text(port, first)).unwrap();
    // With a master process, which starts a new worker and lets the old one finish.
    let proxy = launch("haproxy", port, Command::new("haproxy").arg("-W").arg("-db").arg("-f").arg(&config));
    Peer { proxy, told: 0, config, text, tell: Tell::Signal("-USR2") }
}

fn haproxy_text(port: u16, behind: u16) -> String {
    format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n timeout tunnel 1h\n\
         frontend f\n bind 127.0.0.1:{port}\n default_backend b\nbackend b\n server s 127.0.0.1:{behind}\n"
    )
}

fn caddy(folder: &Path, first: u16) -> Peer {
    let (port, admin, config) = (free_port(), free_port(), folder.join("Caddyfile-cutover"));
    let text = |peer: &Peer, behind: u16| {
        let Tell::Admin(admin) = peer.tell else { return String::new() };
        caddy_text(peer.proxy.port, admin, behind)
    };
    std::fs::write(&config, caddy_text(port, admin, first)).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
    command.env("XDG_DATA_HOME", folder.join("caddy")).env("XDG_CONFIG_HOME", folder.join("caddy"));
    Peer { proxy: launch("caddy", port, &mut command), told: 0, config, text, tell: Tell::Admin(admin) }
}

fn caddy_text(port: u16, admin: u16, behind: u16) -> String {
    format!(
        "{{\n admin 127.0.0.1:{admin}\n auto_https off\n}}\nhttp://:{port} {{\n reverse_proxy 127.0.0.1:{behind}\n}}\n"
    )
}
