//! `notify channel | rule | delivery …`: who is told what happened, and that they were.

mod channel;
mod delivery;
mod rule;

use clap::Subcommand;

use super::Session;
use super::failure::{Failure, Outcome};

#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Where people and programs are told: chats, mails, webhooks of your own.
    #[command(subcommand)]
    Channel(channel::ChannelCommand),
    /// What a channel is told.
    #[command(subcommand)]
    Rule(rule::RuleCommand),
    /// What a channel was told, and what came back.
    #[command(subcommand)]
    Delivery(delivery::DeliveryCommand),
}

pub async fn notify(session: &Session, command: &NotifyCommand) -> Outcome<u8> {
    match command {
        NotifyCommand::Channel(command) => channel::channel(session, command).await,
        NotifyCommand::Rule(command) => rule::rule(session, command).await,
        NotifyCommand::Delivery(command) => delivery::delivery(session, command).await,
    }
}

fn unknown(failure: Failure) -> Failure {
    failure.listed_by("windlass notify channel list")
}
