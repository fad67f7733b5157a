//! `pipeline render | lint`: what a pipeline would be, without storing it.

use std::path::{Component, Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::{Output, Tone};
use super::stack_input::read_file;
use super::text::{clean, log_line};

#[derive(Debug, Subcommand)]
pub enum PipelineCommand {
    /// Print the files that the generators make, or write them into a folder.
    Render {
        #[command(flatten)]
        what: PipelineArgs,
        /// Folder to write to: a folder in it for each generator, unless there is only one.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Say what is wrong. Exits with 1 if anything is.
    Lint {
        #[command(flatten)]
        what: PipelineArgs,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass pipeline lint -f pipeline.json
  windlass pipeline render --template deploy --set branch=main --generator NAME --out .

A file is a pipeline's model, or a template if it has the field `model`, as TOML or JSON.")]
pub struct PipelineArgs {
    /// TOML or JSON file; - reads standard input.
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "template",
        conflicts_with = "template"
    )]
    file: Option<PathBuf>,
    /// A stored template.
    #[arg(long, value_name = "NAME")]
    template: Option<String>,
    /// Version of the stored template; the latest if left out.
    #[arg(long, requires = "template")]
    version: Option<i64>,
    /// Project whose template is meant; one of all projects if left out.
    #[arg(long, requires = "template")]
    project: Option<String>,
    /// A parameter of the template that is a text; may be repeated.
    #[arg(long, value_name = "NAME=TEXT", value_parser = text)]
    set: Vec<(String, Value)>,
    /// A parameter of the template as JSON; may be repeated.
    #[arg(long, value_name = "NAME=JSON", value_parser = as_json)]
    set_json: Vec<(String, Value)>,
    /// A generator; may be repeated. All if left out.
    #[arg(long, value_name = "PLUGIN")]
    generator: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Rendering {
    good: bool,
    problems: Vec<Problem>,
    outputs: Vec<GeneratorOutput>,
}

#[derive(Debug, Deserialize)]
struct GeneratorOutput {
    generator: String,
    problems: Vec<Problem>,
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct Problem {
    path: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct File {
    path: String,
    content: String,
    executable: bool,
}

/// A stored template, what fills it in, and the generator that writes the pipeline of it.
#[derive(Debug, Args)]
pub struct TemplateArgs {
    /// Instead of a file: the job as it is, with the pipeline that this stored template makes.
    #[arg(long, value_name = "NAME", conflicts_with = "file", requires = "generator")]
    template: Option<String>,
    /// Version of the stored template; the latest if left out.
    #[arg(long, requires = "template")]
    version: Option<i64>,
    /// Project whose template is meant; one of all projects if left out.
    #[arg(long, requires = "template")]
    project: Option<String>,
    /// A parameter of the template that is a text; may be repeated.
    #[arg(long, value_name = "NAME=TEXT", value_parser = text, requires = "template")]
    set: Vec<(String, Value)>,
    /// A parameter of the template as JSON; may be repeated.
    #[arg(long, value_name = "NAME=JSON", value_parser = as_json, requires = "template")]
    set_json: Vec<(String, Value)>,
    /// The generator that writes the pipeline.
    #[arg(long, value_name = "PLUGIN", requires = "template")]
    generator: Option<String>,
}

/// The files that a stored template makes, with path and content.
///
/// # Errors
/// What is wrong with it, if anything is.
pub(super) async fn files_of_template(session: &Session, args: &TemplateArgs) -> Outcome<Vec<Value>> {
    let parameters: Map<String, Value> = args.set.iter().chain(&args.set_json).cloned().collect();
    let order = json!({
        "template": args.template, "version": args.version, "project": args.project, "parameters": parameters,
        "generators": args.generator.iter().collect::<Vec<_>>(),
    });
    let rendering: Rendering = read(&session.client.post(&["pipelines", "render"], &order).await?)?;
    tell(&session.out, "the model", &rendering.problems);
    for output in &rendering.outputs {
        tell(&session.out, &output.generator, &output.problems);
    }
    if !rendering.good {
        return Err(Failure::local(
            "The template makes no pipeline of that.",
            "`windlass pipeline lint --template` says the same without a job.",
        ));
    }
    let file = |file: &File| json!({ "path": file.path, "content": file.content });
    Ok(rendering.outputs.iter().flat_map(|output| output.files.iter().map(file)).collect())
}

pub async fn pipeline(session: &Session, command: &PipelineCommand) -> Outcome<u8> {
    let out = &session.out;
    let (verb, what, folder) = match command {
        PipelineCommand::Render { what, out } => ("render", what, out.as_deref()),
        PipelineCommand::Lint { what } => ("lint", what, None),
    };
    let value = session.client.post(&["pipelines", verb], &order(what)?).await?;
    let rendering: Rendering = read(&value)?;
    let code = if rendering.good { exit::SUCCESS } else { exit::FAILED };
    if let Some(folder) = folder {
        write_all(out, &rendering, folder)?;
    }
    if out.is_json() {
        out.json(&value);
        return Ok(code);
    }
    tell(out, "the model", &rendering.problems);
    for output in &rendering.outputs {
        tell(out, &output.generator, &output.problems);
        match verb {
            "lint" if output.problems.is_empty() => {
                out.line(&format!("{} {}", out.paint(Tone::Good, "good"), clean(&output.generator)));
            }
            "render" if folder.is_none() => {
                output.files.iter().for_each(|file| print(out, &output.generator, file))
            }
            _ => {}
        }
    }
    Ok(code)
}

fn order(what: &PipelineArgs) -> Outcome<Value> {
    let parameters: Map<String, Value> = what.set.iter().chain(&what.set_json).cloned().collect();
    let mut order = json!({ "parameters": parameters, "generators": what.generator });
    match (&what.file, &what.template) {
        (Some(file), _) => {
            let content = Value::Object(read_file(file)?);
            let kind = if content.get("model").is_some() { "draft" } else { "model" };
            order[kind] = content;
        }
        (None, name) => {
            order["template"] = json!(name);
            order["version"] = json!(what.version);
            order["project"] = json!(what.project);
        }
    }
    Ok(order)
}

fn tell(out: &Output, who: &str, problems: &[Problem]) {
    for problem in problems {
        let place =
            if problem.path.is_empty() { String::new() } else { format!(" {}", clean(&problem.path)) };
        out.line(&format!(
            "{} {}{place}: {}",
            out.paint(Tone::Bad, "bad "),
            clean(who),
            clean(&problem.message)
        ));
    }
}

fn print(out: &Output, generator: &str, file: &File) {
    out.line(&out.paint(Tone::Strong, &format!("── {} ({})", clean(&file.path), clean(generator))));
    for line in file.content.lines() {
        out.line(&log_line(line, false));
    }
    out.line("");
}

fn write_all(out: &Output, rendering: &Rendering, folder: &Path) -> Outcome<()> {
    for output in &rendering.outputs {
        let folder =
            if rendering.outputs.len() == 1 { folder.to_path_buf() } else { folder.join(&output.generator) };
        for file in &output.files {
            let path = folder.join(inside(&file.path)?);
            write(&path, file).map_err(|error| {
                Failure::local(
                    format!("{} cannot be written: {error}.", path.display()),
                    "Is the folder yours?",
                )
            })?;
            out.note(&format!("{} is written.", path.display()));
        }
    }
    Ok(())
}

/// The server has checked the path, but this is another machine.
fn inside(path: &str) -> Outcome<&Path> {
    let path = Path::new(path);
    if path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Ok(path);
    }
    Err(Failure::local(format!("The server names a file outside of the folder: {}.", path.display()), ""))
}

fn write(path: &Path, file: &File) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, &file.content)?;
    #[cfg(unix)]
    if file.executable {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

pub(super) fn text(given: &str) -> Result<(String, Value), String> {
    let (name, value) = given.split_once('=').ok_or("write NAME=TEXT")?;
    Ok((name.to_owned(), Value::from(value)))
}

pub(super) fn as_json(given: &str) -> Result<(String, Value), String> {
    let (name, value) = given.split_once('=').ok_or("write NAME=JSON")?;
    let value = serde_json::from_str(value).map_err(|error| format!("`{value}` is no JSON: {error}"))?;
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_text_unless_json_is_said() {
        assert_eq!(text("a=1=2"), Ok(("a".into(), json!("1=2"))));
        assert_eq!(as_json("a=[1]"), Ok(("a".into(), json!([1]))));
        assert!(text("a").is_err() && as_json("a=x").is_err());
    }

    #[test]
    fn no_file_is_written_outside_of_the_folder() {
        assert!(inside(".ci/a.yml").is_ok());
        assert!(inside("../a").is_err() && inside("/a").is_err());
    }
}
