//! Compiling components where a bomb hurts nobody: in a child process with little of everything.
//!
//! The parent (`compile`) starts this same program with a hidden command. The child (`compile_child`) bounds itself, reads
//! a component from standard input and writes native code to standard output, which is a file. It has no environment and
//! no open files besides, so it holds no secret and reaches nothing.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tempfile::NamedTempFile;
use tokio::runtime::Handle;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engine::{self, Layout};
use super::settings::CompileLimits;
use super::source::COMPONENT_BYTES;
use super::text;

/// The hidden command.
pub const COMMAND: &str = "compile-plugin";
/// Read of what the child says about its failure.
const COMPLAINT_BYTES: u64 = 4096;
/// POSIX numbers that are the same wherever this runs.
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
const SIGABRT: i32 = 6;

/// What the child is told.
#[derive(Debug, Clone)]
pub struct CompileRequest {
    /// Whether memories are compiled for reserved address space.
    pub reserved: bool,
    pub cpu_secs: u64,
    pub memory_bytes: u64,
    pub file_bytes: u64,
}

/// Native code, in a file that only we can have written.
pub(super) struct Compiled {
    file: NamedTempFile,
}

impl Compiled {
    pub(super) fn map(&self, engine: &Engine) -> Result<Component, String> {
        // SAFETY: the bytes were written by this very program, in a child process that has ended well, or in this one. The file was made by us with mode 0600, its name is random, and nobody writes to it.
        unsafe { Component::deserialize_file(engine, self.file.path()) }
            .map_err(|error| format!("its code cannot be mapped: {error:#}"))
    }

    /// Made in this process.
    pub(super) fn here(component: &Component, folder: Option<&Path>) -> io::Result<Self> {
        let code = component.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let mut file = new_file(folder)?;
        file.write_all(&code)?;
        Ok(Self { file })
    }

    pub(super) fn into_file(self) -> NamedTempFile {
        self.file
    }
}

fn new_file(folder: Option<&Path>) -> io::Result<NamedTempFile> {
    folder.map_or_else(NamedTempFile::new, NamedTempFile::new_in)
}

/// Compiles `component` with the program at `compiler`. Blocks, at most the limits' time. `folder` is for the result.
///
/// # Errors
/// Says what the component wanted too much of, or what is wrong with it.
pub(super) fn compile(
    runtime: &Handle,
    compiler: &Path,
    folder: Option<&Path>,
    layout: Layout,
    limits: &CompileLimits,
    component: &[u8],
) -> Result<Compiled, String> {
    let unusable = |error: io::Error| format!("the compiling process cannot be started: {error}");
    let (mut input, output) = (tempfile::tempfile().map_err(unusable)?, new_file(folder).map_err(unusable)?);
    let mut complaint = tempfile::tempfile().map_err(unusable)?;
    input.write_all(component).and_then(|()| input.seek(SeekFrom::Start(0))).map_err(unusable)?;
    let mut command = tokio::process::Command::new(compiler);
    command
        .arg(COMMAND)
        .args(matches!(layout, Layout::Reserved).then_some("--reserved"))
        .arg(format!("--cpu-secs={}", limits.cpu.as_secs()))
        .arg(format!("--memory-bytes={}", limits.memory_bytes))
        .arg(format!("--file-bytes={}", limits.file_bytes))
        .env_clear()
        .current_dir("/")
        .stdin(input)
        .stdout(output.as_file().try_clone().map_err(unusable)?)
        .stderr(Stdio::from(complaint.try_clone().map_err(unusable)?))
        .kill_on_drop(true);
    let status = runtime.block_on(async {
        let mut child = command.spawn().map_err(unusable)?;
        match tokio::time::timeout(limits.wall, child.wait()).await {
            Ok(status) => status.map_err(unusable),
            Err(_) => {
                // It is gone when this returns; that it had ended already is as good.
                let _ = child.kill().await;
                Err(too_much("time to compile", &format!("{} s", limits.wall.as_secs())))
            }
        }
    })?;
    if status.success() {
        return Ok(Compiled { file: output });
    }
    let mut said = Vec::new();
    let read = complaint
        .seek(SeekFrom::Start(0))
        .and_then(|_| (&complaint).take(COMPLAINT_BYTES).read_to_end(&mut said));
    read.map_err(unusable)?;
    Err(reason(status, limits, &text::line(&String::from_utf8_lossy(&said), 1024)))
}

fn too_much(what: &str, limit: &str) -> String {
    format!(
        "it does not compile: it took more {what} than a plugin may ({limit}). Please ask its author for a smaller one"
    )
}

fn reason(status: ExitStatus, limits: &CompileLimits, said: &str) -> String {
    match status.signal() {
        Some(SIGXCPU) => too_much("processor time to compile", &seconds(limits.cpu)),
        Some(SIGXFSZ) => too_much("compiled code", &format!("{} bytes", limits.file_bytes)),
        // An allocation that is refused ends a program by abort, or is told as an error.
        Some(SIGABRT) | None if said.contains("memory allocation of") || said.contains("out of memory") => {
            too_much("memory to compile", &format!("{} bytes", limits.memory_bytes))
        }
        Some(signal) => {
            format!("it does not compile: the compiling process was ended by signal {signal}. {said}")
        }
        None => format!("it does not compile: {said}"),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// The child: bounds itself, then compiles standard input to standard output.
///
/// # Errors
/// A sentence for the parent, which bounds and scrubs it.
pub fn compile_child(request: &CompileRequest) -> Result<(), String> {
    let bound = |resource, limit: u64| {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })
            .map_err(|error| format!("the limits of the compiling process cannot be set: {error}"))
    };
    bound(Resource::Core, 0)?;
    bound(Resource::As, request.memory_bytes)?;
    bound(Resource::Fsize, request.file_bytes)?;
    // The soft limit's signal says what happened; the hard one is there in case it is survived.
    let cpu = Rlimit { current: Some(request.cpu_secs), maximum: Some(request.cpu_secs + 1) };
    setrlimit(Resource::Cpu, cpu)
        .map_err(|error| format!("the processor time cannot be bounded: {error}"))?;
    let mut component = Vec::new();
    io::stdin()
        .take(COMPONENT_BYTES)
        .read_to_end(&mut component)
        .map_err(|error| format!("the component cannot be read: {error}"))?;
    let layout = if request.reserved { Layout::Reserved } else { Layout::Scarce };
    let engine =
        engine::compiler(layout).map_err(|error| format!("the compiler does not start: {error:#}"))?;
    let code = engine.precompile_component(&component).map_err(|error| format!("{error:#}"))?;
    io::stdout()
        .write_all(&code)
        .and_then(|()| io::stdout().flush())
        .map_err(|error| format!("the compiled code cannot be written: {error}"))
}
