//! `provider list | show | add | change | test | remove | assign | unassign`: connections to CI/CD providers.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::stack_input::read_file;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean};
use super::view::Items;

#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// List providers with their health.
    List,
    /// Show a provider.
    Show {
        /// Name, number or id.
        provider: String,
    },
    /// Connect a provider. Prints where it can report to, and the secret for that, once.
    Add(FileArgs),
    /// Change a provider. Credentials and webhook secret stay if the file does not have them.
    Change {
        /// Name, number or id.
        provider: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Ask a provider whether it answers and takes the credential.
    Test {
        /// Name, number or id.
        provider: String,
    },
    /// Remove a connection, with what is known of its jobs and builds. At the provider everything stays.
    Remove {
        /// Name, number or id.
        provider: String,
        /// Yes, with its jobs and builds.
        #[arg(short, long)]
        yes: bool,
    },
    /// Have a stack deployed by a provider from now on.
    Assign {
        /// Name, number or id of the stack.
        stack: String,
        #[command(flatten)]
        file: FileArgs,
    },
    /// Have a stack deployed by this server again.
    Unassign {
        /// Name, number or id of the stack.
        stack: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
A provider's file has, as TOML or JSON: type, name, url, credentials; and, if needed, port, auth_type, settings, webhook_secret,
private_network, certificates, tenant_id, team_id, is_active. A file keeps secrets out of the process list.

A stack's file has: provider, job (scripts, hosts, parameters, folder, files, committed, …), parameters, timeoutSecs, retries.")]
pub struct FileArgs {
    /// TOML or JSON file; - reads standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Provider {
    name: String,
    seq: i64,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    url: String,
    is_active: bool,
    has_credentials: bool,
    health: Health,
}

#[derive(Debug, Deserialize)]
struct Health {
    state: String,
    checked_at: Option<String>,
    response_ms: Option<i64>,
    error_percent: u32,
    account: String,
    server_version: String,
    error: Option<String>,
    failing_since: Option<String>,
    rate_limit: Option<RateLimit>,
}

/// How many requests it still takes.
#[derive(Debug, Deserialize)]
struct RateLimit {
    limit: i64,
    remaining: i64,
    low: bool,
    resets_at: Option<String>,
}

impl Provider {
    fn state(&self) -> Cell {
        if !self.is_active {
            return Cell::toned("off", Tone::Faint);
        }
        let tone = match self.health.state.as_str() {
            "healthy" => Tone::Good,
            "unknown" => Tone::Faint,
            "limited" => Tone::Busy,
            _ => Tone::Bad,
        };
        Cell::toned(&self.health.state, tone)
    }

    fn budget(&self) -> Cell {
        match &self.health.rate_limit {
            None => Cell::from(""),
            Some(rate) => {
                let text = format!("{} of {}", rate.remaining, rate.limit);
                if rate.low { Cell::toned(text, Tone::Warning) } else { text.into() }
            }
        }
    }

    fn answer(&self) -> String {
        self.health.response_ms.map_or_else(String::new, |ms| format!("{ms} ms"))
    }
}

pub async fn provider(session: &Session, command: &ProviderCommand) -> Outcome<u8> {
    match command {
        ProviderCommand::List => list(session).await?,
        ProviderCommand::Show { provider } => {
            let value = session.client.get(&["providers", provider]).await.map_err(unknown)?;
            show(session, &value)?;
        }
        ProviderCommand::Add(args) => add(session, args).await?,
        ProviderCommand::Change { provider, file } => {
            let input = Value::Object(read_file(&file.file)?);
            let value = session.client.put(&["providers", provider], &input).await.map_err(unknown)?;
            show(session, &value)?;
        }
        ProviderCommand::Test { provider } => return test(session, provider).await,
        ProviderCommand::Remove { provider, yes } => remove(session, provider, *yes).await?,
        ProviderCommand::Assign { stack, file } => assign(session, stack, file).await?,
        ProviderCommand::Unassign { stack } => {
            session.client.delete(&["stacks", stack, "ci"]).await?;
            session.out.note(&format!("Stack {} is deployed by this server again.", clean(stack)));
        }
    }
    Ok(exit::SUCCESS)
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass provider list")
}

async fn list(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.list(&["providers"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let providers = read::<Items<Provider>>(&value)?.items;
    if providers.is_empty() {
        out.line("No providers yet. `windlass provider add --help` says what a file for one has.");
        return Ok(());
    }
    let mut table =
        Table::new(&["NAME", "TYPE", "STATE", "ANSWERS IN", "ERRORS", "REQUESTS LEFT", "CHECKED", "URL"]);
    for one in providers {
        let checked = one.health.checked_at.as_deref().map_or_else(String::new, ago);
        let (state, answer, errors) = (one.state(), one.answer(), format!("{} %", one.health.error_percent));
        let budget = one.budget();
        table.row(cells![one.name, one.kind, state, answer, errors, budget, checked, one.url]);
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
    let one: Provider = read(value)?;
    let health = &one.health;
    let since = health.failing_since.as_deref().map_or_else(String::new, ago);
    let anew = health.rate_limit.as_ref().and_then(|rate| rate.resets_at.as_deref());
    let anew = anew.map_or_else(String::new, ago);
    let rows = vec![
        ("Provider", Cell::toned(&one.name, Tone::Strong)),
        ("Number", one.seq.to_string().into()),
        ("Id", one.id.as_str().into()),
        ("Type", one.kind.as_str().into()),
        ("URL", one.url.as_str().into()),
        ("Credentials", if one.has_credentials { "stored" } else { "none" }.into()),
        ("State", one.state()),
        ("Answers in", one.answer().into()),
        ("Errors", format!("{} % of the last checks", health.error_percent).into()),
        ("Requests left", one.budget()),
        ("Anew", anew.into()),
        ("Account", health.account.as_str().into()),
        ("Version", health.server_version.as_str().into()),
        ("Failing since", since.into()),
        ("Error", health.error.as_deref().unwrap_or("").into()),
    ];
    details(out, rows);
    Ok(())
}

async fn add(session: &Session, args: &FileArgs) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.post(&["providers"], &Value::Object(read_file(&args.file)?)).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    show(session, &value["provider"])?;
    let text = |name: &str| clean(value["webhook"][name].as_str().unwrap_or_default());
    out.line("");
    out.line(&format!("Reports go to  {}", text("url")));
    out.line(&format!("signed with    {}", text("secret")));
    out.note("The secret is not shown again.");
    Ok(())
}

async fn test(session: &Session, provider: &str) -> Outcome<u8> {
    let value = session.client.post(&["providers", provider, "test"], &json!({})).await.map_err(unknown)?;
    if session.out.is_json() {
        session.out.json(&value);
    } else {
        show(session, &value["provider"])?;
    }
    Ok(if value["connected"] == true { exit::SUCCESS } else { exit::FAILED })
}

async fn remove(session: &Session, provider: &str, yes: bool) -> Outcome<()> {
    if !yes {
        return Err(Failure::usage(
            "This forgets the provider's jobs and builds as well. Say so with --yes.",
        ));
    }
    session.client.delete(&["providers", provider]).await.map_err(unknown)?;
    session.out.note(&format!("Provider {} is removed. At the provider everything stays.", clean(provider)));
    Ok(())
}

async fn assign(session: &Session, stack: &str, args: &FileArgs) -> Outcome<()> {
    let input = Value::Object(read_file(&args.file)?);
    let value = session.client.put(&["stacks", stack, "ci"], &input).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(());
    }
    let provider = clean(value["provider"].as_str().unwrap_or_default());
    session.out.note(&format!("Stack {} is deployed by provider {provider} from now on.", clean(stack)));
    Ok(())
}
