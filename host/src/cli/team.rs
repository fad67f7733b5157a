//! `team` and `project`: who is where, and whose what is.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::people::{role, told};
use super::table::{Table, cells};
use super::text::{ago, clean};
use super::view::Items;

#[derive(Debug, Subcommand)]
pub enum TeamCommand {
    /// List your teams, or all for an administrator.
    List,
    /// Make a team.
    Create {
        name: String,
        /// The first one if left out; made if there is none of that name.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Remove a team that has no projects.
    Delete { team: String },
    /// List who is in a team, and in what role.
    Members { team: String },
    /// Give a person a role in a team.
    Add {
        team: String,
        user: String,
        /// viewer, developer, deployer or admin.
        #[arg(value_parser = role)]
        role: String,
        /// Only in this project.
        #[arg(long)]
        project: Option<String>,
    },
    /// End a person's role in a team.
    Remove {
        team: String,
        user: String,
        /// The role in this project; the one in the whole team if left out.
        #[arg(long)]
        project: Option<String>,
    },
    /// Invite a person. What they need is shown this once.
    Invite {
        team: String,
        /// Name of the account that will be made, or that exists.
        name: String,
        /// viewer, developer, deployer or admin.
        #[arg(value_parser = role)]
        role: String,
        /// Only to this project.
        #[arg(long)]
        project: Option<String>,
        /// How long it counts.
        #[arg(long, default_value_t = 72)]
        hours: u32,
    },
    /// List a team's invitations.
    Invitations { team: String },
    /// Take an invitation back.
    Withdraw { team: String, invitation: String },
}

#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// List projects.
    List,
    /// Make a project.
    Create {
        name: String,
        /// The only team that you are a developer of if left out.
        #[arg(long)]
        team: Option<String>,
    },
    /// Give a project, with all that belongs to it, to another team.
    Move { project: String, team: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    user: String,
    role: String,
    project_id: Option<String>,
    created_at: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invitation {
    id: String,
    name: String,
    role: String,
    created_by: String,
    expires_at: String,
    used_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    id: String,
    name: String,
    created_at: String,
    team_id: Option<String>,
}

pub async fn team(session: &Session, command: &TeamCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        TeamCommand::List => {
            let value = client.get(&["teams"]).await?;
            named(session, &value, read::<Vec<Named>>(&value)?)
        }
        TeamCommand::Create { name, tenant } => {
            let value = client.post(&["teams"], &json!({ "name": name, "tenant": tenant })).await?;
            told(session, &value, &format!("Team {} is made.", clean(name)))
        }
        TeamCommand::Delete { team } => {
            client.delete(&["teams", team]).await?;
            told(session, &Value::Null, &format!("Team {} is removed.", clean(team)))
        }
        TeamCommand::Members { team } => members(session, team).await,
        TeamCommand::Add { team, user, role, project } => {
            let body = json!({ "role": role, "project": project });
            let value = client.put(&["teams", team, "members", user], &body).await?;
            told(session, &value, &format!("{} is {} now.", clean(user), clean(role)))
        }
        TeamCommand::Remove { team, user, project } => {
            let query: Vec<(&str, &str)> = project.iter().map(|key| ("project", key.as_str())).collect();
            client.delete_with(&["teams", team, "members", user], &query).await?;
            told(session, &Value::Null, &format!("The role of {} has ended.", clean(user)))
        }
        TeamCommand::Invite { team, name, role, project, hours } => {
            let body = json!({ "name": name, "role": role, "project": project, "hours": hours });
            let value = client.post(&["teams", team, "invitations"], &body).await?;
            if !session.out.is_json() {
                session.out.note(&format!("Give this to {}; it works once:", clean(name)));
            }
            told(session, &value, &clean(value["secret"].as_str().unwrap_or("")))
        }
        TeamCommand::Invitations { team } => invitations(session, team).await,
        TeamCommand::Withdraw { team, invitation } => {
            client.delete(&["teams", team, "invitations", invitation]).await?;
            told(session, &Value::Null, "The invitation is taken back.")
        }
    }
}

pub async fn project(session: &Session, command: &ProjectCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        ProjectCommand::List => {
            let value = client.list(&["projects"]).await?;
            let items = read::<Items<Named>>(&value)?.items;
            named(session, &value, items)
        }
        ProjectCommand::Create { name, team } => {
            let value = client.post(&["projects"], &json!({ "name": name, "team": team })).await?;
            told(session, &value, &format!("Project {} is made.", clean(name)))
        }
        ProjectCommand::Move { project, team } => {
            let value = client.put(&["projects", project, "team"], &json!({ "team": team })).await?;
            told(session, &value, &format!("Project {} is team {}'s now.", clean(project), clean(team)))
        }
    }
}

fn named(session: &Session, value: &Value, rows: Vec<Named>) -> Outcome<u8> {
    if session.out.is_json() {
        session.out.json(value);
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "ID", "TEAM", "CREATED"]);
    for row in rows {
        let created = ago(&row.created_at);
        table.row(cells![row.name, row.id, row.team_id.unwrap_or_default(), created]);
    }
    table.print(&session.out);
    Ok(exit::SUCCESS)
}

async fn members(session: &Session, team: &str) -> Outcome<u8> {
    let value = session.client.get(&["teams", team, "members"]).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "ROLE", "PROJECT", "SINCE"]);
    for row in read::<Vec<Member>>(&value)? {
        let since = ago(&row.created_at);
        table.row(cells![row.user, row.role, row.project_id.unwrap_or_else(|| "all".into()), since]);
    }
    table.print(&session.out);
    Ok(exit::SUCCESS)
}

async fn invitations(session: &Session, team: &str) -> Outcome<u8> {
    let value = session.client.get(&["teams", team, "invitations"]).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["ID", "NAME", "ROLE", "BY", "ENDS", "STATE"]);
    for row in read::<Vec<Invitation>>(&value)? {
        let (ends, state) = (ago(&row.expires_at), if row.used_at.is_some() { "used" } else { "open" });
        table.row(cells![row.id, row.name, row.role, row.created_by, ends, state]);
    }
    table.print(&session.out);
    Ok(exit::SUCCESS)
}
