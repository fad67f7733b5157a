//! `badge`: a stack's state for everybody who knows an address.

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::table::details;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass badge shop          where it is, if there is one
  windlass badge shop --make   everybody who knows the address sees the state of the newest deployment
  windlass badge shop --end    nobody does any more")]
pub struct BadgeArgs {
    /// Name, number or id of a stack.
    stack: String,
    /// Make one.
    #[arg(long)]
    make: bool,
    /// Show nothing any more; another badge will have another address.
    #[arg(long, conflicts_with = "make")]
    end: bool,
}

#[derive(Deserialize)]
struct Badge {
    svg: Option<String>,
    cctray: Option<String>,
}

pub async fn badge(session: &Session, args: &BadgeArgs) -> Outcome<u8> {
    let (client, out) = (&session.client, &session.out);
    let path = ["stacks", args.stack.as_str(), "badge"];
    let value = if args.end {
        client.delete(&path).await?;
        json!({ "public": false, "svg": Value::Null, "cctray": Value::Null })
    } else if args.make {
        client.put(&path, &json!({})).await?
    } else {
        client.get(&path).await?
    };
    if out.is_json() {
        out.json(&value);
        return Ok(exit::SUCCESS);
    }
    let badge: Badge = read(&value)?;
    match (badge.svg, badge.cctray) {
        (Some(svg), Some(cctray)) => {
            details(out, vec![("Badge", svg.into()), ("cctray", cctray.into())]);
        }
        _ => out.line("The stack shows its state to nobody. `--make` makes a badge."),
    }
    Ok(exit::SUCCESS)
}
