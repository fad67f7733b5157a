//! Deployment strategies: a pure function from memory and situation to memory and actions.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use windlass_sdk::strategy::{self, Action, InstanceState, Outcome, Situation, Stack, Step, Strategy};
//! use windlass_sdk::{Failure, Manifest, Problem};
//!
//! /// Starts the new release, and sends it the requests as soon as one instance is healthy.
//! struct Bold;
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Memory {
//!     started: bool,
//! }
//!
//! impl Strategy for Bold {
//!     fn describe() -> Manifest {
//!         Manifest::new("bold", "0.1.0", "Switches at the first healthy instance and never looks back")
//!     }
//!
//!     fn validate(_params: &str, _stack: &Stack) -> Vec<Problem> {
//!         Vec::new()
//!     }
//!
//!     fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure> {
//!         let mut memory: Memory = strategy::recall(memory)?;
//!         let target = situation.target.id.as_str();
//!         let mut actions = Vec::new();
//!         if !memory.started {
//!             memory.started = true;
//!             actions.push(Action::scale(target, situation.stack.replicas));
//!         }
//!         let is_healthy =
//!             situation.instances_of(target).any(|instance| instance.state == InstanceState::Healthy);
//!         if is_healthy && situation.share_of(target) == 100 {
//!             // Only what was seen to serve has succeeded; the host would refuse a success declared earlier.
//!             actions.push(Action::Finish(Outcome::Succeeded));
//!         } else if is_healthy {
//!             actions.push(Action::route_all(target));
//!         }
//!         Ok(Step {
//!             memory: strategy::remember(&memory)?,
//!             label: "Waiting until an instance is healthy".to_owned(),
//!             progress: 50,
//!             actions,
//!             wake_after: Some(1_000),
//!         })
//!     }
//! }
//!
//! windlass_sdk::export_strategy!(Bold);
//! ```

pub mod analysis;
mod bake;
mod fleet;
mod overlap;
mod walk;
pub mod words;

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::strategy::exports::windlass::deployment_strategy::strategy as wit;
use crate::bindings::strategy::timing::exports::windlass::deployment_strategy::timing;
use crate::{Failure, Manifest, Problem};

pub use bake::{Bake, Baseline};
pub use fleet::Fleet;
pub use walk::{Ending, Turn, Walk};
pub use wit::{
    Action, Decision, Instance, InstanceState, Outcome, Port, Release, ReleaseId, Sample, Scale, Situation,
    Stack, Step, Volume, Weight,
};

/// A deployment strategy. Export it with [`crate::export_strategy!`].
pub trait Strategy {
    /// What the plugin says about itself. Must not depend on anything.
    fn describe() -> Manifest;

    /// Says what is wrong with parameters, before a rollout starts. An empty list is good.
    fn validate(params: &str, stack: &Stack) -> Vec<Problem>;

    /// The next step. Pure, and idempotent: asked again with the same arguments it answers the same.
    /// The first call has empty memory.
    ///
    /// # Errors
    /// A failure returns the stack to the stable release.
    fn decide(memory: &[u8], situation: Situation) -> Result<Step, Failure>;
}

/// A strategy that waits on purpose. Export it with `export_strategy!(Mine, timing)`.
pub trait Timing: Strategy {
    /// How long a rollout with these parameters may take at most beyond what every rollout is granted, in milliseconds: the
    /// sum of its pauses and watches at their longest. The time that people take to answer is not counted. 0 for
    /// parameters that are no good.
    fn longest_wait(params: &str, replicas: u32, health_timeout_ms: u64) -> u64;
}

/// What an earlier step remembered, or the default at the first call.
///
/// # Errors
/// `permanent` with the code `foreign-memory` if another version of the plugin wrote something else.
pub fn recall<T: Default + DeserializeOwned>(memory: &[u8]) -> Result<T, Failure> {
    if memory.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(memory).map_err(|error| {
        Failure::permanent(
            "foreign-memory",
            format!("The rollout's memory was written by another version of this strategy: {error}."),
        )
    })
}

/// Writes down what the next step has to know.
///
/// # Errors
/// `permanent` with the code `unwritable-memory` if the value has no form in JSON.
pub fn remember<T: Serialize>(memory: &T) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(memory).map_err(|error| {
        Failure::permanent("unwritable-memory", format!("The strategy cannot write its memory: {error}."))
    })
}

impl Situation {
    /// The instances of one release.
    pub fn instances_of<'a>(&'a self, release: &'a str) -> impl Iterator<Item = &'a Instance> {
        self.fleet.iter().filter(move |instance| instance.release == release)
    }

    /// The share of the requests that a release gets now, in parts of 100.
    pub fn share_of(&self, release: &str) -> u32 {
        self.traffic.iter().filter(|weight| weight.release == release).map(|weight| weight.percent).sum()
    }
}

impl Stack {
    /// Whether the host says that it can do something, by an extra with this name; see the contract. A host that does
    /// not say so is taken to be able to: it refuses by itself what it is not.
    pub fn host_can(&self, ability: &str) -> bool {
        self.extras.iter().all(|(name, value)| name != ability || value == "true")
    }
}

/// What only the strategy knows of a rollout, and others may want to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The answers of the new release were compared with the old one's.
    Judged,
    /// It waits on purpose.
    Paused,
    Resumed,
    /// The new release has all requests and is watched.
    Baking,
}

impl News {
    pub const ALL: [Self; 4] = [Self::Judged, Self::Paused, Self::Resumed, Self::Baking];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Judged => "judged",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Baking => "baking",
        }
    }
}

impl Action {
    /// Have so many running instances of a release.
    pub fn scale(release: &str, count: u32) -> Self {
        Self::Scale(Scale { release: release.to_owned(), count })
    }

    /// Send a release all requests.
    pub fn route_all(release: &str) -> Self {
        Self::Route(vec![Weight { release: release.to_owned(), percent: 100 }])
    }

    /// Let people look at a release that gets no requests; see the contract.
    pub fn preview(release: &str) -> Self {
        Self::Other(format!("preview {release}"))
    }

    /// Let those hear of it who want to; see the contract. The host passes it on once for each change of the memory.
    pub fn tell(news: News, words: &str) -> Self {
        Self::Other(format!("tell {} {words}", news.as_str()))
    }

    /// What this only tells, and in which words.
    pub fn told(&self) -> Option<(News, &str)> {
        let Self::Other(order) = self else { return None };
        let (word, words) = order.strip_prefix("tell ")?.split_once(' ')?;
        let news = News::ALL.into_iter().find(|news| news.as_str() == word)?;
        Some((news, words)).filter(|(_, words)| !words.trim().is_empty())
    }

    /// Split the requests.
    pub fn route(weights: &[(&str, u32)]) -> Self {
        let weight = |&(release, percent): &(&str, u32)| Weight { release: release.to_owned(), percent };
        Self::Route(weights.iter().map(weight).collect())
    }
}

#[doc(hidden)]
pub const KIND: &str = "deployment-strategy";

/// Makes a [`Strategy`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Strategy> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind(KIND)
    }
}

impl<T: Strategy> wit::Guest for Component<T> {
    fn validate(params: String, stack: Stack) -> Vec<Problem> {
        T::validate(&params, &stack)
    }

    fn decide(memory: Vec<u8>, situation: Situation) -> Result<Step, Failure> {
        T::decide(&memory, situation)
    }
}

impl<T: Timing> timing::Guest for Component<T> {
    fn longest_wait(params: String, replicas: u32, health_timeout_ms: u64) -> u64 {
        T::longest_wait(&params, replicas, health_timeout_ms)
    }
}
