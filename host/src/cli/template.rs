//! `template list | show | save | diff | delete`: templates of pipelines.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::stack_input::read_file;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean, log_line};
use super::view::Items;
use crate::domain::difference::{Change, DiffLine, nearby};
use crate::domain::template::TemplateContent;

#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// List templates, each with its latest version.
    List(ScopeArgs),
    /// Show a template. `-o json` prints what `save` takes as `content`.
    Show {
        name: String,
        /// A version; the latest if left out.
        #[arg(long)]
        version: Option<i64>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Add a version, the first one of a new template included.
    Save(SaveArgs),
    /// Compare two versions line by line.
    Diff {
        name: String,
        /// The version before `--to` if left out; 0 is nothing.
        #[arg(long, value_name = "VERSION")]
        from: Option<i64>,
        /// The latest if left out.
        #[arg(long, value_name = "VERSION")]
        to: Option<i64>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// Remove a template with all its versions.
    Delete {
        name: String,
        /// Yes, all versions.
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        scope: ScopeArgs,
    },
}

#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// Project whose templates are meant; those of all projects if left out.
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass template save deploy -f deploy.json

A file has, as TOML or JSON: `model`, in which {{name}} stands for a parameter; `parameters`, a JSON Schema of an object;
and, if needed, `description`, `settings` by generator and `texts` by generator.")]
pub struct SaveArgs {
    name: String,
    /// TOML or JSON file; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    scope: ScopeArgs,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    name: String,
    version: i64,
    project_id: Option<String>,
    content: TemplateContent,
    created_by: String,
    created_at: String,
}

#[derive(Debug, Deserialize)]
struct Diff {
    from: i64,
    to: i64,
    lines: Vec<DiffLine>,
}

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

pub async fn template(session: &Session, command: &TemplateCommand) -> Outcome<u8> {
    match command {
        TemplateCommand::List(scope) => list(session, scope).await?,
        TemplateCommand::Show { name, version, scope } => show(session, name, *version, scope).await?,
        TemplateCommand::Save(args) => save(session, args).await?,
        TemplateCommand::Diff { name, from, to, scope } => diff(session, name, (*from, *to), scope).await?,
        TemplateCommand::Delete { name, yes, scope } => delete(session, name, *yes, scope).await?,
    }
    Ok(exit::SUCCESS)
}

fn query<'a>(scope: &'a ScopeArgs, rest: &[(&'a str, Option<&'a str>)]) -> Vec<(&'a str, &'a str)> {
    let all = rest.iter().copied().chain([("project", scope.project.as_deref())]);
    all.filter_map(|(name, value)| Some((name, value?))).collect()
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass template list")
}

async fn list(session: &Session, scope: &ScopeArgs) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get_with(&["templates"], &query(scope, &[("limit", Some("200"))])).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let mut table = Table::new(&["TEMPLATE", "VERSION", "CHANGED", "BY", "DESCRIPTION"]);
    for one in read::<Items<Template>>(&value)?.items {
        let (version, changed) = (one.version.to_string(), ago(&one.created_at));
        table.row(cells![one.name, version, changed, one.created_by, one.content.description]);
    }
    table.print(out);
    Ok(())
}

async fn show(session: &Session, name: &str, version: Option<i64>, scope: &ScopeArgs) -> Outcome<()> {
    let out = &session.out;
    let version = version.map(|version| version.to_string());
    let query = query(scope, &[("version", version.as_deref())]);
    let value = session.client.get_with(&["templates", name], &query).await.map_err(unknown)?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let one: Template = read(&value)?;
    details(
        out,
        vec![
            ("Template", Cell::toned(&one.name, Tone::Strong)),
            ("Version", one.version.to_string().as_str().into()),
            ("Project", one.project_id.as_deref().unwrap_or("all").into()),
            ("Saved", format!("{} by {}", ago(&one.created_at), one.created_by).as_str().into()),
            ("Description", one.content.description.as_str().into()),
        ],
    );
    out.line("");
    for line in one.content.to_text().lines() {
        out.line(&log_line(line, false));
    }
    Ok(())
}

async fn save(session: &Session, args: &SaveArgs) -> Outcome<()> {
    let out = &session.out;
    let content = Value::Object(read_file(&args.file)?);
    let value =
        session.client.put_with(&["templates", &args.name], &query(&args.scope, &[]), &content).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let one: Template = read(&value)?;
    out.line(&format!(
        "Template {} is saved as version {}.",
        out.paint(Tone::Strong, &clean(&one.name)),
        one.version
    ));
    Ok(())
}

async fn diff(
    session: &Session,
    name: &str,
    (from, to): (Option<i64>, Option<i64>),
    scope: &ScopeArgs,
) -> Outcome<()> {
    let out = &session.out;
    let [from, to] = [from, to].map(|version| version.map(|version| version.to_string()));
    let query = query(scope, &[("from", from.as_deref()), ("to", to.as_deref())]);
    let value = session.client.get_with(&["templates", name, "diff"], &query).await.map_err(unknown)?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let diff: Diff = read(&value)?;
    out.line(&out.paint(Tone::Strong, &format!("{} {} → {}", clean(name), diff.from, diff.to)));
    difference(out, &diff.lines);
    Ok(())
}

/// The changed lines, with some around them.
pub(super) fn difference(out: &Output, lines: &[DiffLine]) {
    for line in nearby(lines, CONTEXT) {
        let Some(line) = line else {
            out.line(&out.paint(Tone::Faint, "  …"));
            continue;
        };
        let (sign, tone) = match line.change {
            Change::Same => (' ', Tone::Faint),
            Change::Removed => ('-', Tone::Bad),
            Change::Added => ('+', Tone::Good),
        };
        out.line(&out.paint(tone, &format!("{sign} {}", log_line(&line.text, false))));
    }
}

async fn delete(session: &Session, name: &str, yes: bool, scope: &ScopeArgs) -> Outcome<()> {
    if !yes {
        return Err(Failure::usage(format!("This removes all versions of the template {}.", clean(name)))
            .advise("Pass --yes if that is what you want."));
    }
    session.client.delete_with(&["templates", name], &query(scope, &[])).await.map_err(unknown)?;
    if session.out.is_json() {
        session.out.json(&Value::Null);
    } else {
        session.out.line(&format!("Template {} is removed.", clean(name)));
    }
    Ok(())
}
