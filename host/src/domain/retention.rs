//! What has to stay, so that a stack can go back to it.

use std::collections::HashSet;

use super::Id;
use super::release::{Release, ReleaseState};

/// Picks the images that no clean-up may touch, from a stack's releases, newest first: those of the newest `keep` good
/// releases, and those of the releases in `used`, which serve or are being rolled out.
pub fn pinned(releases: &[Release], used: &HashSet<Id>, keep: usize) -> HashSet<String> {
    let good = releases.iter().filter(|release| release.state == ReleaseState::Good).take(keep);
    let used = releases.iter().filter(|release| used.contains(&release.id));
    good.chain(used).map(|release| release.image_digest.clone()).collect()
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
            },
            config_hash: String::new(),
            plugin_digests: serde_json::Value::Null,
            state,
            created_at: 0,
        }
    }

    #[test]
    fn the_newest_good_releases_and_whatever_is_in_use_stay() {
        use ReleaseState::{Bad, Candidate, Good};
        let releases = [
            release("g", Candidate),
            release("f", Good),
            release("e", Bad),
            release("d", Good),
            release("c", Good),
            release("b", Bad),
            release("a", Good),
        ];
        let used = HashSet::from([Id::from_text("g"), Id::from_text("a")]);
        let mut pinned: Vec<String> = pinned(&releases, &used, 2).into_iter().collect();
        pinned.sort();
        assert_eq!(pinned, ["sha256:a", "sha256:d", "sha256:f", "sha256:g"]);
    }
}
