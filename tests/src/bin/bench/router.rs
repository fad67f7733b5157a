//! The router beside nginx, haproxy and caddy: the same small answers of the same program behind it, in turns under the same
//! load. Everything shares the machine's processors, the load as well.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use windlass_tests::port::free_port;
use windlass_tests::router::{parse, table};
use windlass_tests::server::program;

use crate::load::{self, Outcome};
use crate::machine::{load as load_average, status_mb};
use crate::report::{Goal, Report, median};

const ROUNDS: usize = 3;
const SECONDS: u32 = 4;
const CONNECTIONS: u32 = 32;
const PATIENCE: Duration = Duration::from_secs(10);
const TIMES_CADDY: f64 = 2.0;
const OF_HAPROXY: f64 = 1.0 / 1.3;

/// One program in front of the same program behind.
pub struct Proxy {
    name: &'static str,
    pub port: u16,
    pub child: Child,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // nginx's first process ends its workers when it is asked, and only then.
        let _ = Command::new("kill").arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn beside_peers(report: &mut Report) {
    report.section("Router beside nginx, haproxy and caddy");
    for name in ["wrk", "nginx"] {
        if !load::is_installed(name) {
            return report.skip("everything", &format!("`{name}` is missing; `make setup-bench` brings it"));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let behind = nginx(folder.path(), "behind", "return 200 'hello from behind';", "");
    let mut proxies = vec![windlass(folder.path(), behind.port).await, {
        let to = "proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection '';";
        let upstream = format!("upstream behind {{ server 127.0.0.1:{}; keepalive 64; }}", behind.port);
        nginx(folder.path(), "nginx", to, &upstream)
    }];
    for (name, start) in [("haproxy", haproxy as fn(&Path, u16) -> Proxy), ("caddy", caddy)] {
        match load::is_installed(name) {
            true => proxies.push(start(folder.path(), behind.port)),
            false => report.skip(name, "it is missing; `make setup-bench` brings it"),
        }
    }
    report.note(&format!(
        "wrk, {CONNECTIONS} connections, {SECONDS} s a round, {ROUNDS} rounds in turns; 1 connection for what is added"
    ));
    let mut outcomes: Vec<Vec<(Outcome, Outcome)>> = vec![Vec::new(); proxies.len()];
    let mut direct = Vec::new();
    for _ in 0..ROUNDS {
        direct.push(measure(folder.path(), behind.port).await.1);
        for (proxy, outcomes) in proxies.iter().zip(&mut outcomes) {
            outcomes.push(measure(folder.path(), proxy.port).await);
        }
    }
    report.note(&format!("load {}", load_average()));
    summarise(report, &proxies, &outcomes, &direct);
}

/// Many connections, then one.
async fn measure(folder: &Path, port: u16) -> (Outcome, Outcome) {
    let url = format!("http://127.0.0.1:{port}/");
    (load::get(folder, &url, CONNECTIONS, SECONDS).await, load::get(folder, &url, 1, 1).await)
}

fn summarise(
    report: &mut Report,
    proxies: &[Proxy],
    outcomes: &[Vec<(Outcome, Outcome)>],
    direct: &[Outcome],
) {
    let middle = |values: Vec<f64>| median(&values);
    let direct_ms = middle(direct.iter().map(|outcome| outcome.p50_ms).collect());
    let mut per_second = Vec::new();
    for (proxy, rounds) in proxies.iter().zip(outcomes) {
        let name = proxy.name;
        let rates: Vec<f64> = rounds.iter().map(|(many, _)| many.per_second).collect();
        report.spread(&format!("{name}: requests"), &rates, "/s", Goal::None);
        let p99 = middle(rounds.iter().map(|(many, _)| many.p99_ms).collect());
        report.row(&format!("{name}: p99"), p99, "ms", Goal::None, "");
        let added = middle(rounds.iter().map(|(_, one)| one.p50_ms).collect()) - direct_ms;
        report.row(
            &format!("{name}: added to one request"),
            added * 1000.0,
            "µs",
            Goal::None,
            "p50, 1 connection",
        );
        let failed: u64 =
            rounds.iter().flat_map(|(a, b)| [a, b]).map(|outcome| outcome.refused + outcome.broken).sum();
        report.row(&format!("{name}: failed"), failed as f64, "", Goal::AtMost(0.0), "");
        report.row(
            &format!("{name}: memory"),
            status_mb(proxy.child.id(), "VmHWM"),
            "MB",
            Goal::None,
            "first process",
        );
        per_second.push((name, median(&rates)));
    }
    let rate = |name: &str| per_second.iter().find(|(known, _)| *known == name).map(|(_, rate)| *rate);
    let Some(ours) = rate("windlass") else { return };
    for (peer, goal) in [("caddy", TIMES_CADDY), ("haproxy", OF_HAPROXY)] {
        if let Some(theirs) = rate(peer) {
            report.row(
                &format!("windlass / {peer}"),
                ours / theirs,
                "×",
                Goal::AtLeast(goal),
                "requests a second",
            );
        }
    }
}

pub fn launch(name: &'static str, port: u16, command: &mut Command) -> Proxy {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let proxy = Proxy { name, port, child };
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < PATIENCE, "`{name}` does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    proxy
}

/// The router as it comes, with everything sent to one program.
pub async fn windlass(folder: &Path, behind: u16) -> Proxy {
    let port = free_port();
    let data = folder.join("data");
    let mut command = Command::new(program());
    command
        .args(["router", "--data-dir"])
        .arg(&data)
        .env("WINDLASS_ROUTER_HTTP", format!("127.0.0.1:{port}"))
        .env("WINDLASS_LOG", "warn");
    let proxy = launch("windlass", port, &mut command);
    let table = parse(&table(1, &[("r", 100, &[([127, 0, 0, 1], behind).into()])]));
    windlass::router::client::RouterClient::new(&data).apply(&table).await.unwrap();
    proxy
}

fn nginx(folder: &Path, name: &'static str, location: &str, upstream: &str) -> Proxy {
    let (port, prefix) = (free_port(), folder.join(name));
    std::fs::create_dir(&prefix).unwrap();
    let place = prefix.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {place}/{kind};"))
        .collect();
    let config = format!(
        "daemon off; worker_processes auto; pid {place}/pid; error_log /dev/null;
         events {{ worker_connections 4096; }}
         http {{ access_log off; keepalive_requests 100000000; {temporary} {upstream}
                server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ {location} }} }} }}"
    );
    let file = prefix.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    launch(name, port, Command::new("nginx").arg("-p").arg(&prefix).arg("-c").arg(&file))
}

fn haproxy(folder: &Path, behind: u16) -> Proxy {
    let (port, file) = (free_port(), folder.join("haproxy.cfg"));
    let config = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n http-reuse always\n\
         frontend f\n bind 127.0.0.1:{port}\n default_backend b\nbackend b\n server s 127.0.0.1:{behind}\n"
    );
    std::fs::write(&file, config).unwrap();
    launch("haproxy", port, Command::new("haproxy").arg("-db").arg("-f").arg(&file))
}

fn caddy(folder: &Path, behind: u16) -> Proxy {
    let (port, file) = (free_port(), folder.join("Caddyfile"));
    let config = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:{port} {{\n reverse_proxy 127.0.0.1:{behind}\n}}\n"
    );
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    // It keeps a state in folders of its own.
    command.env("XDG_DATA_HOME", folder.join("caddy")).env("XDG_CONFIG_HOME", folder.join("caddy"));
    launch("caddy", port, &mut command)
}
