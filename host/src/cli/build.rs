//! `build plan | artifacts | download`: what a build would do, and what builds have left behind.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Deserialize;

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::{Table, cells};
use super::text::{clean, log_line, short};

#[derive(Debug, Subcommand)]
pub enum BuildCommand {
    /// Say what a build would do, with the Dockerfile where the planner writes one. Nothing is built.
    #[command(after_help = "Examples:
  windlass build plan web               for the repository's branch
  windlass build plan web --ref v1.4    for a branch, tag or commit")]
    Plan {
        /// Name, number or id of the stack.
        stack: String,
        /// Branch, tag or commit; the repository's branch if left out.
        #[arg(long = "ref", value_name = "REF")]
        git_ref: Option<String>,
    },
    /// List the files that a build has left behind.
    Artifacts {
        /// Number or id of the build.
        build: String,
    },
    /// Save a file that a build has left behind.
    Download {
        /// Number or id of the build.
        build: String,
        /// Its path, as `artifacts` lists it.
        path: String,
        /// Where to; the path's last part in this folder if left out.
        #[arg(short = 'f', long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Plan {
    stack: String,
    planner: String,
    commit_sha: String,
    commit_subject: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    words: String,
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    path: String,
    size: i64,
    sha256: String,
    expires_at: String,
}

pub async fn build(session: &Session, command: &BuildCommand) -> Outcome<u8> {
    match command {
        BuildCommand::Plan { stack, git_ref } => plan(session, stack, git_ref.as_deref()).await?,
        BuildCommand::Artifacts { build } => artifacts(session, build).await?,
        BuildCommand::Download { build, path, file } => download(session, build, path, file.clone()).await?,
    }
    Ok(exit::SUCCESS)
}

async fn plan(session: &Session, stack: &str, git_ref: Option<&str>) -> Outcome<()> {
    let out = &session.out;
    let query: Vec<(&str, &str)> = git_ref.map(|name| ("ref", name)).into_iter().collect();
    let value = session
        .client
        .get_with(&["stacks", stack, "build-plan"], &query)
        .await
        .map_err(|failure| unknown_stack(failure, stack))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let plan: Plan = read(&value)?;
    out.line(&format!(
        "Stack {}: commit {} {}, planned by {}.",
        clean(&plan.stack),
        short(&plan.commit_sha),
        clean(&plan.commit_subject),
        clean(&plan.planner)
    ));
    for (at, step) in plan.steps.iter().enumerate() {
        out.line(&format!("\n{}. {}", at + 1, out.paint(Tone::Strong, &clean(&step.words))));
        for line in step.text.iter().flat_map(|text| text.lines()) {
            out.line(&format!("   {}", log_line(line, false)));
        }
    }
    Ok(())
}

async fn listed(session: &Session, build: &str) -> Outcome<serde_json::Value> {
    session.client.get(&["builds", build, "artifacts"]).await
}

async fn artifacts(session: &Session, build: &str) -> Outcome<()> {
    let value = listed(session, build).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(());
    }
    let mut table = Table::new(&["FILE", "BYTES", "SHA256", "KEPT UNTIL"]);
    for one in read::<Vec<Artifact>>(&value)? {
        table.row(cells![one.path, one.size, short(&one.sha256), one.expires_at]);
    }
    table.print(&session.out);
    Ok(())
}

async fn download(session: &Session, build: &str, path: &str, file: Option<PathBuf>) -> Outcome<()> {
    let all: Vec<Artifact> = read(&listed(session, build).await?)?;
    if !all.iter().any(|one| one.path == path) {
        return Err(Failure::usage(format!("Build {} has left no `{}` behind.", clean(build), clean(path)))
            .advise(format!("`windlass build artifacts {}` lists what there is.", clean(build))));
    }
    let own = path.rsplit('/').next().unwrap_or(path);
    let file = file.unwrap_or_else(|| PathBuf::from(own));
    let unwritable = |error: std::io::Error| {
        Failure::usage(format!("{} cannot be written: {error}.", file.display()))
            .advise("Choose another file with -f.")
    };
    let (address, query) = (["builds", build, "artifacts", "content"], [("path", path)]);
    let mut response = session.client.stream(&address, &query, "application/octet-stream", None).await?;
    let mut target = std::fs::File::create(&file).map_err(unwritable)?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| {
        Failure::usage(format!("The server hung up in the middle of the file: {error}."))
            .advise("Try it again.")
    })? {
        target.write_all(&chunk).map_err(unwritable)?;
        bytes += chunk.len();
    }
    if !session.out.is_json() {
        session.out.line(&format!("Saved {} ({bytes} bytes).", file.display()));
    }
    Ok(())
}
