//! Following a deployment to its end: as a bar on a terminal, as lines elsewhere, as JSON where that is asked for.

use std::ops::ControlFlow;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::Session;
use super::client::read;
use super::failure::{Failure, Kind, Outcome, exit};
use super::output::{Output, Tone};
use super::sse;
use super::text::{self, status_tone, status_word};
use super::view::Deployment;
use crate::domain::deployment::DeploymentStatus;

/// Between two looks. Asking again and again survives a restart of the server, which a rollout does as well.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// For the last lines of a log after its deployment has ended.
const LOG_PATIENCE: Duration = Duration::from_secs(10);

/// How to wait, in every command that can.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Wait until the deployment has ended; the exit code is its outcome.
    #[arg(short, long)]
    pub wait: bool,
    /// Wait, and show the log while it is written.
    #[arg(short, long)]
    pub follow: bool,
    /// Stop waiting after this many seconds, with exit code 4. The deployment goes on.
    #[arg(long, value_name = "SECS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
}

impl WaitArgs {
    pub fn waits(&self) -> bool {
        self.wait || self.follow
    }
}

/// Waits for the deployment's end, shows it, and gives the exit code.
pub async fn follow(session: &Session, first: Value, args: &WaitArgs) -> Outcome<u8> {
    let number = read::<Deployment>(&first)?.seq;
    let display = Display::new(&session.out);
    let watching = async {
        if args.follow {
            watch_with_log(session, &display, first, number).await
        } else {
            watch(session, &display, first).await
        }
    };
    let result = tokio::select! {
        result = timeout(Duration::from_secs(args.timeout), watching) => result.unwrap_or_else(|_| Err(Failure {
            kind: Kind::Timeout,
            what: format!("Deployment {number} has not ended after {}.", text::seconds(i64::try_from(args.timeout).unwrap_or(i64::MAX))),
            advice: goes_on(number),
        })),
        _ = tokio::signal::ctrl_c() => Err(Failure {
            kind: Kind::Interrupted,
            what: format!("Deployment {number} is not waited for any more."),
            advice: goes_on(number),
        }),
    };
    display.clear();
    let last = result?;
    verdict(&session.out, &last);
    Ok(outcome(last.status))
}

/// The exit code that a deployment's end stands for.
pub fn outcome(status: DeploymentStatus) -> u8 {
    match status {
        DeploymentStatus::Failed | DeploymentStatus::RolledBack => exit::FAILED,
        DeploymentStatus::Cancelled => exit::CANCELLED,
        _ => exit::SUCCESS,
    }
}

fn goes_on(number: i64) -> String {
    format!(
        "It goes on: watch it with `windlass status {number} -w`, stop it with `windlass cancel {number}`."
    )
}

async fn watch(session: &Session, display: &Display<'_>, first: Value) -> Outcome<Deployment> {
    let mut value = first;
    let number = read::<Deployment>(&value)?.seq.to_string();
    let mut away_since = None;
    loop {
        let deployment: Deployment = read(&value)?;
        display.state(&value, &deployment);
        if deployment.status.is_terminal() {
            return Ok(deployment);
        }
        sleep(LOOK_EVERY).await;
        loop {
            match session.client.get(&["deployments", &number]).await {
                Ok(next) => {
                    value = next;
                    away_since = None;
                    break;
                }
                Err(failure) if sse::is_passing(&failure) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > sse::AWAY_LIMIT {
                        return Err(failure);
                    }
                    display.away();
                    sleep(LOOK_EVERY * 2).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

async fn watch_with_log(
    session: &Session,
    display: &Display<'_>,
    first: Value,
    number: i64,
) -> Outcome<Deployment> {
    let over = Notify::new();
    let state = async {
        let result = watch(session, display, first).await;
        over.notify_one();
        result
    };
    let number = number.to_string();
    let path = ["deployments", &number, "logs"];
    let lines = async {
        // The log ends when the deployment does, unless something in between holds the stream up.
        let late = async {
            over.notified().await;
            sleep(LOG_PATIENCE).await;
        };
        tokio::select! {
            result = log_lines(session, &path, |line| display.log_line(line)) => result.map(drop),
            () = late => Ok(()),
        }
    };
    let (state, lines) = tokio::join!(state, lines);
    // A log that cannot be read is a pity and no reason not to wait.
    if let Err(failure) = lines {
        session.out.note(&format!("The log broke off: {}", failure.what));
    }
    state
}

/// Hands the lines of a live log to `show` until it ends, or nobody reads what is printed. Returns the final status.
pub async fn log_lines(session: &Session, path: &[&str], show: impl Fn(&str)) -> Outcome<String> {
    let mut end = String::new();
    sse::follow(&session.client, path, |event| {
        match event.name.as_str() {
            "end" => {
                end = event.data;
                return ControlFlow::Break(());
            }
            "error" => {
                session.out.note(&format!("The log cannot be read right now: {}", text::clean(&event.data)))
            }
            _ => show(&event.data),
        }
        if session.out.is_closed() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .await?;
    Ok(end)
}

/// One sentence on how it ended; bad news goes to standard error.
fn verdict(out: &Output, deployment: &Deployment) {
    if out.is_json() {
        return;
    }
    let after =
        deployment.duration.map_or(String::new(), |duration| format!(" after {}", text::seconds(duration)));
    let word = out.paint(status_tone(deployment.status), status_word(deployment.status));
    let subject = format!("Deployment {} {word}{after}", deployment.seq);
    if deployment.status == DeploymentStatus::Successful {
        let pause = deployment
            .pause_ms
            .map_or(String::new(), |ms| format!("; the hand-over paused traffic for {ms} ms"));
        out.line(&format!("{subject}{pause}."));
        return;
    }
    let why = deployment.error.as_deref().map_or(String::new(), |error| format!(": {}", text::clean(error)));
    out.note(&format!("{subject}{why}"));
    if deployment.status != DeploymentStatus::Cancelled {
        out.note(&format!("The log has more: windlass logs {}", deployment.seq));
    }
}

enum Mode {
    Bar(ProgressBar),
    Lines,
    Json,
}

/// Shows each change once.
struct Display<'a> {
    out: &'a Output,
    mode: Mode,
    shown: std::cell::RefCell<String>,
}

impl<'a> Display<'a> {
    fn new(out: &'a Output) -> Self {
        let mode = if out.is_json() {
            Mode::Json
        } else if out.is_interactive() {
            Mode::Bar(bar(out.colours()))
        } else {
            Mode::Lines
        };
        Self { out, mode, shown: std::cell::RefCell::default() }
    }

    fn state(&self, value: &Value, deployment: &Deployment) {
        let label = text::clean(&deployment.label);
        let text = match &self.mode {
            Mode::Bar(bar) => {
                bar.set_prefix(format!("{:<10}", status_word(deployment.status)));
                bar.set_position(deployment.progress.min(100));
                bar.set_message(label);
                return;
            }
            Mode::Lines => {
                format!("{:>3} %  {:<10}  {label}", deployment.progress, status_word(deployment.status))
            }
            Mode::Json => value.to_string(),
        };
        if self.shown.replace(text.clone()) != text {
            self.out.line(text.trim_end());
        }
    }

    fn away(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.set_message("the server does not answer; still trying");
        }
    }

    fn log_line(&self, line: &str) {
        let line = text::log_line(line, self.out.colours());
        match &self.mode {
            Mode::Bar(bar) => bar.suspend(|| self.out.line(&line)),
            Mode::Lines => self.out.line(&line),
            Mode::Json => self.out.json_line(&json!({ "line": line })),
        }
    }

    fn clear(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }
}

fn bar(colours: bool) -> ProgressBar {
    let template = if colours {
        "{spinner:.cyan} {prefix:.cyan} [{bar:30.cyan/dim}] {pos:>3} %  {wide_msg}"
    } else {
        "{spinner} {prefix} [{bar:30}] {pos:>3} %  {wide_msg}"
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(100).with_style(style.progress_chars("=> "));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// `deployment 7 (main abc1234 "Fix the login", 3 h ago)`.
pub fn describe(out: &Output, deployment: &Deployment) -> String {
    let source = text::clean(&deployment.source());
    let separator = if source.is_empty() { "" } else { ", " };
    out.paint(Tone::Strong, &format!("deployment {}", deployment.seq))
        + &format!(" ({source}{separator}{})", text::ago(&deployment.started_at))
}
