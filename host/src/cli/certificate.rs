//! `certificate list | renew`: certificates that the server gets for the hosts of stacks.

use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells};
use super::text::clean;

#[derive(Debug, Subcommand)]
pub enum CertificateCommand {
    /// Show for which hosts there is one, until when, and what is wrong.
    List,
    /// Get the certificate of a host now, for example after its name was set right.
    #[command(after_help = "Example:
  windlass certificate renew app.example.org

It takes a few seconds; `windlass certificate list` shows what became of it.")]
    Renew {
        /// Name of the host.
        host: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub host: String,
    pub state: String,
    not_after: Option<String>,
    due_at: String,
    pub error: Option<String>,
}

pub async fn certificate(session: &Session, command: &CertificateCommand) -> Outcome<u8> {
    let (client, out) = (&session.client, &session.out);
    match command {
        CertificateCommand::List => {
            let value = client.get(&["certificates"]).await?;
            if out.is_json() {
                out.json(&value);
                return Ok(exit::SUCCESS);
            }
            let rows: Vec<Certificate> = read(&value)?;
            if rows.is_empty() {
                out.line("There are none. With acme.directory in its configuration, the server gets one for each host of a stack.");
                return Ok(exit::SUCCESS);
            }
            let mut table = Table::new(&["HOST", "STATE", "VALID UNTIL", "NEXT", "ERROR"]);
            for row in rows {
                let tone = match row.state.as_str() {
                    "valid" => Tone::Good,
                    "pending" | "renewal_failing" => Tone::Warning,
                    _ => Tone::Bad,
                };
                table.row(cells![
                    clean(&row.host),
                    Cell::toned(clean(&row.state).replace('_', " "), tone),
                    row.not_after.unwrap_or_else(|| "-".into()),
                    row.due_at,
                    clean(row.error.as_deref().unwrap_or("")),
                ]);
            }
            table.print(out);
        }
        CertificateCommand::Renew { host } => {
            let value = client.post(&["certificates", host, "renew"], &json!({})).await?;
            if out.is_json() {
                out.json(&value);
            } else {
                out.line(&format!("The certificate of {} is being got.", clean(host)));
            }
        }
    }
    Ok(exit::SUCCESS)
}
