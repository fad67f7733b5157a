//! `registry list | add | change | test | remove`: log-ins to registries of images.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::{Table, cells};
use super::text::{ago, clean};
use super::view::Items;

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// List registries.
    List,
    /// Add a registry with its log-in.
    Add(RegistryArgs),
    /// Change a registry. Without --password-env its password is kept, unless the address changes.
    Change(RegistryArgs),
    /// Try whether the engine can reach it and log in.
    Test {
        /// Name, number or id.
        name: String,
        /// A repository that the log-in may read; some registries refuse to say anything about one that is not there.
        #[arg(long, value_name = "REPOSITORY")]
        repository: Option<String>,
    },
    /// Forget a registry and its log-in. What was pushed to it stays there.
    Remove {
        name: String,
        /// Yes, forget it.
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  export REGISTRY_TOKEN=…
  windlass registry add team registry.example:5000 --user ci --password-env REGISTRY_TOKEN")]
pub struct RegistryArgs {
    /// Name: a-z, 0-9 and -.
    name: String,
    /// As images name it: registry.example:5000, or docker.io.
    address: String,
    /// User to log in as; without one, nobody is logged in.
    #[arg(long, value_name = "NAME", default_value = "")]
    user: String,
    /// Environment variable that holds the password or access token.
    #[arg(long, value_name = "VARIABLE", requires = "user")]
    password_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Registry {
    name: String,
    address: String,
    username: String,
    updated_at: String,
}

#[derive(Deserialize)]
struct Tried {
    works: bool,
    reason: Option<String>,
}

pub async fn registry(session: &Session, command: &RegistryCommand) -> Outcome<u8> {
    match command {
        RegistryCommand::List => list(session).await?,
        RegistryCommand::Add(args) => add(session, args).await?,
        RegistryCommand::Change(args) => change(session, args).await?,
        RegistryCommand::Test { name, repository } => {
            return test(session, name, repository.as_deref()).await;
        }
        RegistryCommand::Remove { name, yes } => remove(session, name, *yes).await?,
    }
    Ok(exit::SUCCESS)
}

fn input(args: &RegistryArgs) -> Outcome<Value> {
    let mut input = Map::new();
    input.insert("name".into(), args.name.as_str().into());
    input.insert("address".into(), args.address.as_str().into());
    input.insert("username".into(), args.user.as_str().into());
    if let Some(variable) = &args.password_env {
        let password = std::env::var(variable).map_err(|_| {
            Failure::usage(format!("The environment variable {variable} is not set, or is no text."))
                .advise(format!("Set it first: export {variable}=…"))
        })?;
        input.insert("password".into(), password.into());
    }
    Ok(Value::Object(input))
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass registry list")
}

async fn list(session: &Session) -> Outcome<()> {
    let value = session.client.get_with(&["registries"], &[("limit", "200")]).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(());
    }
    let mut table = Table::new(&["REGISTRY", "ADDRESS", "USER", "CHANGED"]);
    for one in read::<Items<Registry>>(&value)?.items {
        let user = if one.username.is_empty() { "-".to_owned() } else { one.username };
        table.row(cells![one.name, one.address, user, ago(&one.updated_at)]);
    }
    table.print(&session.out);
    Ok(())
}

async fn add(session: &Session, args: &RegistryArgs) -> Outcome<()> {
    let value = session.client.post(&["registries"], &input(args)?).await?;
    said(session, &value, "is known now. `windlass registry test` tries it")
}

async fn change(session: &Session, args: &RegistryArgs) -> Outcome<()> {
    let value = session.client.put(&["registries", &args.name], &input(args)?).await.map_err(unknown)?;
    said(session, &value, "is changed")
}

fn said(session: &Session, value: &Value, what: &str) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
    } else {
        let name: Registry = read(value)?;
        out.line(&format!("Registry {} {what}.", out.paint(Tone::Strong, &clean(&name.name))));
    }
    Ok(())
}

async fn test(session: &Session, name: &str, repository: Option<&str>) -> Outcome<u8> {
    let out = &session.out;
    let body = json!({ "repository": repository });
    let value = session.client.post(&["registries", name, "test"], &body).await.map_err(unknown)?;
    let tried: Tried = read(&value)?;
    if out.is_json() {
        out.json(&value);
    } else if tried.works {
        out.line(&format!("Registry {} {}.", clean(name), out.paint(Tone::Good, "works")));
    } else {
        let why = clean(tried.reason.as_deref().unwrap_or_default());
        out.line(&format!("Registry {} {}: {why}", clean(name), out.paint(Tone::Bad, "does not work")));
    }
    Ok(if tried.works { exit::SUCCESS } else { exit::FAILED })
}

async fn remove(session: &Session, name: &str, yes: bool) -> Outcome<()> {
    if !yes {
        return Err(Failure::usage(format!("This forgets the registry {} and its log-in.", clean(name)))
            .advise("Pass --yes if that is what you want."));
    }
    session.client.delete(&["registries", name]).await.map_err(unknown)?;
    if session.out.is_json() {
        session.out.json(&Value::Null);
    } else {
        session.out.line(&format!("Registry {} is forgotten.", clean(name)));
    }
    Ok(())
}
