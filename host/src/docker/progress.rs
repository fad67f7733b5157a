//! What a builder says, as lines: BuildKit's graph of steps, and the classic builder's stream.

use std::collections::HashMap;

use bollard::{
    moby::buildkit::v1::{StatusResponse, Vertex},
    models::{BuildInfo, BuildInfoAux},
};

use super::lines::{Lines, LogLine, LogStream};

/// What the kernel says of a program that it cannot run; it stands in a step's output only.
const FOREIGN: &str = "exec format error";
const FOREIGN_ADVICE: &str = "`exec format error` says that a program is for another processor than the engine's machine has, or \
     is a script without `#!` in its first line. Steps for another platform need emulation there (QEMU in binfmt_misc); \
     without it, compile in a stage `FROM --platform=$BUILDPLATFORM` and only copy afterwards";

/// Follows one build and remembers what is needed to say why it failed.
#[derive(Default)]
pub(super) struct Progress {
    steps: HashMap<String, Step>,
    classic: Lines,
    current: String,
    /// The first step that failed, with its error.
    failed: Option<(String, String)>,
    /// A step has said [`FOREIGN`].
    foreign: bool,
    /// The image's id, once the builder has named it.
    pub(super) image: Option<String>,
}

struct Step {
    number: usize,
    name: String,
    output: HashMap<i64, Lines>,
    announced: bool,
    finished: bool,
}

impl Progress {
    /// Takes one message and hands out the lines it completes.
    pub(super) fn take(&mut self, info: BuildInfo, log: &mut dyn FnMut(LogLine)) {
        match info.aux {
            Some(BuildInfoAux::BuildKit(status)) => self.graph(status, log),
            Some(BuildInfoAux::Default(image)) => self.image = image.id,
            None => {}
        }
        if let Some(text) = info.stream {
            self.foreign |= text.contains(FOREIGN);
            let current = &mut self.current;
            self.classic.push(text.as_bytes(), |line| {
                if line.starts_with("Step ") {
                    current.clone_from(&line);
                }
                log(LogLine { stream: LogStream::Stdout, text: line, at: None });
            });
        } else if let Some(status) = info.status.filter(|_| info.progress_detail.is_none()) {
            let id = info.id.map(|id| format!("{id}: ")).unwrap_or_default();
            log(LogLine::progress(format!("{id}{status}")));
        }
    }

    /// Hands out what came without a line end.
    pub(super) fn finish(&mut self, log: &mut dyn FnMut(LogLine)) {
        if let Some(line) = self.classic.finish() {
            log(LogLine { stream: LogStream::Stdout, text: line, at: None });
        }
        for step in self.steps.values_mut() {
            step.flush(log);
        }
    }

    /// Why the build failed, naming the step.
    pub(super) fn failure(&self, error: &str) -> String {
        let said = match &self.failed {
            Some((step, reason)) => format!("the build failed at `{step}`: {reason}"),
            None if !self.current.is_empty() => format!("the build failed at `{}`: {error}", self.current),
            None => format!("the build failed: {error}"),
        };
        if self.foreign || said.contains(FOREIGN) { format!("{said}; {FOREIGN_ADVICE}") } else { said }
    }

    fn graph(&mut self, status: StatusResponse, log: &mut dyn FnMut(LogLine)) {
        for vertex in status.vertexes {
            self.vertex(vertex, log);
        }
        for piece in status.logs {
            let Some(step) = self.steps.get_mut(&piece.vertex) else { continue };
            self.foreign |= String::from_utf8_lossy(&piece.msg).contains(FOREIGN);
            let stream = if piece.stream == 2 { LogStream::Stderr } else { LogStream::Stdout };
            let number = step.number;
            step.output.entry(piece.stream).or_default().push(&piece.msg, |line| {
                log(LogLine { stream, text: format!("#{number} {line}"), at: None });
            });
        }
        for warning in status.warnings {
            log(LogLine::progress(format!("warning: {}", String::from_utf8_lossy(&warning.short))));
        }
    }

    fn vertex(&mut self, vertex: Vertex, log: &mut dyn FnMut(LogLine)) {
        let number = self.steps.len() + 1;
        let step = self.steps.entry(vertex.digest).or_insert_with(|| Step {
            number,
            name: vertex.name,
            output: HashMap::new(),
            announced: false,
            finished: false,
        });
        if vertex.started.is_none() && !vertex.cached && vertex.error.is_empty() {
            return;
        }
        if !std::mem::replace(&mut step.announced, true) {
            log(LogLine::progress(format!("#{} {}", step.number, step.name)));
        }
        if (vertex.completed.is_none() && vertex.error.is_empty())
            || std::mem::replace(&mut step.finished, true)
        {
            return;
        }
        step.flush(log);
        let verdict = if !vertex.error.is_empty() {
            // Steps that were stopped because another one failed say so too; the cause is what counts.
            if self.failed.is_none() && !vertex.error.contains("context canceled") {
                self.failed = Some((step.name.clone(), vertex.error.clone()));
            }
            format!("#{} ERROR: {}", step.number, vertex.error)
        } else if vertex.cached {
            format!("#{} CACHED", step.number)
        } else {
            let seconds = match (vertex.started, vertex.completed) {
                (Some(from), Some(to)) => {
                    (to.seconds - from.seconds) as f64 + f64::from(to.nanos - from.nanos) / 1e9
                }
                _ => 0.0,
            };
            format!("#{} DONE {seconds:.1}s", step.number)
        };
        log(LogLine::progress(verdict));
    }
}

impl Step {
    fn flush(&mut self, log: &mut dyn FnMut(LogLine)) {
        for (stream, lines) in &mut self.output {
            let stream = if *stream == 2 { LogStream::Stderr } else { LogStream::Stdout };
            if let Some(line) = lines.finish() {
                log(LogLine { stream, text: format!("#{} {line}", self.number), at: None });
            }
        }
    }
}
