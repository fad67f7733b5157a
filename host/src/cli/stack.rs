//! `stack list | show | repository | test-connection | create | edit | sync | delete`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::stack_input::{self, StackFlags};
use super::status;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean};
use super::view::{Items, RepositoryDetails, Stack, Webhook};

#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// List stacks.
    List,
    /// Show a stack and its newest deployment.
    Show {
        /// Name, number or id.
        name: String,
    },
    /// Ask the forge about a stack's repository. Its plugin has to be able to.
    Repository {
        /// Name, number or id.
        name: String,
    },
    /// Connect to a stack's repository as a build would.
    TestConnection {
        /// Name, number or id.
        name: String,
    },
    /// Create a stack from a file, from flags, or from a file with flags laid over it.
    #[command(visible_alias = "add")]
    Create(CreateArgs),
    /// Replace a stack's settings with those of a file. Secrets that the file leaves out are kept.
    Edit(EditArgs),
    /// Look at a stack's git server for pushes that no delivery told, now instead of later.
    Sync {
        /// Name, number or id.
        name: String,
    },
    /// Delete a stack, its history and its containers.
    Delete(DeleteArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass stack create -f web.toml
  windlass stack create --name web --repo https://git.example/team/web.git \\
      --port 8080:3000 --health-path /health
  windlass stack create --name shop --repo https://git.example/team/shop.git \\
      --compose-file compose.yaml --service web --port 3000 --host shop.example

A file has the fields of the API's POST /api/v1/stacks, as TOML or JSON:
  name = \"web\"
  [repository]
  url = \"https://git.example/team/web.git\"
  [build]
  healthCheckPath = \"/health\"
  [run]
  ports = [{ container = 3000, host = 8080 }]")]
pub struct CreateArgs {
    /// TOML or JSON file; - reads standard input.
    #[arg(short, long, value_name = "FILE", required_unless_present = "name")]
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: Box<StackFlags>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  windlass stack edit web -f web.toml")]
pub struct EditArgs {
    /// Name, number or id.
    name: String,
    /// TOML or JSON file; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Name, number or id.
    name: String,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(short, long)]
    yes: bool,
}

pub async fn stack(session: &Session, command: &StackCommand) -> Outcome<u8> {
    match command {
        StackCommand::List => list(session).await?,
        StackCommand::Show { name } => {
            let value = get(session, name).await?;
            status::show_stack(session, &value).await?;
        }
        StackCommand::Repository { name } => repository(session, name).await?,
        StackCommand::TestConnection { name } => return test_connection(session, name).await,
        StackCommand::Create(args) => create(session, args).await?,
        StackCommand::Edit(args) => edit(session, args).await?,
        StackCommand::Sync { name } => sync(session, name).await?,
        StackCommand::Delete(args) => delete(session, args).await?,
    }
    Ok(exit::SUCCESS)
}

async fn get(session: &Session, name: &str) -> Outcome<Value> {
    session.client.get(&["stacks", name]).await.map_err(|failure| unknown_stack(failure, name))
}

/// The exit code says whether the stack's branch can be deployed.
async fn test_connection(session: &Session, name: &str) -> Outcome<u8> {
    let asked = session.client.post(&["repositories", "test"], &json!({ "stack": name })).await;
    let value = asked.map_err(|failure| unknown_stack(failure, name))?;
    let found: Connection = read(&value)?;
    if session.out.is_json() {
        session.out.json(&value);
    } else {
        session.out.line(&clean(&found.message));
    }
    Ok(if found.branch_exists { exit::SUCCESS } else { exit::FAILED })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    branch_exists: bool,
    message: String,
}

async fn repository(session: &Session, name: &str) -> Outcome<()> {
    let out = &session.out;
    let asked = session.client.get(&["stacks", name, "repository"]).await;
    let value = asked.map_err(|failure| unknown_stack(failure, name))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let found: RepositoryDetails = read(&value)?;
    let visible = if found.private { "private" } else { "public" };
    let state = if found.archived { format!("{visible}, archived") } else { visible.to_owned() };
    details(
        out,
        vec![
            ("Repository", Cell::toned(&found.full_name, Tone::Strong)),
            ("Description", found.description.as_str().into()),
            ("Default branch", found.default_branch.as_deref().unwrap_or("none yet").into()),
            ("Clone from", joined(&found.clone_urls)),
            ("Page", found.web_url.as_deref().unwrap_or("").into()),
            ("Visibility", state.into()),
        ],
    );
    Ok(())
}

async fn sync(session: &Session, name: &str) -> Outcome<()> {
    let out = &session.out;
    let asked = session.client.post(&["stacks", name, "sync"], &serde_json::json!({})).await;
    let value = asked.map_err(|failure| unknown_stack(failure, name))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let stack: Stack = read(&value)?;
    out.line(&format!("The git server of {} is looked at now.", out.paint(Tone::Strong, &stack.name)));
    out.note(&format!("`windlass webhook list --stack {}` shows what was found.", stack.name));
    Ok(())
}

async fn list(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.list(&["stacks"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let stacks = read::<Items<Stack>>(&value)?.items;
    if stacks.is_empty() {
        out.line(
            "There are no stacks yet. Create one with `windlass stack create`; its --help has examples.",
        );
        return Ok(());
    }
    let mut table = Table::new(&["STACK", "STRATEGY", "REPLICAS", "CREATED", "PORTS"]);
    for stack in stacks {
        let strategy = if stack.strategy.is_empty() { "(default)".into() } else { stack.strategy };
        table.row(cells![
            stack.name,
            strategy,
            stack.run.replicas,
            ago(&stack.created_at),
            stack.run.ports()
        ]);
    }
    table.print(out);
    Ok(())
}

async fn create(session: &Session, args: &CreateArgs) -> Outcome<()> {
    let out = &session.out;
    let mut input = match &args.file {
        Some(file) => stack_input::read_file(file)?,
        None => serde_json::Map::new(),
    };
    args.flags.apply(&mut input)?;
    let value = session.client.post(&["stacks"], &Value::Object(input)).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let stack: Stack = read(value.get("stack").unwrap_or(&Value::Null))?;
    out.line(&format!("Stack {} is created.", out.paint(Tone::Strong, &stack.name)));
    if let Some(webhook) = value.get("webhook").filter(|webhook| !webhook.is_null()) {
        let webhook: Webhook = read(webhook)?;
        out.line("");
        out.line("Let the forge send its pushes here, as JSON. The secret is shown this once:");
        details(out, vec![("Webhook URL", webhook.url.into()), ("Secret", webhook.secret.into())]);
        out.line("");
    }
    if let Some(row) = &stack.git_repository {
        if row.auth_type == "http_token" {
            out.line(&format!(
                "Or have the forge told by the server: windlass webhook register {}",
                stack.name
            ));
        }
        out.line(&format!("Deploy it now with: windlass deploy {} -w", stack.name));
    } else {
        out.line(&format!("Deploy an image now with: windlass deploy {} --image TAG -w", stack.name));
    }
    Ok(())
}

async fn edit(session: &Session, args: &EditArgs) -> Outcome<()> {
    let out = &session.out;
    let mut input = stack_input::read_file(&args.file)?;
    if !input.contains_key("name") {
        let stack: Stack = read(&get(session, &args.name).await?)?;
        input.insert("name".into(), stack.name.into());
    }
    let path = ["stacks", args.name.as_str()];
    let value = session
        .client
        .put(&path, &Value::Object(input))
        .await
        .map_err(|failure| unknown_stack(failure, &args.name))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let stack: Stack = read(&value)?;
    out.line(&format!(
        "Stack {} is changed. What runs now changes with the next deployment:",
        out.paint(Tone::Strong, &stack.name)
    ));
    out.line(&format!("windlass deploy {} -w", stack.name));
    Ok(())
}

async fn delete(session: &Session, args: &DeleteArgs) -> Outcome<()> {
    let out = &session.out;
    // The name is looked up first, so that what is asked about and what is deleted are the same.
    let stack: Stack = read(&get(session, &args.name).await?)?;
    if !args.yes {
        confirm(session, &stack)?;
    }
    session
        .client
        .delete(&["stacks", &stack.name])
        .await
        .map_err(|failure| unknown_stack(failure, &stack.name))?;
    if out.is_json() {
        out.json(&Value::Null);
    } else {
        out.line(&format!("Stack {} is deleted.", out.paint(Tone::Strong, &stack.name)));
    }
    Ok(())
}

fn confirm(session: &Session, stack: &Stack) -> Outcome<()> {
    let name = clean(&stack.name);
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "Deleting stack `{name}` needs a confirmation, and nobody can be asked."
        ))
        .advise("Pass --yes to delete it, its history and its containers."));
    }
    let mut error = std::io::stderr().lock();
    let _ = write!(
        error,
        "This deletes stack {}, its history and its containers. Type its name to go on: ",
        session.out.paint(Tone::Strong, &name)
    );
    let _ = error.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && answer.trim() == stack.name {
        return Ok(());
    }
    Err(Failure::local(format!("Stack `{name}` is not deleted: the name was not repeated."), ""))
}

/// One row of `details` for a list of words.
pub fn joined(words: &[String]) -> Cell {
    words.join(", ").into()
}
