//! One look at a container's health. When looks add up to a verdict is `domain::health`'s business.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{ContainerView, Docker};
use crate::domain::{
    UnixMs,
    health::{HealthCheck, Probe},
};

/// For one probe as a whole.
const PATIENCE: Duration = Duration::from_secs(2);
/// In which a proxy notices that nobody is behind it.
const HANG_UP: Duration = Duration::from_millis(300);
/// How long a container without a port or check has to run before that counts as healthy, in milliseconds.
const SETTLED: UnixMs = 1000;
/// More than any status line.
const HEAD: usize = 1024;

impl Docker {
    /// Asks by HTTP if `check` names a path, else takes the verdict of the image's HEALTHCHECK, else sees whether the first
    /// port is open; a container with none of these only has to run for a second. `view` should be fresh; `now` is in
    /// unix milliseconds.
    ///
    /// The container is asked at its own address where that can be reached, not at a published port: the engine's proxy
    /// accepts connections there before the program listens, and hangs up on them.
    pub async fn probe(&self, view: &ContainerView, check: &HealthCheck, now: UnixMs) -> Probe {
        if !view.container.running {
            return Probe::Failure(not_running(view));
        }
        if let Some(path) = &check.path {
            let Some(port) = view.port else {
                return Probe::Failure(format!(
                    "GET {path}: the container has no port; add one to the stack"
                ));
            };
            return http(view, port, path).await;
        }
        match (view.health.as_deref(), view.port) {
            (Some("healthy"), _) => Probe::Success,
            (Some("starting"), _) => Probe::Failure("the image's health check is still starting".into()),
            (Some(word), _) => Probe::Failure(match view.health_output.as_str() {
                "" => format!("the image's health check says {word}"),
                output => format!("the image's health check says {word}: {output}"),
            }),
            (None, Some(_)) => match view.address() {
                Some(address) => open(address, view.ip.is_none()).await,
                None => Probe::Failure("the container has no address yet".into()),
            },
            (None, None) if view.started_at.is_some_and(|since| now - since >= SETTLED) => Probe::Success,
            (None, None) => Probe::Failure("the container has not run for a second yet".into()),
        }
    }
}

fn not_running(view: &ContainerView) -> String {
    let code = view.exit_code.map(|code| format!(" with code {code}")).unwrap_or_default();
    match view.state.as_str() {
        "created" if !view.error.is_empty() => format!("the container did not start: {}", view.error),
        "created" => "the container has not been started".into(),
        "paused" => "the container is paused".into(),
        "restarting" => {
            format!("the container exited{code} and is being restarted ({} restarts)", view.restarts)
        }
        _ if view.oom_killed => "the container ran out of memory and was killed".into(),
        _ => format!("the container exited{code}"),
    }
}

/// `by_proxy`: somebody may answer in the program's place, who hangs up at once if it does not listen.
async fn open(address: SocketAddr, by_proxy: bool) -> Probe {
    match timeout(PATIENCE, TcpStream::connect(address)).await {
        Ok(Ok(mut stream)) if by_proxy => match timeout(HANG_UP, stream.read(&mut [0; 1])).await {
            Ok(Ok(0) | Err(_)) => Probe::Failure("nothing listens there yet".into()),
            Ok(Ok(_)) | Err(_) => Probe::Success,
        },
        Ok(Ok(_)) => Probe::Success,
        Ok(Err(error)) => Probe::Failure(format!("port {} is not open: {}", address.port(), plain(&error))),
        Err(_) => Probe::Failure(format!("port {} did not answer within 2 s", address.port())),
    }
}

async fn http(view: &ContainerView, port: u16, path: &str) -> Probe {
    let own = view.ip.map(|ip| SocketAddr::new(ip, port));
    // Where containers live in a machine of their own (Docker Desktop) only the published port can be reached.
    let published = view.ports.iter().find(|published| published.container == port);
    let published = published.map(|published| SocketAddr::new(published.address, published.host));
    let Some(address) = own.or(published) else {
        return Probe::Failure("the container has no address yet".into());
    };
    let asked = timeout(PATIENCE, get(address, path)).await;
    let asked = match (&asked, published) {
        (Err(_), Some(other)) if other != address => timeout(PATIENCE, get(other, path)).await,
        _ => asked,
    };
    match asked {
        Ok(Ok(200..=399)) => Probe::Success,
        Ok(Ok(status)) => Probe::Failure(format!("GET {path} answered {status}")),
        Ok(Err(error)) => Probe::Failure(format!("GET {path}: {}", plain(&error))),
        Err(_) => Probe::Failure(format!("GET {path} did not answer within 2 s")),
    }
}

/// The status of one answer; its body is nobody's business.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    if !path.starts_with('/') || path.chars().any(|c| c.is_control() || c == ' ') {
        return Err(std::io::Error::other("the path is not a path"));
    }
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: windlass-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(HEAD);
    while !head.contains(&b'\n') && head.len() < HEAD {
        if (&mut stream).take((HEAD - head.len()) as u64).read_buf(&mut head).await? == 0 {
            break;
        }
    }
    let line = String::from_utf8_lossy(&head);
    let mut words = line.lines().next().unwrap_or_default().split_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    words
        .next()
        .filter(|_| is_http)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "nothing listens there yet".into(),
        std::io::ErrorKind::ConnectionReset => "the connection was reset".into(),
        _ => error.to_string(),
    }
}
