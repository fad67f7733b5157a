//! A job's second provider, and when a build is moved there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::build::{CicdBuild, Origin, Start};
use super::job::{JobFile, JobParams};
use crate::domain::UnixMs;
use crate::domain::ci::CiStatus;
use crate::error::{Error, Result};

/// Seconds that the first provider gets to say that a build which is to be moved will not begin any more.
pub const LEAVE_MS: UnixMs = 30_000;

/// Where a build goes if it does not begin at the job's own provider. The job is the same there, but for how its pipeline
/// comes about, which is the provider's own matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Failover {
    /// Id, number or name of the second provider. Kept as its id.
    pub provider: String,
    /// Seconds that a build may wait in the queue, or for a provider that is degraded. From 10 to 86400.
    #[serde(default = "ten_minutes")]
    pub after_secs: u32,
    #[serde(default)]
    pub folder: Option<String>,
    /// Plugin that writes the pipeline; the second provider's own if left out.
    #[serde(default)]
    pub generator: Option<String>,
    /// The generator's.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
    /// The pipeline's files instead of generated ones.
    #[serde(default)]
    pub files: Vec<JobFile>,
    /// The repository has the second provider's pipeline already.
    #[serde(default)]
    pub committed: bool,
}

fn ten_minutes() -> u32 {
    600
}

impl JobParams {
    /// The job as it is made at its second provider, if it has one.
    pub fn elsewhere(&self) -> Option<Self> {
        let other = self.failover.as_ref()?;
        let is_given = other.committed || !other.files.is_empty();
        Some(Self {
            folder: other.folder.clone(),
            generator: other.generator.clone(),
            settings: other.settings.clone(),
            files: other.files.clone(),
            committed: other.committed,
            scripts: if is_given { Vec::new() } else { self.scripts.clone() },
            // The two may sign their reports differently, and one that is asked needs none.
            report: false,
            failover: None,
            ..self.clone()
        })
    }

    /// # Errors
    /// `Invalid`, naming the field.
    pub(super) fn check_failover(&self) -> Result<()> {
        let Some(other) = &self.failover else { return Ok(()) };
        if !(10..=86_400).contains(&other.after_secs) {
            return Err(Error::invalid(
                "failover.after_secs",
                "after_secs has to be from 10 to 86400, a day",
            ));
        }
        match self.elsewhere().map(|job| job.check()) {
            Some(Err(Error::Invalid { field, message })) => {
                Err(Error::invalid(format!("failover.{field}"), message))
            }
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }
}

impl CicdBuild {
    /// Milliseconds until the build is to be moved to the job's second provider, and why it then is; none where it has begun, or
    /// may have: two builds would deploy at once.
    pub fn moves_in(&self, after_secs: u32, now: UnixMs) -> Option<(UnixMs, String)> {
        let is_decided = self.failover.is_some() || self.cancel_requested || self.settled_at.is_some();
        // What others have started is not ours to stop.
        if is_decided || self.origin == Origin::Outside || self.status != CiStatus::Pending {
            return None;
        }
        let patience = i64::from(after_secs) * 1000;
        match (self.start, self.trouble_since) {
            (Start::Known, _) => {
                let why = format!("it waited in the queue for more than {after_secs} s");
                Some((self.began_at() + patience - now, why))
            }
            (Start::None, Some(since)) => Some((
                since + patience - now,
                format!("the provider was degraded for more than {after_secs} s"),
            )),
            (Start::None, None) | (Start::Sent, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::build;
    use super::*;

    #[test]
    fn only_a_build_that_cannot_have_begun_is_moved() {
        let mut build = build();
        assert_eq!(build.moves_in(10, 50_000), None, "nothing is wrong yet");
        build.trouble_since = Some(45_000);
        let (left, why) = build.moves_in(10, 50_000).unwrap_or_default();
        assert!(left == 5_000 && why.contains("degraded"), "{left} {why}");
        build.start = Start::Sent;
        assert_eq!(build.moves_in(10, 90_000), None, "it may have begun");
        build.start = Start::Known;
        let (left, why) = build.moves_in(10, 50_000).unwrap_or_default();
        assert!(left == -40_000 && why.contains("in the queue"), "{left} {why}");
        for status in CiStatus::ALL.into_iter().filter(|status| *status != CiStatus::Pending) {
            build.status = status;
            assert_eq!(build.moves_in(10, 90_000), None, "{status:?}");
        }
        build.status = CiStatus::Pending;
        build.failover = Some("decided".into());
        assert_eq!(build.moves_in(10, 90_000), None, "once is enough");
    }

    #[test]
    fn the_job_elsewhere_is_the_same_but_for_its_pipeline() {
        let other = Failover {
            provider: "second".into(),
            after_secs: 600,
            folder: None,
            generator: None,
            settings: Map::new(),
            files: Vec::new(),
            committed: true,
        };
        let job = JobParams {
            name: "web".into(),
            folder: Some("team".into()),
            generator: Some("first's".into()),
            report: true,
            failover: Some(other),
            ..JobParams::default()
        };
        let there = job.elsewhere().unwrap_or_default();
        let wanted = JobParams { name: "web".into(), committed: true, ..JobParams::default() };
        assert_eq!(there, wanted);
        assert_eq!(there.elsewhere(), None);
    }
}
