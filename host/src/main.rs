//! The `windlass` program: parses arguments and hands over.

use std::process::ExitCode;

use clap::Parser;
use windlass::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("windlass").build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("windlass: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match cli.command {
            Command::Serve(ref arguments) => {
                match windlass::serve::serve(arguments.config.as_deref()).await {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => {
                        eprintln!("windlass: {}", error.for_log());
                        ExitCode::FAILURE
                    }
                }
            }
            _ => windlass::cli::run(cli).await,
        }
    })
}
