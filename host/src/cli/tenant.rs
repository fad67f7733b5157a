//! `tenant list | create | rename | delete`: people and teams that have nothing to do with those of another one.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::people::told;
use super::table::{Table, cells};
use super::text::{ago, clean};

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// List tenants, with how many teams and people are in each.
    List,
    /// Make a tenant.
    Create { name: String },
    /// Give a tenant another name.
    Rename {
        tenant: String,
        /// The new name.
        name: String,
    },
    /// Remove a tenant that nobody is in, and no team.
    Delete { tenant: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tenant {
    id: String,
    name: String,
    teams: i64,
    people: i64,
    created_at: String,
}

pub async fn tenant(session: &Session, command: &TenantCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        TenantCommand::List => list(session).await,
        TenantCommand::Create { name } => {
            let value = client.post(&["tenants"], &json!({ "name": name })).await?;
            told(session, &value, &format!("Tenant {} is made.", clean(name)))
        }
        TenantCommand::Rename { tenant, name } => {
            let value = client.put(&["tenants", tenant], &json!({ "name": name })).await?;
            told(session, &value, &format!("Tenant {} is called {} now.", clean(tenant), clean(name)))
        }
        TenantCommand::Delete { tenant } => {
            client.delete(&["tenants", tenant]).await?;
            told(session, &Value::Null, &format!("Tenant {} is removed.", clean(tenant)))
        }
    }
}

async fn list(session: &Session) -> Outcome<u8> {
    let value = session.client.get(&["tenants"]).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "ID", "TEAMS", "PEOPLE", "CREATED"]);
    for row in read::<Vec<Tenant>>(&value)? {
        let created = ago(&row.created_at);
        table.row(cells![row.name, row.id, row.teams, row.people, created]);
    }
    table.print(&session.out);
    Ok(exit::SUCCESS)
}
