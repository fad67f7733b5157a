//! `notify delivery list | show | replay`.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use super::unknown;
use crate::cli::Session;
use crate::cli::client::read;
use crate::cli::failure::{Outcome, exit};
use crate::cli::output::Tone;
use crate::cli::table::{Cell, Table, cells, details};
use crate::cli::text::ago;
use crate::cli::view::Items;

#[derive(Debug, Subcommand)]
pub enum DeliveryCommand {
    /// List what a channel was told, newest first.
    List {
        /// Number or id of the channel.
        channel: String,
    },
    /// Show a message and how it went.
    Show {
        /// Number or id of the channel.
        channel: String,
        /// Number or id of the delivery.
        delivery: String,
    },
    /// Send a message once more, with the same id.
    Replay {
        /// Number or id of the channel.
        channel: String,
        /// Number or id of the delivery.
        delivery: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivery {
    id: String,
    seq: i64,
    title: String,
    status: String,
    attempts: i64,
    last_status: Option<i64>,
    pub(super) reason: Option<String>,
    next_at: Option<String>,
    pub(super) created_at: String,
}

impl Delivery {
    pub(super) fn state(&self) -> Cell {
        let tone = match self.status.as_str() {
            "delivered" => Tone::Good,
            "dead" => Tone::Bad,
            "skipped" => Tone::Faint,
            _ => Tone::Busy,
        };
        Cell::toned(&self.status, tone)
    }

    fn answer(&self) -> String {
        self.last_status.map_or_else(String::new, |status| status.to_string())
    }
}

pub async fn delivery(session: &Session, command: &DeliveryCommand) -> Outcome<u8> {
    let client = &session.client;
    match command {
        DeliveryCommand::List { channel } => {
            let value = client.get(&["channels", channel, "deliveries"]).await.map_err(unknown)?;
            list(session, &value)?;
        }
        DeliveryCommand::Show { channel, delivery } => {
            let path = ["channels", channel.as_str(), "deliveries", delivery.as_str()];
            show(session, &client.get(&path).await.map_err(unknown)?)?;
        }
        DeliveryCommand::Replay { channel, delivery } => {
            let path = ["channels", channel.as_str(), "deliveries", delivery.as_str(), "replay"];
            show(session, &client.post(&path, &json!({})).await.map_err(unknown)?)?;
        }
    }
    Ok(exit::SUCCESS)
}

fn list(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let mut table = Table::new(&["ID", "MESSAGE", "STATUS", "ATTEMPTS", "ANSWER", "WHEN", "REASON"]);
    for one in read::<Items<Delivery>>(value)?.items {
        let (state, answer, when) = (one.state(), one.answer(), ago(&one.created_at));
        table.row(cells![
            one.seq,
            one.title,
            state,
            one.attempts,
            answer,
            when,
            one.reason.unwrap_or_default()
        ]);
    }
    table.print(out);
    Ok(())
}

/// How a test went; its exit code says it as well.
pub(super) fn ended(session: &Session, value: &Value) -> Outcome<u8> {
    show(session, value)?;
    Ok(if read::<Delivery>(value)?.status == "delivered" { exit::SUCCESS } else { exit::FAILED })
}

fn show(session: &Session, value: &Value) -> Outcome<()> {
    let out = &session.out;
    if out.is_json() {
        out.json(value);
        return Ok(());
    }
    let one: Delivery = read(value)?;
    details(
        out,
        vec![
            ("Delivery", Cell::toned(one.seq.to_string(), Tone::Strong)),
            ("Id", one.id.as_str().into()),
            ("Message", one.title.as_str().into()),
            ("Status", one.state()),
            ("Attempts", one.attempts.to_string().into()),
            ("Answer", one.answer().into()),
            ("Reason", one.reason.clone().unwrap_or_default().into()),
            ("Next", one.next_at.as_deref().map(ago).unwrap_or_default().into()),
        ],
    );
    Ok(())
}
