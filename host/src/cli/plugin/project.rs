//! An author's project, in whatever language: a folder whose manifest says which.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build::unreadable;
use super::{cargo, node, python};
use crate::cli::failure::{Failure, Outcome};

#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) name: String,
    language: Language,
}

#[derive(Debug)]
enum Language {
    Rust(cargo::Crate),
    JavaScript,
    Python,
}

impl Project {
    /// Reads the project in a folder.
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        let (name, language) = if folder.join(node::MANIFEST).is_file() {
            (node::name(folder)?, Language::JavaScript)
        } else if folder.join(python::MANIFEST).is_file() {
            (python::name(folder)?, Language::Python)
        } else {
            let found = cargo::Crate::open(folder)?;
            (found.name.clone(), Language::Rust(found))
        };
        Ok(Self { folder: folder.to_owned(), name, language })
    }

    /// Where its component belongs.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.name))
    }

    /// Compiles the component and says where the tool chain left it.
    pub(super) fn compile(&self) -> Outcome<PathBuf> {
        match &self.language {
            Language::Rust(found) => found.compile(),
            Language::JavaScript => node::compile(&self.folder).map(|()| self.component()),
            Language::Python => python::compile(&self.folder, &self.component()).map(|()| self.component()),
        }
    }

    /// The project's own tests.
    pub(super) fn run_tests(&self) -> Outcome<()> {
        match &self.language {
            Language::Rust(found) => found.run_tests(),
            Language::JavaScript => node::run_tests(&self.folder),
            Language::Python => python::run_tests(&self.folder),
        }
    }
}

/// A project has its language's manifest; anything else may be a component's file.
pub(super) fn is_project(path: &Path) -> bool {
    [cargo::MANIFEST, node::MANIFEST, python::MANIFEST].iter().any(|manifest| path.join(manifest).is_file())
}

/// The bytes of a component that a command was pointed at: a file, or the one that a project left.
pub(super) fn component_of(path: &Path) -> Outcome<(PathBuf, Vec<u8>)> {
    let file = if is_project(path) { Project::open(path)?.component() } else { path.to_owned() };
    let bytes = std::fs::read(&file)
        .map_err(|error| unreadable(&file, &error).advise("`windlass plugin build` makes it."))?;
    Ok((file, bytes))
}

/// The text of a project's manifest.
pub(super) fn manifest(folder: &Path, name: &str) -> Outcome<String> {
    let path = folder.join(name);
    std::fs::read_to_string(&path).map_err(|error| {
        Failure::local(
            format!("{} cannot be read: {error}.", path.display()),
            "`windlass plugin new --kind KIND DIR` begins a project.",
        )
    })
}

/// A tool of an author's, in the project, with nobody to ask.
pub(super) fn tool(program: impl AsRef<std::ffi::OsStr>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs it with all it prints on standard error: standard output is for the result. Answers with its exit code.
pub(super) fn run(command: &mut Command) -> io::Result<Option<i32>> {
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        command.stdout(Stdio::from(stderr));
    }
    Ok(command.status()?.code())
}
