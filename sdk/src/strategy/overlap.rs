//! What two releases need that run side by side.

use super::{Situation, Stack};
use crate::{Failure, Problem};

impl Stack {
    /// Why two copies cannot run side by side, where that has another reason than ports and volumes.
    pub fn exclusive(&self) -> Option<&str> {
        self.extras.iter().find(|(name, _)| name == "exclusive").map(|(_, why)| why.as_str())
    }

    /// Why two releases of the stack cannot run side by side and both be reached; nothing if they can. For strategies that
    /// keep the old release running while the new one serves.
    pub fn overlap_problems(&self) -> Vec<Problem> {
        let ports = self.ports.iter().filter_map(|port| port.host).map(|port| {
            format!(
                "This strategy keeps both releases running, and port {port} of the machine can be held by one instance \
                 only. Leave the port's `host` out, or use the strategy `standard`, which hands the port over."
            )
        });
        let volumes = self.volumes.iter().filter(|volume| !volume.read_only).map(|volume| {
            format!(
                "This strategy runs both releases side by side, and both would write to the volume `{}`. Make it \
                 read-only, or use the strategy `standard`, which stops the old release first.",
                volume.name
            )
        });
        let others = self.exclusive().map(|why| {
            format!(
                "This strategy runs both releases side by side, and two copies cannot: {why}. Change that, or use the \
                 strategy `standard`, which stops the old release first."
            )
        });
        ports.chain(volumes).chain(others).map(|message| Problem::at("", message)).collect()
    }
}

impl Situation {
    /// For `decide`: a rollout of a stack that has changed since its parameters were checked goes no further than this.
    ///
    /// # Errors
    /// `permanent` with the code `unsuitable-stack` if there is a problem.
    pub fn suits(&self, problems: Vec<Problem>) -> Result<(), Failure> {
        match problems.into_iter().next() {
            Some(problem) => Err(Failure::permanent("unsuitable-stack", problem.message)),
            None => Ok(()),
        }
    }
}
