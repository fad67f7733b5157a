//! A build's log with real viewers: the API in this process, over HTTP, and containers that write what a viewer can check.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt as _;
use reqwest::Response;
use tempfile::TempDir;
use windlass::app::logs::{LogKind, LogWriter};
use windlass::app::{App, token};
use windlass::config::Config;
use windlass::docker::Docker;
use windlass::domain::build::{Build, BuildStatus};
use windlass::store::{builds, now};

use crate::compiled::borrow_plugins;
use crate::docker::{BUSYBOX, TestEngine};
use crate::sample;
use crate::server::{ADMIN_TOKEN, program};

/// One build that runs, whose log is looked at.
pub struct LogRig {
    pub app: App,
    pub url: String,
    pub build: Build,
    pub folder: TempDir,
    server: tokio::task::JoinHandle<()>,
}

impl LogRig {
    pub async fn start() -> Self {
        Self::start_on(None).await
    }

    /// With the database at this URL.
    pub async fn start_on(database: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, logs) = (folder.path().join("data"), folder.path().join("logs"));
        borrow_plugins(&data);
        let variable = |name: &str| match name {
            "WINDLASS_DATA_DIR" => Some(data.display().to_string()),
            "BUILD_LOG_DIR" => Some(logs.display().to_string()),
            "WINDLASS_DATABASE_URL" => database.map(str::to_owned),
            _ => None,
        };
        let app = App::open(Config::load(None, variable).unwrap(), Some(program())).await.unwrap();
        token::token_bootstrap(&app, Some(ADMIN_TOKEN)).await.unwrap();
        let stack = sample::store(&app.db, "web").await.stack;
        let row = Build { status: BuildStatus::Building, ..sample::build(&stack, None) };
        let build = app.db.write(move |tx| Box::pin(async move { builds::insert(tx, row).await }));
        let build = build.await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let document = serde_json::to_value(windlass::api::openapi()).unwrap();
        let policies = windlass::api::Policies::of(&document, &[]);
        let routes = windlass::api::router().layer(axum::Extension(policies)).with_state(app.clone());
        let server = tokio::spawn(async move {
            let service = routes.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).await.unwrap();
        });
        Self { app, url, build, folder, server }
    }

    pub fn writer(&self, secrets: &[&str]) -> LogWriter {
        let secrets = secrets.iter().map(ToString::to_string).collect();
        self.app.logs.writer(LogKind::Build, &self.build.id, secrets).unwrap()
    }

    /// What the API answers.
    pub async fn get(&self, path: &str) -> String {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url)).bearer_auth(ADMIN_TOKEN);
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }

    /// After this, viewers that have read everything are told so.
    pub async fn end_build(&self) {
        let id = self.build.id.clone();
        let ended = self.app.db.write(move |tx| {
            Box::pin(async move {
                let (from, to) = (BuildStatus::Building, BuildStatus::Success);
                builds::set_status(tx, &id, from, to, None, now()).await
            })
        });
        ended.await.unwrap();
    }

    pub fn path(&self) -> String {
        format!("/api/v1/builds/{}/logs", self.build.seq)
    }

    /// A live view that begins after a position.
    pub async fn watch(&self, after: &str) -> Response {
        let request = reqwest::Client::new().get(format!("{}{}", self.url, self.path()));
        let request = request.bearer_auth(ADMIN_TOKEN).header("accept", "text/event-stream");
        request.header("last-event-id", after).send().await.unwrap().error_for_status().unwrap()
    }

    /// Everything on disk.
    pub fn on_disk(&self) -> String {
        let folder = self.app.logs.path(LogKind::Build, &self.build.id);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }
}

impl Drop for LogRig {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A container that writes its numbered lines; made, and not started yet.
pub struct Chatter {
    pub engine: TestEngine,
    pub name: String,
}

impl Chatter {
    /// `script` is run by busybox's shell.
    pub async fn create(script: &str) -> Self {
        let engine = TestEngine::start().await;
        let context = engine.context(&format!("{BUSYBOX}RUN /bin/busybox --install -s /bin\n"));
        let (image, name) = (engine.named("chatter"), engine.named("run"));
        engine.make_image(&image, &context);
        let label = format!("dev.windlass.server={}", engine.name);
        let made =
            engine.cli(&["create", "--name", &name, "--label", &label, &image, "/bin/sh", "-c", script]);
        assert!(!made.is_empty(), "the container was not made");
        Self { engine, name }
    }

    /// So many lines, as fast as it can: `17 is a line of a real container`.
    pub async fn of_lines(count: u64) -> Self {
        Self::create(&format!("seq 1 {count} | sed 's/$/ is a line of a real container/'")).await
    }

    pub fn docker(&self) -> &Docker {
        &self.engine.docker
    }

    /// Starts it and writes what it writes, until it ends.
    pub async fn pour_into(&self, log: &LogWriter) {
        let mut output = std::pin::pin!(self.docker().output(&self.name).await.unwrap());
        let name = self.name.clone();
        let start = tokio::task::spawn_blocking(move || {
            std::process::Command::new("docker").args(["start", &name]).output().unwrap()
        });
        while let Some(lines) = output.next().await {
            let lines = lines.unwrap();
            log.lines(lines.iter().map(|line| line.text.as_str()));
        }
        assert!(start.await.unwrap().status.success());
    }
}

/// Reads a live view to its end. `line` gets each line's number, which is the one after the last or a panic, and its text.
pub async fn view(response: Response, first: u64, mut line: impl FnMut(u64, &[u8])) -> u64 {
    let (mut stream, mut rest, mut next) = (response.bytes_stream(), Vec::new(), first);
    while let Some(Ok(bytes)) = stream.next().await {
        rest.extend_from_slice(&bytes);
        let mut from = 0;
        while let Some(end) = find(&rest[from..], b"\n\n") {
            let event = &rest[from..from + end];
            from += end + 2;
            if event.starts_with(b"event: end") {
                return next - first;
            }
            let Some(event) = event.strip_prefix(b"id: 0:") else { continue };
            let cut = find(event, b"\ndata: ").expect("an event with data");
            let number: u64 = std::str::from_utf8(&event[..cut]).unwrap().parse().unwrap();
            assert_eq!(number, next, "a line is missing or came twice");
            next += 1;
            line(number, &event[cut + 7..]);
        }
        rest.drain(..from);
    }
    panic!("the view broke off after line {}", next - 1);
}

/// A viewer that checks that each line is the one that a [`Chatter`] has written there.
pub fn checking_viewer(rig: &Arc<LogRig>) -> tokio::task::JoinHandle<u64> {
    let rig = rig.clone();
    tokio::spawn(async move {
        let response = rig.watch("0:0").await;
        view(response, 1, |number, text| {
            let said = text[13..].split(|byte| *byte == b' ').next().unwrap();
            assert_eq!(std::str::from_utf8(said).unwrap().parse(), Ok(number), "the lines are out of order");
        })
        .await
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == wanted[0]) {
        if bytes[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
