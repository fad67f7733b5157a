//! `job list | make | update | run | sync | builds | show | logs | cancel | rerun | artifacts | delete`: jobs at providers, and their builds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::pipeline::{TemplateArgs, files_of_template};
use super::stack_input::read_file;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, bytes, clean};
use super::view::Items;
use super::{Session, client::read, logs, template};
use crate::domain::cicd::Origin;
use crate::domain::difference::{DiffLine, nearby};

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// List jobs with the status of their newest builds.
    List {
        /// Only those of this provider: its name, number or id.
        #[arg(long)]
        provider: Option<String>,
    },
    /// Make a job at a provider, or bring the one of that name into the state asked for.
    #[command(after_help = "\
A file has, as TOML or JSON: provider, name, repository (url, branch); and what it does: scripts (path, parameters) on hosts (name,
ip, environment), files of a pipeline (path, content), or committed = true if the repository has it. If needed: description,
folder, parameters with their defaults, generator and its settings, report, watch, retries and retry_delay_secs, and failover: the
second provider for builds that do not begin (provider, after_secs, and how its pipeline comes about).")]
    Make {
        /// TOML or JSON file; - reads standard input.
        #[arg(short, long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Change a job at its provider. Its builds and their logs stay.
    #[command(after_help = "\
The file is as for `job make`; provider, name, repository and folder may be left out, and stay. What would differ is shown, and is
done with --yes. With --template the job stays as it is but for its pipeline, which a stored template makes. The job of a stack follows the stack: change it with `windlass provider assign`.")]
    Update {
        /// Number or id of the job.
        job: String,
        /// TOML or JSON file; - reads standard input.
        #[arg(short, long, value_name = "FILE", required_unless_present = "template")]
        file: Option<PathBuf>,
        #[command(flatten)]
        template: TemplateArgs,
        /// Yes, do what is shown.
        #[arg(short, long)]
        yes: bool,
    },
    /// Start a build.
    Run(RunArgs),
    /// Have the provider asked now whether somebody else has started a build.
    Sync {
        /// Number or id of the job.
        job: String,
    },
    /// List a job's builds, newest first.
    Builds {
        /// Number or id of the job.
        job: String,
    },
    /// Show a build.
    Show {
        /// Number or id of the build.
        build: String,
    },
    /// Show the log of a build.
    Logs {
        /// Number or id of the build.
        build: String,
        /// Follow until it has ended.
        #[arg(short, long)]
        follow: bool,
    },
    /// Have the provider stop a build.
    Cancel {
        /// Number or id of the build.
        build: String,
    },
    /// Start a build with the values of another one.
    Rerun {
        /// Number or id of the build.
        build: String,
    },
    /// List what a build made.
    Artifacts {
        /// Number or id of the build.
        build: String,
    },
    /// Delete a job at the provider, and what is known of its builds.
    Delete {
        /// Number or id of the job.
        job: String,
        /// Yes, with its builds.
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Number or id of the job.
    job: String,
    /// Value of a parameter; can be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Branch or tag; the job's own if left out.
    #[arg(long = "ref", value_name = "NAME")]
    ref_name: Option<String>,
    /// Seconds after which it is stopped; an hour if left out.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// How often it is started again if it fails; as the job has it if left out.
    #[arg(long, value_name = "TIMES")]
    retries: Option<u32>,
    /// Show its log until it has ended.
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Deserialize)]
struct Job {
    seq: i64,
    name: String,
    external_id: Option<String>,
    status: Option<String>,
    last_build_number: Option<String>,
    last_synced_at: Option<String>,
    job_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Build {
    seq: i64,
    number: String,
    status: String,
    origin: String,
    url: Option<String>,
    trouble: Option<String>,
    error: Option<String>,
    created_at: String,
    finished_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Artifact {
    id: String,
    path: String,
    size_bytes: Option<u64>,
}

pub async fn job(session: &Session, command: &JobCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        JobCommand::List { provider } => list(session, provider.as_deref()).await?,
        JobCommand::Make { file } => {
            let value = client.post(&["ci", "jobs"], &Value::Object(read_file(file)?)).await?;
            show_job(session, &value)?;
        }
        JobCommand::Update { job, file, template, yes } => {
            let wanted = match file {
                Some(file) => Value::Object(read_file(file)?),
                None => from_template(session, job, template).await?,
            };
            update(session, job, &wanted, *yes).await?;
        }
        JobCommand::Run(args) => return run(session, args).await,
        JobCommand::Sync { job } => {
            let value = client.post(&["ci", "jobs", job, "sync"], &json!({})).await?;
            match session.out.is_json() {
                true => session.out.json(&value),
                false => session
                    .out
                    .note("The provider is being asked; `windlass job builds` shows what it found."),
            }
        }
        JobCommand::Builds { job } => builds(session, &client.list(&["ci", "jobs", job, "builds"]).await?)?,
        JobCommand::Show { build } => show(session, &client.get(&["ci", "builds", build]).await?)?,
        JobCommand::Logs { build, follow } => {
            return logs::show(session, &["ci", "builds", build, "logs"], *follow).await;
        }
        JobCommand::Cancel { build } => {
            show(session, &client.post(&["ci", "builds", build, "cancel"], &json!({})).await?)?;
        }
        JobCommand::Rerun { build } => {
            show(session, &client.post(&["ci", "builds", build, "rerun"], &json!({})).await?)?;
        }
        JobCommand::Artifacts { build } => {
            artifacts(session, &client.get(&["ci", "builds", build, "artifacts"]).await?)?;
        }
        JobCommand::Delete { job, yes } => {
            if !yes {
                return Err(Failure::usage("This deletes the job at the provider. Say so with --yes."));
            }
            client.delete(&["ci", "jobs", job]).await?;
            session.out.note("The job is deleted.");
        }
    }
    Ok(exit::SUCCESS)
}

fn tone(status: &str) -> Tone {
    match status {
        "success" => Tone::Good,
        "failure" => Tone::Bad,
        "running" => Tone::Busy,
        _ => Tone::Faint,
    }
}

/// Who that is, for people.
fn started_by(origin: &str) -> &str {
    match Origin::parse(origin) {
        Some(known) => known.label(),
        None => origin,
    }
}

async fn list(session: &Session, provider: Option<&str>) -> Outcome<()> {
    let out = &session.out;
    let value = match provider {
        Some(provider) => {
            session.client.get_with(&["ci", "jobs"], &[("provider", provider), ("limit", "200")]).await?
        }
        None => session.client.list(&["ci", "jobs"]).await?,
    };
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let jobs = read::<Items<Job>>(&value)?.items;
    if jobs.is_empty() {
        out.line("No jobs yet. `windlass job make --help` says what a file for one has.");
        return Ok(());
    }
    let mut table = Table::new(&["JOB", "NAME", "AT THE PROVIDER", "STATUS", "BUILD", "HEARD OF"]);
    for one in jobs {
        let status = one.status.unwrap_or_default();
        let heard = one.last_synced_at.as_deref().map_or_else(String::new, ago);
        let external = one.external_id.unwrap_or_else(|| "not made yet".into());
        let number = one.last_build_number.unwrap_or_default();
        table.row(cells![one.seq, one.name, external, Cell::toned(&status, tone(&status)), number, heard]);
    }
    table.print(out);
    Ok(())
}

fn show_job(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let one: Job = read(value)?;
    let rows = vec![
        ("Job", Cell::toned(one.seq.to_string(), Tone::Strong)),
        ("Name", one.name.as_str().into()),
        ("At the provider", one.external_id.as_deref().unwrap_or("not made yet").into()),
        ("Page", one.job_url.as_deref().unwrap_or("").into()),
    ];
    details(out, rows);
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Change {
    definition: Vec<DiffLine>,
    files: Vec<FileChange>,
}

#[derive(Debug, Deserialize)]
struct FileChange {
    path: String,
    lines: Vec<DiffLine>,
}

/// The job as it is, with the pipeline that a template makes.
async fn from_template(session: &Session, job: &str, template: &TemplateArgs) -> Outcome<Value> {
    let known = session.client.get(&["ci", "jobs", job]).await?;
    let files = files_of_template(session, template).await?;
    let mut wanted: Map<String, Value> = read(&known["spec"])?;
    wanted.extend([
        ("files".to_owned(), Value::from(files)),
        ("scripts".to_owned(), json!([])),
        ("hosts".to_owned(), json!([])),
        ("committed".to_owned(), json!(false)),
    ]);
    Ok(Value::Object(wanted))
}

async fn update(session: &Session, job: &str, wanted: &Value, yes: bool) -> Outcome<()> {
    let (client, out) = (&session.client, &session.out);
    let value = client.post(&["ci", "jobs", job, "diff"], wanted).await?;
    if out.is_json() && !yes {
        out.json(&value);
        return Ok(());
    }
    let change: Change = read(&value)?;
    let mut parts = vec![("The job", &change.definition)];
    parts.extend(change.files.iter().map(|file| (file.path.as_str(), &file.lines)));
    parts.retain(|(_, lines)| !nearby(lines, 0).is_empty());
    for (name, lines) in parts.iter().filter(|_| !out.is_json()) {
        out.line(&out.paint(Tone::Strong, &clean(name)));
        template::difference(out, lines);
    }
    if parts.is_empty() {
        out.note("The job is to be as it is already.");
    }
    if !yes {
        out.note("Nothing is changed yet. Say --yes to do that.");
        return Ok(());
    }
    show_job(session, &client.put(&["ci", "jobs", job], wanted).await?)
}

async fn run(session: &Session, args: &RunArgs) -> Outcome<u8> {
    let mut parameters = Map::new();
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("`{pair}` has to read NAME=VALUE.")));
        };
        parameters.insert(name.to_owned(), Value::from(value));
    }
    let wanted = json!({
        "parameters": parameters, "ref": args.ref_name, "timeout_secs": args.timeout, "retries": args.retries,
    });
    let value = session.client.post(&["ci", "jobs", &args.job, "trigger"], &wanted).await?;
    if !args.follow {
        show(session, &value)?;
        return Ok(exit::SUCCESS);
    }
    let build: Build = read(&value)?;
    let number = build.seq.to_string();
    logs::show(session, &["ci", "builds", &number, "logs"], true).await?;
    let ended: Build = read(&session.client.get(&["ci", "builds", &number]).await?)?;
    Ok(if ended.status == "success" { exit::SUCCESS } else { exit::FAILED })
}

fn builds(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let builds = read::<Items<Build>>(value)?.items;
    if builds.is_empty() {
        out.line("No builds yet. `windlass job run JOB` starts one.");
        return Ok(());
    }
    let mut table = Table::new(&["BUILD", "NUMBER", "STATUS", "STARTED BY", "CREATED", "NOTE"]);
    for one in builds {
        let note = one.error.or(one.trouble).unwrap_or_default();
        let (status, created) = (Cell::toned(&one.status, tone(&one.status)), ago(&one.created_at));
        table.row(cells![one.seq, one.number, status, started_by(&one.origin), created, note]);
    }
    table.print(out);
    Ok(())
}

fn show(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let one: Build = read(value)?;
    let finished = one.finished_at.as_deref().map_or_else(String::new, ago);
    let rows = vec![
        ("Build", Cell::toned(one.seq.to_string(), Tone::Strong)),
        ("Number there", one.number.as_str().into()),
        ("Status", Cell::toned(&one.status, tone(&one.status))),
        ("Started by", started_by(&one.origin).into()),
        ("Created", ago(&one.created_at).into()),
        ("Finished", finished.into()),
        ("Page", one.url.as_deref().unwrap_or("").into()),
        ("Trouble", one.trouble.as_deref().unwrap_or("").into()),
        ("Error", one.error.as_deref().unwrap_or("").into()),
    ];
    details(out, rows);
    Ok(())
}

fn artifacts(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let found: Vec<Artifact> = read(value)?;
    if found.is_empty() {
        out.line("The build made no artifacts.");
        return Ok(());
    }
    let mut table = Table::new(&["PATH", "SIZE", "ID"]);
    for one in found {
        table.row(cells![one.path, one.size_bytes.map_or_else(String::new, bytes), one.id]);
    }
    table.print(out);
    Ok(())
}
