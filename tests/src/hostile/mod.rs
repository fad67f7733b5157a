//! Components that mean harm. Each does one thing, which is its name, and has to end in one typed error.

mod answers;
mod binaries;
mod code;
mod manifests;
mod requests;
mod run;
mod wasi;

use windlass::domain::plugin::PluginKind;

pub use self::requests::World;
pub use self::run::{NEIGHBOUR, Suite, provoke};
use crate::guests::Guest;

pub struct Hostile {
    /// What it does, as a sentence without its subject.
    pub does: &'static str,
    pub component: Vec<u8>,
    /// How it is brought to do it.
    pub act: Act,
    /// How that ends.
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It does not even load.
    Load,
    Decide,
    Validate,
    Parse,
    /// Parses on a connection with this base URL, so that it may send requests.
    Send(&'static str),
    /// Every function of the kind, one after the other.
    Everything(PluginKind),
}

/// A kind of error, and what has to be among its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Load(&'static str),
    Trap(&'static str),
    /// At the limit of its processor time.
    Processor,
    /// At the limit of its time on the clock.
    Clock,
    Memory,
    Nonsense(&'static str),
    /// With this code.
    Failure(&'static str, &'static str),
}

impl Hostile {
    fn new(does: &'static str, guest: &Guest, act: Act, end: End) -> Self {
        let component = guest.clone().named(&slug(does)).build();
        Self { does, component, act, end }
    }

    /// The name under which it is configured.
    pub fn name(&self) -> String {
        slug(self.does)
    }
}

fn slug(does: &str) -> String {
    does.replace(' ', "-")
}

/// All of them.
pub fn all() -> Vec<Hostile> {
    let mut all = code::all();
    all.extend(answers::all());
    all.extend(manifests::all());
    all.extend(binaries::all());
    all.extend(wasi::all());
    all.extend(requests::all());
    all
}
