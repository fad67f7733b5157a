//! The command line. `main` runs `serve` itself; every other command is a client of the API, or looks at this machine.
//!
//! A file a noun. `client` speaks HTTP, `output` is the only way to standard output, `failure` how a command ends badly.

mod address;
mod admin;
mod apply;
mod approve;
mod audit;
mod backup;
mod badge;
mod build;
mod calls;
mod certificate;
mod client;
mod compile;
mod deploy;
mod doctor;
mod events;
mod failure;
mod follow;
mod git;
mod health;
mod init;
mod job;
mod logs;
mod notify;
mod output;
mod overview;
mod people;
mod pipeline;
mod plan;
mod plugin;
mod plugin_manage;
mod preview;
mod protect;
mod provider;
mod registry;
mod rollout;
mod router;
mod schedule;
mod secrets;
mod sse;
mod stack;
mod stack_input;
mod status;
mod table;
mod target;
mod task;
mod team;
mod template;
mod tenant;
mod text;
mod view;
mod webhook;

pub use sse::Parser as EventParser;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::json;

use client::Client;
use failure::{Outcome, exit};
use output::{Format, Output};

/// Self-hosted CI/CD and deployment server: a git push becomes a healthy deployment.
#[derive(Debug, Parser)]
#[command(
    name = "windlass",
    version,
    arg_required_else_help = true,
    after_help = "\
First steps:
  windlass serve                       start a server; it prints its address and the first token
  export WINDLASS_TOKEN=…              what every other command shows the server
  windlass stack create --help         describe what is to be deployed
  windlass deploy web -w               deploy it and wait

Exit codes:
  0  done; with -w or -f: the deployment was successful
  1  refused or failed; with -w or -f: the deployment failed or was rolled back
  2  the command line makes no sense
  3  the deployment was cancelled
  4  the deployment has not ended within --timeout
  5  the server cannot be reached, or refuses the token"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Address of the server.
    #[arg(long, global = true, value_name = "URL", env = "WINDLASS_SERVER", default_value = DEFAULT_SERVER)]
    server: String,
    /// API token. The environment variable keeps it out of the process list.
    #[arg(long, global = true, value_name = "TOKEN", env = "WINDLASS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// `json` prints the API's data: one document, or one a line where something is followed.
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// No colours; NO_COLOR does the same.
    #[arg(long, global = true)]
    no_color: bool,
}

const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

impl GlobalArgs {
    /// An empty variable is as good as none.
    fn server(&self) -> &str {
        if self.server.trim().is_empty() { DEFAULT_SERVER } else { &self.server }
    }
}

/// Without the token.
impl std::fmt::Debug for GlobalArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GlobalArgs")
            .field("server", &self.server)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server until SIGTERM or Ctrl-C.
    Serve(ServeArgs),
    /// Run the router, which carries the requests to the containers, or look at it.
    Router(router::RouterArgs),
    /// Write a configuration file with every setting and its default.
    Init(init::InitArgs),
    /// Check whether this machine has what a server needs.
    Doctor(doctor::DoctorArgs),
    /// Stacks: what is deployed, and how.
    #[command(subcommand)]
    Stack(stack::StackCommand),
    /// Make the server what a file says: stacks, repositories, build configurations, schedules.
    Apply(apply::ApplyArgs),
    /// Deploy a stack.
    Deploy(deploy::DeployArgs),
    /// Say what a deployment would do, before anything is done.
    Plan(plan::PlanArgs),
    /// Builds: what one would do, and the files that they have left behind.
    #[command(subcommand)]
    Build(build::BuildCommand),
    /// What is in a stack's repository: commits, files, branches and tags; and the host keys of git servers and targets.
    #[command(subcommand)]
    Git(git::GitCommand),
    /// Registries of images: their log-ins, and whether they work.
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Show all stacks, one stack, or a deployment with its steps.
    Status(status::StatusArgs),
    /// Ask the instances of a stack or deployment now whether they are well. Exits with 1 if one is not.
    Health(health::HealthArgs),
    /// Say whether everything is all right, and how delivery goes. Exits with 1 if something does not work.
    Overview,
    /// List what happened, to all stacks, one stack or in one deployment, newest first.
    Events(events::EventsArgs),
    /// Show the log of a deployment or build.
    Logs(logs::LogsArgs),
    /// Start a deployment again that failed, was rolled back or was cancelled.
    Retry(deploy::RetryArgs),
    /// Bring an earlier release back.
    Rollback(deploy::RollbackArgs),
    /// Stop a running deployment; what served before goes on serving.
    #[command(visible_alias = "abort")]
    Cancel(deploy::CancelArgs),
    /// A rollout while it runs, and the decisions of its strategy.
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Say yes to what a rollout waits for.
    Approve(approve::AnswerArgs),
    /// Let a rollout go on that waits for time to pass.
    Promote(approve::PromoteArgs),
    /// Say no to what a rollout waits for.
    Reject(approve::AnswerArgs),
    /// Hold a rollout where it is.
    Pause(approve::HoldArgs),
    /// Let a paused rollout go on.
    Resume(approve::HoldArgs),
    /// What deployments of a stack have to wait for: people, a time, the end of a freeze.
    Protect(protect::ProtectArgs),
    /// A stack's state as a picture, for everybody who knows its address.
    Badge(badge::BadgeArgs),
    /// Webhook deliveries that were received.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Who is told what happened: channels, rules, and what they were told.
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Deployments at set times.
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    /// Pull requests that are shown as stacks of their own.
    #[command(subcommand)]
    Preview(preview::PreviewCommand),
    /// Pipelines of CI/CD providers: made from a model or a template, without storing anything.
    #[command(subcommand)]
    Pipeline(pipeline::PipelineCommand),
    /// Templates of pipelines: named, versioned, with parameters.
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Log in by name and password. Prints a token for `WINDLASS_TOKEN`.
    Login(people::LoginArgs),
    /// End the session that `login` began.
    Logout,
    /// Accounts, and one's own password and second factor.
    #[command(subcommand)]
    User(people::UserCommand),
    /// Tenants: people and teams that have nothing to do with those of another one.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Teams: who is in them, in what role, and who is invited.
    #[command(subcommand)]
    Team(team::TeamCommand),
    /// Projects, and whose they are.
    #[command(subcommand)]
    Project(team::ProjectCommand),
    /// CI/CD providers: connections, their health, and the stacks that they deploy.
    #[command(subcommand)]
    Provider(provider::ProviderCommand),
    /// Deploy targets: engines and swarms besides the server's own, on which stacks run.
    #[command(subcommand)]
    Target(target::TargetCommand),
    /// Jobs at CI/CD providers, and their builds.
    #[command(subcommand)]
    Job(job::JobCommand),
    /// The keys that secrets are sealed with.
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Put everything that this server is into one encrypted file.
    Backup(backup::BackupArgs),
    /// Make an empty data folder and database the server that a backup was made of.
    Restore(backup::RestoreArgs),
    /// The record of who did what.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Certificates of the hosts of stacks.
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// The queue: what is to do, what is done, what waits for its next attempt.
    #[command(subcommand)]
    Task(task::TaskCommand),
    /// API tokens.
    #[command(subcommand)]
    Token(admin::TokenCommand),
    /// Plugins: of a server, and the tools of those who write them.
    #[command(subcommand)]
    Plugin(admin::PluginCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:
  windlass completion bash > /etc/bash_completion.d/windlass")]
    Completion { shell: clap_complete::Shell },
    /// Print the version.
    Version,
    /// Compile a plugin: what the server starts for each component, with limits. Not for people.
    #[command(hide = true)]
    CompilePlugin(compile::CompileArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass serve
  windlass serve --config windlass.toml

Settings come from the built-in defaults, then the file, then the environment; `windlass init` writes a
file that explains them all. The first line on standard output is `listening on URL`.
WINDLASS_ADMIN_TOKEN sets the first token; without it one is made and printed once.")]
pub struct ServeArgs {
    /// Configuration file.
    #[arg(short, long, value_name = "FILE", env = "WINDLASS_CONFIG")]
    pub config: Option<PathBuf>,
}

/// What a command that talks to the server works with.
struct Session {
    client: Client,
    out: Output,
}

/// Runs every command but `serve`.
pub async fn run(cli: Cli) -> ExitCode {
    let out = Output::new(cli.global.output, cli.global.no_color);
    let result = match cli.command {
        Command::Init(args) => ended(init::init(&out, &args), &out),
        Command::Doctor(args) => ended(doctor::doctor(&out, cli.global.token.as_deref(), &args).await, &out),
        Command::Router(args) => ended(router::router(&out, &args).await, &out),
        Command::Completion { shell } => ended(completion(&out, shell), &out),
        Command::Version => ended(version(&out), &out),
        Command::Backup(args) if args.is_local() => ended(backup::backup_local(&out, &args).await, &out),
        Command::Restore(args) => ended(backup::restore(&out, &args).await, &out),
        Command::Audit(audit::AuditCommand::Verify(args)) if args.file.is_some() => {
            ended(audit::verify_file(&out, &args), &out)
        }
        Command::Plugin(admin::PluginCommand::Tool(command)) => {
            ended(plugin::tool(&out, &command).await, &out)
        }
        Command::Plugin(admin::PluginCommand::Inspect { name }) if plugin::is_file(&name) => {
            ended(plugin::inspect(&out, &name).await, &out)
        }
        Command::Plugin(admin::PluginCommand::Replay(args)) if args.cassette.is_some() => {
            ended(calls::play(&out, &args).await, &out)
        }
        command => match Client::new(cli.global.server(), cli.global.token.as_deref()) {
            Ok(client) => {
                let session = Session { client, out };
                let result = remote(&session, command).await;
                ended(result, &session.out)
            }
            Err(failure) => ended(Err(failure), &out),
        },
    };
    ExitCode::from(result)
}

async fn remote(session: &Session, command: Command) -> Outcome<u8> {
    match command {
        Command::Stack(command) => stack::stack(session, &command).await,
        Command::Apply(args) => apply::apply(session, &args).await,
        Command::Deploy(args) => deploy::deploy(session, &args).await,
        Command::Plan(args) => plan::plan(session, &args).await,
        Command::Build(command) => build::build(session, &command).await,
        Command::Git(command) => git::git(session, &command).await,
        Command::Registry(command) => registry::registry(session, &command).await,
        Command::Status(args) => status::status(session, &args).await,
        Command::Health(args) => health::health(session, &args).await,
        Command::Overview => overview::overview(session).await,
        Command::Badge(args) => badge::badge(session, &args).await,
        Command::Events(args) => events::events(session, &args).await,
        Command::Logs(args) => logs::logs(session, &args).await,
        Command::Retry(args) => deploy::retry(session, &args).await,
        Command::Rollback(args) => deploy::rollback(session, &args).await,
        Command::Cancel(args) => deploy::cancel(session, &args).await,
        Command::Rollout(command) => rollout::rollout(session, &command).await,
        Command::Approve(args) => approve::answer(session, &args, "approve").await,
        Command::Promote(args) => approve::promote(session, &args).await,
        Command::Reject(args) => approve::answer(session, &args, "reject").await,
        Command::Pause(args) => approve::hold(session, &args, "pause").await,
        Command::Resume(args) => approve::hold(session, &args, "resume").await,
        Command::Protect(args) => protect::protect(session, &args).await,
        Command::Webhook(command) => webhook::webhook(session, &command).await,
        Command::Notify(command) => notify::notify(session, &command).await,
        Command::Schedule(command) => schedule::schedule(session, &command).await,
        Command::Preview(command) => preview::preview(session, &command).await,
        Command::Pipeline(command) => pipeline::pipeline(session, &command).await,
        Command::Template(command) => template::template(session, &command).await,
        Command::Login(args) => people::login(session, &args).await,
        Command::Logout => people::logout(session).await,
        Command::User(command) => people::user(session, &command).await,
        Command::Tenant(command) => tenant::tenant(session, &command).await,
        Command::Team(command) => team::team(session, &command).await,
        Command::Project(command) => team::project(session, &command).await,
        Command::Provider(command) => provider::provider(session, &command).await,
        Command::Target(command) => target::target(session, &command).await,
        Command::Job(command) => job::job(session, &command).await,
        Command::Secrets(command) => secrets::secrets(session, &command).await,
        Command::Backup(args) => backup::backup(session, &args).await,
        Command::Audit(command) => audit::audit(session, &command).await,
        Command::Certificate(command) => certificate::certificate(session, &command).await,
        Command::Task(command) => task::task(session, &command).await,
        Command::Token(command) => admin::token(session, &command).await,
        Command::Plugin(command) => admin::plugin(session, &command).await,
        Command::Serve(_) => Err(failure::Failure::usage("`serve` is not run from here.")),
        Command::CompilePlugin(_) => Err(failure::Failure::usage("`compile-plugin` is not run from here.")),
        Command::Router(_)
        | Command::Init(_)
        | Command::Doctor(_)
        | Command::Restore(_)
        | Command::Completion { .. }
        | Command::Version => Ok(exit::SUCCESS),
    }
}

/// The exit code, after everything that went wrong has been told.
fn ended(result: Outcome<u8>, out: &Output) -> u8 {
    match result.and_then(|code| out.failure().map_or(Ok(code), Err)) {
        Ok(code) => code,
        Err(failure) => {
            failure.report();
            failure.exit_code()
        }
    }
}

fn completion(out: &Output, shell: clap_complete::Shell) -> Outcome<u8> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "windlass", &mut script);
    out.write(&script);
    Ok(exit::SUCCESS)
}

fn version(out: &Output) -> Outcome<u8> {
    let version = env!("CARGO_PKG_VERSION");
    if out.is_json() {
        out.json(&json!({ "version": version }));
    } else {
        out.line(&format!("windlass {version}"));
    }
    Ok(exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
