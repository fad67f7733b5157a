//! What is remembered between two steps.

use serde::{Deserialize, Serialize};
use windlass_sdk::strategy::Outcome;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    pub phase: Phase,
    /// When the phase began.
    pub since: u64,
    /// When instances of the target were first ordered. What an instance did earlier does not count.
    pub ordered: u64,
    pub progress: u8,
}

/// Where the rollout is. It only ever goes forward, in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    #[default]
    New,
    /// Only where two releases cannot run side by side.
    StoppingStable,
    StartingTarget,
    /// The requests were sent to the target; waiting until it is seen to serve.
    Switching,
    /// The rollout failed, with the reason; the target has to go before the stable release can start.
    RemovingTarget(String),
    /// The rollout failed, with the reason; waiting until the stable release serves.
    RestoringStable(String),
    Finished(Ending),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Succeeded,
    RolledBack(String),
    Failed(String),
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Succeeded => Self::Succeeded,
            Ending::RolledBack(reason) => Self::RolledBack(reason),
            Ending::Failed(reason) => Self::Failed(reason),
        }
    }
}
