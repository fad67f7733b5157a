//! `login | logout | user`: accounts and sessions.

use std::io::{BufRead, IsTerminal, Write};

use clap::{Args, Subcommand};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells};
use super::text::{ago, clean};
use crate::domain::access::Role;

#[derive(Debug, Args)]
#[command(after_help = "The password is asked for, or read from standard input. Example:
  export WINDLASS_TOKEN=$(windlass login ada)")]
pub struct LoginArgs {
    /// Name of the account.
    name: String,
    /// Of the authenticator app, or a recovery code, for those who have set that up.
    #[arg(long)]
    code: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// List people: those in your teams, or everybody for an administrator.
    List,
    /// Show who you are, and your roles.
    Me,
    /// Make an account that logs in with tokens; with --password, one that logs in by password.
    Create {
        name: String,
        /// Ask for a password, or read it from standard input.
        #[arg(long)]
        password: bool,
        /// Administers the installation.
        #[arg(long)]
        admin: bool,
        /// The first one if left out; made if there is none of that name.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Shut somebody out at once, with all tokens and sessions.
    Disable { name: String },
    /// Let somebody in again.
    Enable { name: String },
    /// Make somebody an administrator of the installation, or end that.
    Admin {
        name: String,
        #[arg(long)]
        end: bool,
    },
    /// Give yourself a new password, or somebody else as an administrator.
    Password {
        /// You if left out.
        name: Option<String>,
    },
    /// Set up codes of an authenticator app for your log-ins.
    SecondFactor {
        /// The code that confirms it, or with --remove one that proves it is you.
        #[arg(long)]
        code: Option<String>,
        /// Log-ins need no code any more.
        #[arg(long, requires = "code")]
        remove: bool,
    },
    /// Make the account you were invited to.
    Accept {
        name: String,
        /// What whoever invited you gave you.
        invitation: String,
    },
    /// Join the team you were invited to.
    Join { invitation: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    name: String,
    admin: bool,
    has_password: bool,
    has_second_factor: bool,
    last_login_at: Option<String>,
    disabled_at: Option<String>,
}

/// For clap: a role that there is.
pub fn role(given: &str) -> Result<String, String> {
    Role::parse(given).map(|role| role.as_str().into()).ok_or_else(|| {
        let all: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        format!("there are {}", all.join(", "))
    })
}

pub async fn login(session: &Session, args: &LoginArgs) -> Outcome<u8> {
    let password = secret("Password")?;
    let body = json!({ "name": args.name, "password": password, "code": args.code });
    let value = session.client.post(&["sessions"], &body).await?;
    if session.out.is_json() {
        session.out.json(&value);
        return Ok(exit::SUCCESS);
    }
    session.out.note("You are logged in. Pass this on as WINDLASS_TOKEN:");
    // Alone on standard output, so that `WINDLASS_TOKEN=$(windlass login ada)` works.
    session.out.line(&clean(value["secret"].as_str().unwrap_or("")));
    Ok(exit::SUCCESS)
}

pub async fn logout(session: &Session) -> Outcome<u8> {
    session.client.delete(&["sessions", "current"]).await?;
    told(session, &Value::Null, "You are logged out.")
}

pub async fn user(session: &Session, command: &UserCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        UserCommand::List => list(session).await,
        UserCommand::Me => me(session).await,
        UserCommand::Create { name, password, admin, tenant } => {
            let password = if *password { Some(secret("Password of the new account")?) } else { None };
            let body = json!({ "name": name, "password": password, "admin": admin, "tenant": tenant });
            let value = client.post(&["users"], &body).await?;
            told(session, &value, &format!("The account {} is made.", clean(name)))
        }
        UserCommand::Disable { name } => {
            let value = client.put(&["users", name], &json!({ "disabled": true })).await?;
            told(session, &value, &format!("{} is shut out.", clean(name)))
        }
        UserCommand::Enable { name } => {
            let value = client.put(&["users", name], &json!({ "disabled": false })).await?;
            told(session, &value, &format!("{} may log in again.", clean(name)))
        }
        UserCommand::Admin { name, end } => {
            let value = client.put(&["users", name], &json!({ "admin": !end })).await?;
            let words = if *end { "is no administrator any more" } else { "is an administrator" };
            told(session, &value, &format!("{} {words}.", clean(name)))
        }
        UserCommand::Password { name } => password(session, name.as_deref()).await,
        UserCommand::SecondFactor { code, remove } => second_factor(session, code.as_deref(), *remove).await,
        UserCommand::Accept { name, invitation } => {
            let password = secret("Password of the new account")?;
            let body = json!({ "name": name, "invitation": invitation, "password": password });
            let value = client.post(&["invitations", "accept"], &body).await?;
            told(session, &value, &format!("The account is made. `windlass login {}` logs in.", clean(name)))
        }
        UserCommand::Join { invitation } => {
            client.post(&["invitations", "join"], &json!({ "invitation": invitation })).await?;
            told(session, &Value::Null, "You are a member now.")
        }
    }
}

/// The answer for programs, a sentence for people.
pub fn told(session: &Session, value: &Value, text: &str) -> Outcome<u8> {
    if session.out.is_json() {
        session.out.json(value);
    } else {
        session.out.line(text);
    }
    Ok(exit::SUCCESS)
}

async fn list(session: &Session) -> Outcome<u8> {
    let out = &session.out;
    let value = session.client.get(&["users"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let mut table = Table::new(&["NAME", "KIND", "LOGS IN BY", "LAST LOG-IN", "STATE"]);
    for user in read::<Vec<User>>(&value)? {
        let kind = if user.admin { "administrator" } else { "person" };
        let by = match (user.has_password, user.has_second_factor) {
            (false, _) => "token",
            (true, false) => "password",
            (true, true) => "password and code",
        };
        let last = user.last_login_at.as_deref().map_or("never".into(), ago);
        let state = match user.disabled_at {
            Some(_) => Cell::toned("shut out", Tone::Faint),
            None => Cell::toned("may log in", Tone::Good),
        };
        table.row(cells![user.name, kind, by, last, state]);
    }
    table.print(out);
    Ok(exit::SUCCESS)
}

async fn me(session: &Session) -> Outcome<u8> {
    let out = &session.out;
    let value = session.client.get(&["me"]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let admin = if value["user"]["admin"] == true { ", administrator of the installation" } else { "" };
    let name = clean(value["user"]["name"].as_str().unwrap_or(""));
    out.line(&format!("{name}{admin} (token {})", clean(value["token"].as_str().unwrap_or(""))));
    let mut table = Table::new(&["TEAM", "PROJECT", "ROLE"]);
    for row in value["memberships"].as_array().into_iter().flatten() {
        let text = |key: &str, none: &str| row[key].as_str().unwrap_or(none).to_owned();
        table.row(cells![text("teamId", ""), text("projectId", "all"), text("role", "")]);
    }
    table.print(out);
    Ok(exit::SUCCESS)
}

async fn password(session: &Session, name: Option<&str>) -> Outcome<u8> {
    let client = &session.client;
    if let Some(name) = name {
        let body = json!({ "password": secret("New password")? });
        client.put(&["users", name, "password"], &body).await?;
        return told(session, &Value::Null, &format!("{} has a new password; sessions ended.", clean(name)));
    }
    let has_one = client.get(&["me"]).await?["user"]["hasPassword"] == true;
    let current = if has_one { secret("Current password")? } else { String::new() };
    let body = json!({ "current": current, "new": secret("New password")? });
    client.put(&["me", "password"], &body).await?;
    told(session, &Value::Null, "Your password is changed. Your other sessions have ended.")
}

async fn second_factor(session: &Session, code: Option<&str>, remove: bool) -> Outcome<u8> {
    let (client, out) = (&session.client, &session.out);
    let Some(code) = code else {
        let value = client.post(&["me", "second-factor"], &json!({})).await?;
        let url = clean(value["url"].as_str().unwrap_or(""));
        return told(
            session,
            &value,
            &format!(
                "Add this to your authenticator app:\n  {url}\nThen confirm with `windlass user second-factor --code <code>`."
            ),
        );
    };
    let body = json!({ "code": code });
    if remove {
        client.post(&["me", "second-factor", "remove"], &body).await?;
        return told(session, &Value::Null, "Log-ins need no code any more.");
    }
    let value = client.post(&["me", "second-factor", "confirm"], &body).await?;
    if !out.is_json() {
        out.note("Log-ins need a code now. Keep these recovery codes; each is good for one log-in:");
    }
    let codes: Vec<&str> =
        value["recoveryCodes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    told(session, &value, &clean_lines(&codes))
}

fn clean_lines(lines: &[&str]) -> String {
    lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")
}

/// A line of standard input; on a terminal it is asked for and not shown.
fn secret(prompt: &str) -> Outcome<String> {
    let unread = |error: std::io::Error| {
        Failure::local(format!("The password cannot be read: {error}."), "Pass it on standard input.")
    };
    let stdin = std::io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        let shown = tcgetattr(&stdin).map_err(|error| unread(error.into()))?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let _ = write!(std::io::stderr(), "{prompt}: ");
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|error| unread(error.into()))?;
        let outcome = stdin.lock().read_line(&mut line);
        let _ = tcsetattr(&stdin, OptionalActions::Flush, &shown);
        let _ = writeln!(std::io::stderr());
        outcome.map_err(unread)?;
    } else {
        stdin.lock().read_line(&mut line).map_err(unread)?;
    }
    let text = line.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() {
        return Err(Failure::usage("No password was given.").advise("Type it, or pass it on standard input."));
    }
    Ok(text)
}
