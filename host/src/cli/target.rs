//! `target add | change | list | show | test | remove`: engines besides the local one, on which stacks run.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean};
use super::view::Items;

#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// List targets with their health.
    List,
    /// Show a target and the stacks that run there.
    Show {
        /// Name, number or id.
        target: String,
    },
    /// Connect an engine, and ask it at once whether it answers.
    Add(Box<AddArgs>),
    /// Change where a target is or how it is reached. What is left out stays.
    Change {
        /// Name, number or id.
        target: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Ask a target whether it answers.
    Test {
        /// Name, number or id.
        target: String,
    },
    /// Forget a target. Refused while a stack runs there.
    Remove {
        /// Name, number or id.
        target: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass target add cellar --address tcp://10.0.0.7:2376 --route-address 10.0.0.7 \\
      --ca ca.pem --certificate cert.pem --key key.pem
  windlass target add attic --address ssh://deploy@10.0.0.8 --route-address 10.0.0.8 --key id_ed25519
  windlass target add fleet --swarm --address tcp://10.0.0.9:2376 --ca ca.pem --certificate cert.pem --key key.pem")]
pub struct AddArgs {
    /// What stacks call it.
    name: String,
    /// It is a manager of a swarm.
    #[arg(long)]
    swarm: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// Address of the engine: tcp://HOST:PORT, or ssh://USER@HOST[:PORT][/SOCKET].
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// IP address of the machine at which the router reaches what runs there; not for a swarm.
    #[arg(long, value_name = "IP")]
    route_address: Option<String>,
    /// For tcp: file with the authority of the engine's certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    ca: Option<PathBuf>,
    /// For tcp: file with our certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// File with the private key: of the certificate, or for ssh.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

impl PlaceArgs {
    fn lay_over(&self, input: &mut Map<String, Value>) -> Outcome<()> {
        for (field, value) in [("address", &self.address), ("routeAddress", &self.route_address)] {
            if let Some(value) = value {
                input.insert(field.into(), value.as_str().into());
            }
        }
        let Some(key) = &self.key else { return Ok(()) };
        let mut credentials = Map::new();
        credentials.insert("key".into(), file(key)?.into());
        for (field, path) in [("ca", &self.ca), ("certificate", &self.certificate)] {
            if let Some(path) = path {
                credentials.insert(field.into(), file(path)?.into());
            }
        }
        input.insert("credentials".into(), Value::Object(credentials));
        Ok(())
    }
}

fn file(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!("{} cannot be read: {error}.", path.display())).advise("Check the path.")
    })
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    seq: i64,
    pub name: String,
    kind: String,
    address: String,
    route_address: Option<String>,
    pub health: Health,
    stacks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    pub state: String,
    checked_at: Option<String>,
    response_ms: Option<i64>,
    pub error: Option<String>,
    failing_since: Option<String>,
    version: String,
    platform: String,
    nodes: u32,
}

impl Target {
    fn state(&self) -> Cell {
        let tone = match self.health.state.as_str() {
            "reachable" => Tone::Good,
            "unknown" => Tone::Faint,
            _ => Tone::Bad,
        };
        Cell::toned(&self.health.state, tone)
    }

    fn answer(&self) -> String {
        self.health.response_ms.map_or_else(String::new, |ms| format!("{ms} ms"))
    }

    fn routes(&self) -> &str {
        self.route_address.as_deref().unwrap_or("its nodes")
    }
}

pub async fn target(session: &Session, command: &TargetCommand) -> Outcome<u8> {
    match command {
        TargetCommand::List => list(session).await?,
        TargetCommand::Show { target } => show(session, &get(session, target).await?)?,
        TargetCommand::Add(args) => return add(session, args).await,
        TargetCommand::Change { target, place } => return change(session, target, place).await,
        TargetCommand::Test { target } => return test(session, target).await,
        TargetCommand::Remove { target } => {
            session.client.delete(&["targets", target]).await.map_err(unknown)?;
            session
                .out
                .note(&format!("Target {} is removed. What runs there stays as it is.", clean(target)));
        }
    }
    Ok(exit::SUCCESS)
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass target list")
}

async fn get(session: &Session, target: &str) -> Outcome<Value> {
    session.client.get(&["targets", target]).await.map_err(unknown)
}

async fn list(session: &Session) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get(&["targets"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let targets = read::<Items<Target>>(&value)?.items;
    if targets.is_empty() {
        out.line("No targets: all stacks run on the server's own engine. `windlass target add --help` has examples.");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "KIND", "STATE", "ANSWERS IN", "STACKS", "ROUTES", "ADDRESS"]);
    for one in targets {
        let (state, answer, routes) = (one.state(), one.answer(), one.routes().to_string());
        table.row(cells![
            one.name,
            one.kind,
            state,
            answer,
            one.stacks.len().to_string(),
            routes,
            one.address
        ]);
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
    let one: Target = read(value)?;
    let health = &one.health;
    let engine = match health.version.as_str() {
        "" => String::new(),
        version => format!("Docker {version}, {}, machines: {}", health.platform, health.nodes),
    };
    let rows = vec![
        ("Target", Cell::toned(&one.name, Tone::Strong)),
        ("Number", one.seq.to_string().into()),
        ("Kind", one.kind.as_str().into()),
        ("Address", one.address.as_str().into()),
        ("Routes go to", one.routes().into()),
        ("State", one.state()),
        ("Engine", engine.into()),
        ("Answers in", one.answer().into()),
        ("Checked", health.checked_at.as_deref().map_or_else(String::new, ago).into()),
        ("Failing since", health.failing_since.as_deref().map_or_else(String::new, ago).into()),
        ("Error", health.error.as_deref().unwrap_or("").into()),
        ("Stacks", one.stacks.join(", ").into()),
    ];
    details(out, rows);
    Ok(())
}

async fn add(session: &Session, args: &AddArgs) -> Outcome<u8> {
    let kind = if args.swarm { "swarm" } else { "engine" };
    let mut input = Map::new();
    input.insert("name".into(), args.name.as_str().into());
    input.insert("kind".into(), kind.into());
    args.place.lay_over(&mut input)?;
    if !input.contains_key("address") || !input.contains_key("credentials") {
        return Err(Failure::usage(
            "A new target needs --address and --key; `windlass target add --help` has examples.",
        ));
    }
    session.client.post(&["targets"], &Value::Object(input)).await?;
    test(session, &args.name).await
}

async fn change(session: &Session, target: &str, place: &PlaceArgs) -> Outcome<u8> {
    let old = get(session, target).await?;
    let mut input = Map::new();
    for field in ["name", "kind", "address", "routeAddress"] {
        if let Some(value) = old.get(field) {
            input.insert(field.into(), value.clone());
        }
    }
    place.lay_over(&mut input)?;
    session.client.put(&["targets", target], &Value::Object(input)).await?;
    test(session, target).await
}

async fn test(session: &Session, target: &str) -> Outcome<u8> {
    let value = session.client.post(&["targets", target, "test"], &json!({})).await.map_err(unknown)?;
    if session.out.is_json() {
        session.out.json(&value);
    } else {
        show(session, &value["target"])?;
    }
    Ok(if value["connected"] == true { exit::SUCCESS } else { exit::FAILED })
}
