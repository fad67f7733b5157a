//! The `windlass` program: parses arguments and hands over.

use std::process::ExitCode;

use clap::Parser;
use windlass::cli::{Cli, Command};
use windlass::plugins::{CompileRequest, compile_child};

/// Address space of a worker's stack; only what is used becomes memory. What polls one future inside of another takes much of
/// it in an unoptimised program, more than tokio's 2 MiB.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::CompilePlugin(arguments) = &cli.command {
        // Before there is a runtime: its threads would count against the limits.
        let request = CompileRequest {
            reserved: arguments.reserved,
            cpu_secs: arguments.cpu_secs,
            memory_bytes: arguments.memory_bytes,
            file_bytes: arguments.file_bytes,
        };
        return match compile_child(&request) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("windlass")
        .thread_stack_size(STACK_BYTES)
        .build();
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
            Command::Router(ref arguments) if arguments.command.is_none() => {
                let (file, data) = (arguments.config.as_deref(), arguments.data_dir.as_deref());
                match windlass::serve::router_process(file, data).await {
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
