//! Tools for authors of plugins. They need no server: what they say comes from the component and this program alone.

mod build;
mod cargo;
mod changes;
mod check;
pub mod dev;
mod docs;
mod inspect;
mod new;
mod node;
mod pack;
mod project;
mod push;
mod python;
mod simulate;
mod test;

use std::path::Path;

use clap::Subcommand;

use super::failure::{Failure, Outcome};
use super::output::Output;
use crate::error::Error;

#[derive(Debug, Subcommand)]
pub enum ToolCommand {
    /// Begin a plugin: a project that builds, tests and documents itself.
    New(new::NewArgs),
    /// Compile the project to a component.
    Build(build::BuildArgs),
    /// Run the project's own tests, then the conformance suite on its component.
    Test(test::TestArgs),
    /// Run the conformance suite: the rules by which a server takes a plugin in.
    Check(check::CheckArgs),
    /// Put a strategy into thousands of simulated worlds.
    Simulate(simulate::SimulateArgs),
    /// Print the reference of a plugin's settings, in Markdown.
    Docs(docs::DocsArgs),
    /// Write a component as an OCI image layout, ready to be pushed to a registry.
    Pack(pack::PackArgs),
    /// Upload a component to an OCI registry and print the pinned reference.
    Push(push::PushArgs),
}

pub async fn tool(out: &Output, command: &ToolCommand) -> Outcome<u8> {
    match command {
        ToolCommand::New(args) => new::new(out, args),
        ToolCommand::Build(args) => build::build(out, args),
        ToolCommand::Test(args) => test::test(out, args).await,
        ToolCommand::Check(args) => check::check(out, args).await,
        ToolCommand::Simulate(args) => simulate::simulate(out, args).await,
        ToolCommand::Docs(args) => docs::docs(out, args).await,
        ToolCommand::Pack(args) => pack::pack(out, args).await,
        ToolCommand::Push(args) => push::push(out, args).await,
    }
}

pub use inspect::inspect;

/// Whether a name means a file here, and not a plugin of the server.
pub fn is_file(name: &str) -> bool {
    let path = Path::new(name);
    path.extension().is_some_and(|extension| extension == "wasm") || name.contains('/') || path.is_file()
}

/// What the program's inside says, as a command's failure.
fn failed(error: Error) -> Failure {
    let text = error.for_log();
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    Failure::local(format!("{first}{}{end}", letters.as_str()), "")
}
