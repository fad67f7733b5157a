//! `logs`: of a deployment, of a stack's newest deployment, or of a build.

use clap::Args;
use futures_util::StreamExt;
use serde_json::json;

use super::Session;
use super::failure::{Failure, Kind, Outcome, exit};
use super::{follow, status, text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass logs 12            the log of deployment 12, its build included
  windlass logs web -f        the newest deployment of stack web, live
  windlass logs --build 7

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
}

pub async fn logs(session: &Session, args: &LogsArgs) -> Outcome<u8> {
    let (kind, id) = match (&args.build, &args.target) {
        (Some(build), _) => ("builds", build.clone()),
        (None, Some(target)) => {
            ("deployments", status::deployment_number(session, target).await?.to_string())
        }
        (None, None) => return Err(Failure::usage("A deployment, a stack or --build is needed.")),
    };
    let path = [kind, id.as_str(), "logs"];
    if args.follow {
        let end = follow::log_lines(session, &path, |line| print(session, line)).await?;
        if session.out.is_json() {
            session.out.json_line(&json!({ "end": end }));
        }
        return Ok(exit::SUCCESS);
    }
    if whole(session, &path).await? == 0 {
        session.out.note("The log is empty so far; -f waits for its lines.");
    }
    Ok(exit::SUCCESS)
}

/// Prints the log as it is now, and returns how many lines that were.
async fn whole(session: &Session, path: &[&str]) -> Outcome<usize> {
    let response = session.client.stream(path, "text/plain", None).await?;
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
