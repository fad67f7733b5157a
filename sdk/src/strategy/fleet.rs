//! Questions to a situation that every strategy has.

use super::{Instance, InstanceState, Release, Sample, Situation, Volume};

/// So many restarts by the engine are a crash loop.
const CRASH_LOOP: u32 = 3;

/// The situation, read by a strategy that brings one release into service in the place of another.
#[derive(Clone, Copy)]
pub struct Fleet<'a> {
    pub situation: &'a Situation,
}

impl<'a> Fleet<'a> {
    /// The release that is deployed.
    pub fn target(self) -> &'a str {
        &self.situation.target.id
    }

    /// The release that served before, unless it is the very one that is deployed.
    pub fn old(self) -> Option<&'a str> {
        let stable = self.situation.stable.as_ref()?;
        (stable.id != self.situation.target.id).then_some(stable.id.as_str())
    }

    /// The release that already serves is deployed again.
    pub fn is_redeployment(self) -> bool {
        self.situation.stable.as_ref().is_some_and(|stable| stable.id == self.situation.target.id)
    }

    /// Instances wanted of a serving release, at least 1.
    pub fn replicas(self) -> u32 {
        self.situation.stack.replicas.max(1)
    }

    pub fn has_fixed_port(self) -> bool {
        self.situation.stack.ports.iter().any(|port| port.host.is_some())
    }

    /// A volume that two releases side by side would both write to.
    pub fn shared_volume(self) -> Option<&'a Volume> {
        self.situation.stack.volumes.iter().find(|volume| !volume.read_only)
    }

    /// Two releases cannot run side by side.
    pub fn excludes_copies(self) -> bool {
        self.shared_volume().is_some() || self.situation.stack.exclusive().is_some()
    }

    /// Instances that run, or are about to.
    pub fn live(self, release: &str) -> u32 {
        self.count(release, |instance| instance.state != InstanceState::Exited)
    }

    pub fn healthy(self, release: &str) -> u32 {
        self.count(release, |instance| instance.state == InstanceState::Healthy)
    }

    fn count(self, release: &str, wanted: impl Fn(&Instance) -> bool) -> u32 {
        let count = self.situation.instances_of(release).filter(|instance| wanted(instance)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub fn has_all_traffic(self, release: &str) -> bool {
        self.situation.share_of(release) == 100
    }

    /// What the traffic said of a release, if it said anything.
    pub fn sample(self, release: &str) -> Option<&'a Sample> {
        self.situation.samples.iter().find(|sample| sample.release == release)
    }

    /// Since when at least so many instances of the target are healthy.
    pub fn target_healthy_since(self, wanted: u32) -> Option<u64> {
        let healthy =
            self.situation.instances_of(self.target()).filter(|one| one.state == InstanceState::Healthy);
        let mut since: Vec<u64> = healthy.map(|instance| instance.since).collect();
        since.sort_unstable();
        since.get(wanted.max(1) as usize - 1).copied()
    }

    /// What was last seen wrong with an instance of the target that is not healthy; empty if nothing was.
    pub fn target_trouble(self) -> &'a str {
        let unwell =
            self.situation.instances_of(self.target()).filter(|one| one.state != InstanceState::Healthy);
        unwell.map(|instance| instance.reason.as_str()).find(|reason| !reason.is_empty()).unwrap_or_default()
    }

    /// Why the target will not do, if an instance shows it; `ordered` is when the rollout first ordered instances of it,
    /// and what an instance did before is not held against it. A release that is deployed again is given its time, since
    /// what is wrong with it may be the reason for deploying it again.
    pub fn target_failure(self, ordered: u64, switching: bool) -> Option<String> {
        if self.is_redeployment() {
            return None;
        }
        // While a fixed port is handed over, the trial copy ends and the published one takes its place.
        let hands_over = switching && self.has_fixed_port() && self.live(self.target()) > 0;
        self.situation.instances_of(self.target()).find_map(|instance| match instance.state {
            InstanceState::Unhealthy if instance.since >= ordered => {
                Some(with_detail("an instance of the new release is unhealthy", &instance.reason))
            }
            InstanceState::Exited if instance.since >= ordered && !hands_over => {
                Some(with_detail("an instance of the new release exited", &instance.reason))
            }
            _ if instance.restarts >= CRASH_LOOP => Some(with_detail(
                &format!("an instance of the new release was restarted {} times", instance.restarts),
                &instance.reason,
            )),
            _ => None,
        })
    }
}

impl Release {
    /// What people call it: the first characters of its commit, or of its image's digest, or of its id.
    pub fn short_name(&self) -> &str {
        let digest = self.image.rsplit_once("sha256:").map_or("", |(_, digest)| digest);
        let name = [self.commit.as_str(), digest, self.id.as_str()].into_iter().find(|name| !name.is_empty());
        let name = name.unwrap_or("the new release");
        name.char_indices().nth(7).map_or(name, |(end, _)| &name[..end])
    }
}

fn with_detail(what: &str, detail: &str) -> String {
    if detail.is_empty() { what.to_owned() } else { format!("{what}: {detail}") }
}
