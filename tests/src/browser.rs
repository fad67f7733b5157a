//! A real browser without a window, driven through its WebDriver.

use crate::PATIENCE;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fantoccini::error::CmdError;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use serde_json::{Value, json};

use crate::port::free_port;
use crate::server::{ADMIN_TOKEN, TestServer};
use crate::tools::skipped;

/// One browser with a profile of its own; closed when dropped.
pub struct Browser {
    pub client: Client,
    base: String,
    session: String,
    port: u16,
    driver: Child,
    http: reqwest::Client,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where no browser is installed; says which test was left out for it.
    pub async fn start(test: &str) -> Option<Self> {
        if !is_installed("chromedriver") || !(is_installed("chromium") || is_installed("google-chrome")) {
            skipped(test, "it needs chromium and chromedriver; scripts/setup-test.sh brings them");
            return None;
        }
        let (port, profile) = (free_port(), tempfile::tempdir().unwrap());
        let mut driver = Command::new("chromedriver");
        driver.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        hears_nothing_of_networks(&mut driver);
        let driver = driver.spawn().unwrap();
        let capabilities = json!({
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,900",
                format!("--user-data-dir={}", profile.path().display()),
            ] },
        });
        let base = format!("http://127.0.0.1:{port}");
        let begun = Instant::now();
        let client = loop {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities.as_object().unwrap().clone());
            match builder.connect(&base).await {
                Ok(client) => break client,
                Err(error) if begun.elapsed() > PATIENCE => panic!("the browser does not start: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        let session = client.session_id().await.unwrap().unwrap();
        Some(Self { client, base, session, port, driver, http: reqwest::Client::new(), _profile: profile })
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Opens the dashboard and pastes the administrator's token.
    pub async fn log_in(&self, server: &TestServer) {
        self.log_in_with(server, ADMIN_TOKEN).await;
    }

    /// The same with somebody else's token.
    pub async fn log_in_with(&self, server: &TestServer, token: &str) {
        self.open(&format!("{}/login", server.url)).await;
        self.fill("#token", token).await;
        self.press("form.stack-v button").await;
        self.wait_for("nav[aria-label=Main]").await;
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.wait_for(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn press(&self, css: &str) {
        let begun = Instant::now();
        loop {
            match self.wait_for(css).await.click().await {
                Ok(()) => return,
                // A live part was swapped between finding the button and pressing it; a person would press the new one.
                Err(error) if error.is_stale_element_reference() && begun.elapsed() < PATIENCE => {}
                Err(error) => panic!("`{css}` cannot be pressed: {error}"),
            }
        }
    }

    pub async fn wait_for(&self, css: &str) -> fantoccini::elements::Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => {
                panic!("`{css}` does not appear: {error}; the page says:\n{}", self.text("body").await)
            }
        }
    }

    /// The visible text of the first element that fits; empty if there is none.
    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            // The script may have replaced it in between.
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Waits until the text of an element contains `wanted`.
    pub async fn wait_text(&self, css: &str, wanted: &str) {
        let begun = Instant::now();
        loop {
            let text = self.text(css).await;
            if text.contains(wanted) {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let page = self.text("body").await;
                panic!("`{css}` never says `{wanted}`, but `{text}`; the page says:\n{page}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn value(&self, css: &str) -> String {
        self.wait_for(css).await.prop("value").await.unwrap().unwrap_or_default()
    }

    pub async fn run(&self, script: &str) -> Value {
        let result: Result<Value, CmdError> = self.client.execute(script, Vec::new()).await;
        result.unwrap()
    }

    /// From now on the window is a phone's, exactly so many pixels wide.
    pub async fn become_phone(&self, width: u32) {
        let parameters = json!({ "width": width, "height": 740, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", parameters).await;
    }

    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.driver_call("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// Keeps a picture of the whole page in the folder that `WINDLASS_SHOTS` names, for people to look at; without it, none.
    pub async fn shot(&self, name: &str) {
        let Some(folder) = std::env::var_os("WINDLASS_SHOTS") else { return };
        let picture = self.devtools("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(std::path::Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }

    /// What the console complained about since the last call: errors, warnings and violations of the policy.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.driver_call("se/log", json!({ "type": "browser" })).await;
        let entries = entries.as_array().unwrap().clone();
        let bad =
            entries.into_iter().filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")));
        bad.map(|entry| entry["message"].to_string()).collect()
    }

    /// Commands that only this driver has.
    async fn driver_call(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/session/{}/{path}", self.base, self.session);
        let answer: Value = self.http.post(url).json(&body).send().await.unwrap().json().await.unwrap();
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver closes the browser when it is asked to; killed, it would leave it running.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
            let request = format!(
                "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
                self.session, self.port
            );
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 1024]);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Chromium breaks off whatever it loads when the machine gets or loses an address (`ERR_NETWORK_CHANGED`), and containers of
/// other tests come and go all the time. It learns of addresses by netlink; where it has none, it takes them for settled.
fn hears_nothing_of_networks(command: &mut Command) {
    let is_netlink =
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::AF_NETLINK as u64).unwrap();
    let rules = BTreeMap::from([(libc::SYS_socket, vec![SeccompRule::new(vec![is_netlink]).unwrap()])]);
    let refusal = SeccompAction::Errno(libc::EAFNOSUPPORT as u32);
    let machine = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, machine).unwrap();
    let program = BpfProgram::try_from(filter).unwrap();
    // SAFETY: between fork and exec only two system calls are made, with what was prepared before.
    unsafe {
        command.pre_exec(move || {
            apply_filter(&program).map_err(|_| std::io::ErrorKind::PermissionDenied.into())
        });
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
