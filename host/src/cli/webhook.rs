//! `webhook list | show | replay | register | remove | rotate`: the inbox of deliveries, the webhook at the forge, and the secret
//! that deliveries are signed with.

use clap::Subcommand;
use serde_json::json;

use super::Session;
use super::client::read;
use super::deploy::unknown_stack;
use super::failure::{Failure, Outcome, exit};
use super::output::Tone;
use super::stack_input::variable;
use super::table::{Cell, Table, cells, details};
use super::text::{ago, clean, log_line};
use super::view::{Items, Rotated, Stack, WebhookEvent};
use crate::app::webhook_secret::DEFAULT_OVERLAP_SECS;

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// List received deliveries, newest first, with what became of each.
    List {
        /// Only those of this stack's repository.
        #[arg(long)]
        stack: Option<String>,
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
        limit: u16,
    },
    /// Show a delivery with its headers and body.
    Show {
        /// Number or id.
        #[arg(value_name = "ID")]
        event: String,
    },
    /// Read a delivery again and act on it, as a new one with the same headers and body.
    Replay {
        /// Number or id.
        #[arg(value_name = "ID")]
        event: String,
    },
    /// Register a stack's webhook at its forge, with the repository's access token. One that is there already is changed.
    Register {
        /// Name, number or id of the stack.
        stack: String,
    },
    /// Remove the webhook that was registered at the forge.
    Remove {
        /// Name, number or id of the stack.
        stack: String,
    },
    /// Make a new secret for a stack's webhook and show it once. The previous one counts on for a while.
    Rotate {
        /// Name, number or id of the stack.
        stack: String,
        /// Seconds for which the previous secret counts: up to 30 days; 0 ends it at once.
        #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_OVERLAP_SECS)]
        overlap: u32,
        /// Environment variable with the secret that the forge has made; one is made here if left out.
        #[arg(long, value_name = "VARIABLE")]
        secret_env: Option<String>,
    },
}

pub async fn webhook(session: &Session, command: &WebhookCommand) -> Outcome<u8> {
    match command {
        WebhookCommand::List { stack, limit } => list(session, stack.as_deref(), &limit.to_string()).await?,
        WebhookCommand::Show { event } => show(session, event).await?,
        WebhookCommand::Replay { event } => replay(session, event).await?,
        WebhookCommand::Register { stack } => register(session, stack).await?,
        WebhookCommand::Remove { stack } => remove(session, stack).await?,
        WebhookCommand::Rotate { stack, overlap, secret_env } => {
            rotate(session, stack, *overlap, secret_env.as_deref()).await?;
        }
    }
    Ok(exit::SUCCESS)
}

async fn list(session: &Session, stack: Option<&str>, limit: &str) -> Outcome<()> {
    let out = &session.out;
    let repository = match stack {
        Some(name) => Some(repository_id(session, name).await?),
        None => None,
    };
    let mut query = vec![("limit", limit)];
    if let Some(id) = &repository {
        query.push(("repository", id));
    }
    let value = session.client.get_with(&["webhooks"], &query).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let events = read::<Items<WebhookEvent>>(&value)?.items;
    if events.is_empty() {
        out.line(
            "No deliveries yet. `windlass stack show NAME` has the URL that the forge has to send them to.",
        );
        return Ok(());
    }
    let mut table = Table::new(&["ID", "RECEIVED", "PROVIDER", "EVENT", "SIGNATURE", "RESULT", "DETAIL"]);
    for event in events {
        let detail = event.error.as_deref().or(event.detail.as_deref()).unwrap_or("").to_string();
        let (received, signature, result) = (ago(&event.received_at), signature(&event), result(&event));
        table.row(cells![event.seq, received, event.provider, event.event_type, signature, result, detail]);
    }
    table.print(out);
    Ok(())
}

async fn repository_id(session: &Session, name: &str) -> Outcome<String> {
    let value =
        session.client.get(&["stacks", name]).await.map_err(|failure| unknown_stack(failure, name))?;
    let stack: Stack = read(&value)?;
    stack.git_repository.map(|repository| repository.id).ok_or_else(|| {
        Failure::local(
            format!("Stack `{}` has no repository, so it gets no deliveries.", clean(&stack.name)),
            "",
        )
    })
}

async fn show(session: &Session, event: &str) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.get(&["webhooks", event]).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let event: WebhookEvent = read(&value)?;
    details(
        out,
        vec![
            ("Delivery", Cell::toned(event.seq.to_string(), Tone::Strong)),
            ("Id", event.id.as_str().into()),
            ("Received", ago(&event.received_at).into()),
            ("Provider", event.provider.as_str().into()),
            ("Event", event.event_type.as_str().into()),
            ("Delivery id", event.delivery_id.as_deref().unwrap_or("").into()),
            ("Came by", came_by(&event.origin).into()),
            ("Signature", signature(&event)),
            ("Replay of", event.replay_of.as_deref().unwrap_or("").into()),
            ("Result", result(&event)),
            ("Detail", event.detail.as_deref().unwrap_or("").into()),
            ("Error", Cell::toned(event.error.as_deref().unwrap_or(""), Tone::Bad)),
            ("Deployment", event.deployment_id.as_deref().unwrap_or("").into()),
        ],
    );
    if !event.outcomes.is_empty() {
        out.line("");
        let mut table = Table::new(&["STACK", "BRANCH", "RESULT", "DETAIL"]);
        for one in &event.outcomes {
            table.row(cells![&one.stack, &one.branch, one.reason.as_str(), &one.detail]);
        }
        table.print(out);
    }
    out.line("");
    for (name, value) in &event.headers {
        out.line(&format!("{} {}", out.paint(Tone::Faint, &format!("{}:", clean(name))), clean(value)));
    }
    out.line("");
    for line in event.payload.as_deref().unwrap_or("").lines() {
        out.line(&log_line(line, false));
    }
    Ok(())
}

async fn replay(session: &Session, event: &str) -> Outcome<()> {
    let out = &session.out;
    let value = session.client.post(&["webhooks", event, "replay"], &json!({})).await?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let copy: WebhookEvent = read(&value)?;
    out.line(&format!("It is read again as delivery {}.", copy.seq));
    out.note(&format!("`windlass webhook show {}` tells what became of it.", copy.seq));
    Ok(())
}

fn came_by(origin: &str) -> &'static str {
    match origin {
        "start" => "looking at the git server when this server started",
        "poll" => "looking at the git server",
        _ => "a delivery",
    }
}

fn signature(event: &WebhookEvent) -> Cell {
    if matches!(event.origin.as_str(), "start" | "poll") {
        return Cell::toned("none: found on the git server", Tone::Faint);
    }
    match (event.verified, event.matched_secret.as_deref()) {
        (false, _) => Cell::toned("not valid", Tone::Bad),
        (true, Some("previous")) => Cell::toned("valid, previous secret", Tone::Busy),
        (true, _) => Cell::toned("valid", Tone::Good),
    }
}

async fn register(session: &Session, stack: &str) -> Outcome<()> {
    let out = &session.out;
    let asked = session.client.post(&["stacks", stack, "webhook"], &json!({})).await;
    let value = asked.map_err(|failure| unknown_stack(failure, stack))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let stack: Stack = read(&value)?;
    let url = stack.git_repository.and_then(|row| row.webhook_url).unwrap_or_default();
    let name = out.paint(Tone::Strong, &stack.name);
    out.line(&format!("The forge of {name} sends its pushes to {} now.", clean(&url)));
    Ok(())
}

async fn remove(session: &Session, stack: &str) -> Outcome<()> {
    let out = &session.out;
    let asked = session.client.delete(&["stacks", stack, "webhook"]).await;
    asked.map_err(|failure| unknown_stack(failure, stack))?;
    if out.is_json() {
        out.json(&serde_json::Value::Null);
    } else {
        out.line(&format!(
            "No webhook from here is at the forge of {}.",
            out.paint(Tone::Strong, &clean(stack))
        ));
    }
    Ok(())
}

async fn rotate(session: &Session, stack: &str, overlap: u32, secret_env: Option<&str>) -> Outcome<()> {
    let out = &session.out;
    let secret = secret_env.map(variable).transpose()?;
    let input = json!({ "overlap": overlap, "secret": secret });
    let asked = session.client.post(&["stacks", stack, "rotate-webhook-secret"], &input).await;
    let value = asked.map_err(|failure| unknown_stack(failure, stack))?;
    if out.is_json() {
        out.json(&value);
        return Ok(());
    }
    let rotated: Rotated = read(&value)?;
    let previous = match &rotated.previous_until {
        Some(until) => format!("counts as well until {} ({})", clean(until), ago(until)),
        None => "no longer counts".to_owned(),
    };
    details(
        out,
        vec![
            ("Webhook URL", rotated.url.as_str().into()),
            ("Secret", Cell::toned(rotated.secret.as_deref().unwrap_or("the given one"), Tone::Strong)),
            ("Previous secret", previous.into()),
        ],
    );
    out.note(match rotated.registered {
        true => "The forge is told by the server, which has registered the webhook. It is shown this once.",
        false => "Enter the secret in the forge's webhook settings. It is shown this once.",
    });
    Ok(())
}

fn result(event: &WebhookEvent) -> Cell {
    match event.reason.as_deref() {
        None => Cell::toned("in work", Tone::Busy),
        Some(reason @ ("deployed" | "built" | "ping")) => Cell::toned(reason, Tone::Good),
        Some(reason @ ("bad_signature" | "wrong_provider")) => Cell::toned(reason, Tone::Bad),
        Some(reason) => reason.into(),
    }
}
