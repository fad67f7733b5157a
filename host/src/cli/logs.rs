//! `logs`: of a deployment, of a stack's newest deployment, or of a build.

use clap::Args;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::read;
use super::failure::{Failure, Kind, Outcome, exit};
use super::{follow, status, text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass logs 12            the log of deployment 12, its build included
  windlass logs web -f        the newest deployment of stack web, live
  windlass logs --build 7
  windlass logs web --find 'error|warn' --regex

With -f, lines are shown as they are written; after a broken connection it goes on where it was.
-o json prints one object a line.")]
pub struct LogsArgs {
    /// Number or id of a deployment, or the stack whose newest one is meant.
    #[arg(value_name = "DEPLOYMENT|STACK", required_unless_present = "build", conflicts_with = "build")]
    target: Option<String>,
    /// Number or id of a build.
    #[arg(long, value_name = "BUILD")]
    build: Option<String>,
    /// Follow until the deployment or build has ended.
    #[arg(short, long)]
    follow: bool,
    /// Only the lines that have this text, in upper or lower case. Without one, the exit code is 1.
    #[arg(long, value_name = "TEXT", conflicts_with = "follow")]
    find: Option<String>,
    /// The text to find is a regular expression.
    #[arg(long, requires = "find")]
    regex: bool,
}

pub async fn logs(session: &Session, args: &LogsArgs) -> Outcome<u8> {
    let (kind, id) = match (&args.build, &args.target) {
        (Some(build), _) => ("builds", build.clone()),
        (None, Some(target)) => {
            ("deployments", status::deployment_number(session, target).await?.to_string())
        }
        (None, None) => return Err(Failure::usage("A deployment, a stack or --build is needed.")),
    };
    if let Some(text) = &args.find {
        return find(session, [kind, id.as_str()], text, args.regex).await;
    }
    show(session, &[kind, id.as_str(), "logs"], args.follow).await
}

/// Prints the log at this path of the API, as it is now or until its end.
pub async fn show(session: &Session, path: &[&str], is_followed: bool) -> Outcome<u8> {
    if is_followed {
        let end = follow::log_lines(session, path, |line| print(session, line)).await?;
        if session.out.is_json() {
            session.out.json_line(&json!({ "end": end }));
        }
        return Ok(exit::SUCCESS);
    }
    if whole(session, path).await? == 0 {
        session.out.note("The log is empty so far; -f waits for its lines.");
    }
    Ok(exit::SUCCESS)
}

/// Prints the lines that have the text, page by page; the server looks through the log.
async fn find(session: &Session, [kind, id]: [&str; 2], text: &str, is_regex: bool) -> Outcome<u8> {
    let mut after = String::new();
    let mut any = false;
    loop {
        let regex = is_regex.to_string();
        let mut query = vec![("q", text), ("regex", regex.as_str()), ("limit", "1000")];
        if !after.is_empty() {
            query.push(("after", after.as_str()));
        }
        let page: FoundPage = read(&session.client.get_with(&[kind, id, "logs", "search"], &query).await?)?;
        for found in &page.items {
            any = true;
            print(session, &found.text);
        }
        match page.next.filter(|_| !session.out.is_closed()) {
            Some(next) => after = next,
            None => return Ok(if any { exit::SUCCESS } else { exit::FAILED }),
        }
    }
}

#[derive(Deserialize)]
struct FoundPage {
    items: Vec<FoundLine>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct FoundLine {
    text: String,
}

/// Prints the log as it is now, and returns how many lines that were.
async fn whole(session: &Session, path: &[&str]) -> Outcome<usize> {
    let response = session.client.stream(path, &[], "text/plain", None).await?;
    let mut chunks = response.bytes_stream();
    let mut rest = Vec::new();
    let mut lines = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Failure {
            kind: Kind::Unreachable,
            what: format!("The log broke off after {lines} lines: {}.", text::clean(&error.to_string())),
            advice: "Try again; `windlass logs -f` resumes by itself.".into(),
        })?;
        rest.extend_from_slice(&chunk);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
        for line in rest[..end].split(|byte| *byte == b'\n') {
            print(session, &String::from_utf8_lossy(line));
            lines += 1;
        }
        rest.drain(..=end);
        if session.out.is_closed() {
            return Ok(lines);
        }
    }
    if !rest.is_empty() {
        print(session, &String::from_utf8_lossy(&rest));
        lines += 1;
    }
    Ok(lines)
}

fn print(session: &Session, line: &str) {
    if session.out.is_json() {
        session.out.json_line(&json!({ "line": text::log_line(line, false) }));
    } else {
        session.out.line(&text::log_line(line, session.out.colours()));
    }
}
