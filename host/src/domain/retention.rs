//! What has to stay, so that a stack can go back to it.

use std::collections::HashSet;

use super::Id;
use super::release::{Release, ReleaseState};

/// Picks all images of the last `keep` different good releases from those a stack deployed, the latest deployment's first.
///
/// What counts is when a release was deployed, not when it was made: after a rollback an old one is the latest.
pub fn pinned<'r>(deployed: impl IntoIterator<Item = &'r Release>, keep: usize) -> HashSet<String> {
    let mut seen: HashSet<&Id> = HashSet::new();
    deployed
        .into_iter()
        .filter(|release| release.state == ReleaseState::Good)
        .filter(|release| seen.insert(&release.id))
        .take(keep)
        .flat_map(|release| release.images().into_iter().map(str::to_string))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::health::HealthCheck;
    use crate::domain::release::ReleaseSpec;
    use crate::domain::stack::RunSpec;

    fn release(name: &str, state: ReleaseState) -> Release {
        Release {
            id: Id::from_text(name),
            seq: 0,
            stack_id: Id::from_text("s"),
            deployment_id: None,
            build_id: None,
            image_tag: String::new(),
            image_digest: format!("sha256:{name}"),
            commit_sha: String::new(),
            spec: ReleaseSpec {
                run: RunSpec::default(),
                health: HealthCheck { path: None, timeout_secs: 1 },
                sealed_environment: None,
                compose: None,
            },
            config_hash: String::new(),
            plugin_digests: serde_json::Value::Null,
            state,
            created_at: 0,
        }
    }

    #[test]
    fn the_last_good_releases_to_be_deployed_stay() {
        use ReleaseState::{Bad, Good};
        let (one, two, three) = (release("1", Good), release("2", Good), release("3", Good));
        let broken = release("4", Bad);
        // Three was deployed, then one again by a rollback, then the broken one, which was taken back.
        let deployed = [&broken, &one, &three, &one, &two];
        let mut pinned: Vec<String> = pinned(deployed, 2).into_iter().collect();
        pinned.sort();
        assert_eq!(pinned, ["sha256:1", "sha256:3"]);
    }
}
