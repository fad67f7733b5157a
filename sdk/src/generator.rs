//! Pipeline generators: what to run where → the files of a vendor's pipeline. Pure.
//!
//! ```
//! use windlass_sdk::generator::{File, Generator, Model};
//! use windlass_sdk::{Failure, Manifest, Problem};
//!
//! struct Lines;
//!
//! impl Generator for Lines {
//!     fn describe() -> Manifest {
//!         Manifest::new("lines", "0.1.0", "A pipeline that is one script after the other")
//!     }
//!
//!     fn validate(model: &Model) -> Vec<Problem> {
//!         let none = model.scripts.is_empty();
//!         none.then(|| Problem::at("/scripts", "There is no script to run; add one.")).into_iter().collect()
//!     }
//!
//!     fn generate(model: Model) -> Result<Vec<File>, Failure> {
//!         let lines: Vec<String> = model.scripts.into_iter().map(|script| script.path + "\n").collect();
//!         Ok(vec![File::new("pipeline.txt", lines.concat())])
//!     }
//! }
//!
//! windlass_sdk::export_generator!(Lines);
//! ```

//!
//! What several languages need is here as well: [`Shell`] makes words for bash of untrusted text, [`yaml`] writes
//! documents in which nothing can break out, [`Steps`] runs the model's scripts, [`template::fill`] fills an operator's
//! template, and [`check`] finds what is wrong with a model in any language.

pub mod check;
mod shell;
mod steps;
pub mod template;
#[cfg(test)]
mod tests;
pub mod yaml;

use std::marker::PhantomData;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::generator::exports::windlass::pipeline_generator::generator as wit;
use crate::{Failure, Manifest, Problem};

pub use shell::Shell;
pub use steps::{Report, Steps, hosts, names, variables};
pub use wit::{Environment, File, Host, Model, Parameter, Repository, Script};

/// A pipeline generator. Export it with [`crate::export_generator!`].
pub trait Generator {
    /// What the plugin says about itself. Must not depend on anything.
    fn describe() -> Manifest;

    /// Says what is wrong with a model before anything is made of it. An empty list is good. Pure.
    fn validate(model: &Model) -> Vec<Problem>;

    /// The files, the one that the vendor starts from first. Pure. Texts of the model are untrusted: quote them for the
    /// language the file is in.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-model` for what `validate` complains about.
    fn generate(model: Model) -> Result<Vec<File>, Failure>;
}

impl File {
    /// A file that is not executable.
    pub fn new(path: &str, content: impl Into<String>) -> Self {
        Self { path: path.to_owned(), content: content.into(), executable: false }
    }
}

#[doc(hidden)]
pub const KIND: &str = "pipeline-generator";

/// Makes a [`Generator`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Generator> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind(KIND)
    }
}

impl<T: Generator> wit::Guest for Component<T> {
    fn validate(model: Model) -> Vec<Problem> {
        T::validate(&model)
    }

    fn generate(model: Model) -> Result<Vec<File>, Failure> {
        T::generate(model)
    }
}
