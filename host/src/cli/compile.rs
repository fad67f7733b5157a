//! `compile-plugin`: hidden, since only the server starts it. `main` runs it before there is anything else.

use clap::Args;

/// Limits of the compiling process. The component comes on standard input, its code goes to standard output.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Compile for memories with reserved address space.
    #[arg(long)]
    pub reserved: bool,
    /// Seconds on the processor.
    #[arg(long)]
    pub cpu_secs: u64,
    /// Address space.
    #[arg(long)]
    pub memory_bytes: u64,
    /// Largest result.
    #[arg(long)]
    pub file_bytes: u64,
}
