//! What has to hold in every world.

use std::fmt;

use serde::Serialize;

/// A promise. The first twelve are what every strategy gives; the others are for those that say so to the
/// [`Simulation`](super::Simulation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    Answers,
    MakesSense,
    IsPure,
    ProgressNeverFalls,
    RoutesToHealthy,
    KeepsServing,
    RunsOneAtATime,
    Ends,
    HearsPeople,
    TellsTheTruth,
    RollbackRestores,
    Succeeds,
    KeepsTheOldCopy,
    SharesRise,
    KeepsCapacity,
    JudgesAnswers,
}

impl Rule {
    pub const ALL: [Self; 16] = [
        Self::Answers,
        Self::MakesSense,
        Self::IsPure,
        Self::ProgressNeverFalls,
        Self::RoutesToHealthy,
        Self::KeepsServing,
        Self::RunsOneAtATime,
        Self::Ends,
        Self::HearsPeople,
        Self::TellsTheTruth,
        Self::RollbackRestores,
        Self::Succeeds,
        Self::KeepsTheOldCopy,
        Self::SharesRise,
        Self::KeepsCapacity,
        Self::JudgesAnswers,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answers => "answers",
            Self::MakesSense => "makes-sense",
            Self::IsPure => "is-pure",
            Self::ProgressNeverFalls => "progress-never-falls",
            Self::RoutesToHealthy => "routes-to-healthy",
            Self::KeepsServing => "keeps-serving",
            Self::RunsOneAtATime => "runs-one-at-a-time",
            Self::Ends => "ends",
            Self::HearsPeople => "hears-people",
            Self::TellsTheTruth => "tells-the-truth",
            Self::RollbackRestores => "rollback-restores",
            Self::Succeeds => "succeeds",
            Self::KeepsTheOldCopy => "keeps-the-old-copy",
            Self::SharesRise => "shares-rise",
            Self::KeepsCapacity => "keeps-capacity",
            Self::JudgesAnswers => "judges-answers",
        }
    }

    /// The promise in one sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Answers => "decide answers with a step, never with a failure, a trap or a time-out",
            Self::MakesSense => {
                "what it orders is possible: known releases, shares of 100, a label, bounded sizes"
            }
            Self::IsPure => "asked twice about the same situation, it answers the same",
            Self::ProgressNeverFalls => "progress stays within 0 to 100 and never falls",
            Self::RoutesToHealthy => "requests are only sent to a release with a healthy instance",
            Self::KeepsServing => "the last healthy serving instance stays, unless the stack allows downtime",
            Self::RunsOneAtATime => "two releases that write to one volume never run side by side",
            Self::Ends => "the rollout ends before the host's deadline",
            Self::HearsPeople => "an abort or a refused approval never ends in success",
            Self::TellsTheTruth => "success is declared only while the new release serves healthily",
            Self::RollbackRestores => {
                "after a rollback, or a failure that asked for one, the stable release serves"
            }
            Self::Succeeds => "where nothing goes wrong, the rollout succeeds",
            Self::KeepsTheOldCopy => {
                "the old copy stays complete until the new release has served for the promised time"
            }
            Self::SharesRise => {
                "the new release's share of the requests never falls, unless to nothing for good"
            }
            Self::KeepsCapacity => "a rollout that goes on never takes more instances away than it promises",
            Self::JudgesAnswers => "a release whose answers are plainly worse never succeeds",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A rule that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub rule: Rule,
    pub why: String,
}

/// `Err(breach)` unless the condition holds.
pub(super) fn hold(rule: Rule, holds: bool, why: impl FnOnce() -> String) -> Result<(), Breach> {
    if holds { Ok(()) } else { Err(Breach { rule, why: why() }) }
}
