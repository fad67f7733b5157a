//! A build at a provider as it is followed (seed 0, `CICDBuild`): what is to be done about it next, and when.

use serde_json::{Map, Value};

use crate::domain::ci::{CiBuild, CiStatus};
use crate::domain::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq)]
pub struct CicdBuild {
    pub id: Id,
    pub seq: i64,
    pub job_id: Id,
    /// What waits for it.
    pub deployment_id: Option<Id>,
    /// The provider's own name for it, as soon as it is known.
    pub external_id: Option<String>,
    /// Empty as long as there is none.
    pub number: String,
    pub status: CiStatus,
    /// The provider's word for an unknown status.
    pub status_word: Option<String>,
    pub url: Option<String>,
    pub ref_name: Option<String>,
    pub parameters: Map<String, Value>,
    pub origin: Origin,
    /// Counts those that were started because the one before failed.
    pub attempt: i64,
    pub start: Start,
    pub cancel_requested: bool,
    /// When somebody said that there is news.
    pub hinted_at: Option<UnixMs>,
    /// When it is given up.
    pub deadline_at: UnixMs,
    pub log_cursor: Option<String>,
    pub log_complete: bool,
    /// What keeps it from being followed right now, and since when.
    pub trouble: Option<String>,
    pub trouble_since: Option<UnixMs>,
    /// Why it failed, where that is not the build's own doing.
    pub error: Option<String>,
    pub started_at: Option<UnixMs>,
    pub finished_at: Option<UnixMs>,
    /// When nothing more was to be done about it.
    pub settled_at: Option<UnixMs>,
    /// How long it was given when it was asked for.
    pub timeout_secs: i64,
    /// How often it is started again if it fails, counted over all attempts.
    pub retries: i64,
    /// Why it is to be moved to the job's second provider.
    pub failover: Option<String>,
    /// The build that took its place there.
    pub successor_id: Option<Id>,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}

/// Who started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Deployment,
    Api,
    Rerun,
    /// The one before failed.
    Retry,
    /// Not this server; it was heard of, or found.
    Outside,
    Schedule,
    /// The one before did not begin at the first provider.
    Failover,
}

impl Origin {
    pub const ALL: [Self; 7] = [
        Self::Deployment,
        Self::Api,
        Self::Rerun,
        Self::Retry,
        Self::Outside,
        Self::Schedule,
        Self::Failover,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::Api => "api",
            Self::Rerun => "rerun",
            Self::Retry => "retry",
            Self::Outside => "outside",
            Self::Schedule => "schedule",
            Self::Failover => "failover",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// Who that is, for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Outside => "somebody outside",
            other => other.as_str(),
        }
    }
}

/// How far its start has come. Written before the request is sent, so that a crash in between is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing was sent that could have started it.
    None,
    /// Something was sent, and what came of it is not known.
    Sent,
    /// The provider has it.
    Known,
}

impl Start {
    pub const ALL: [Self; 3] = [Self::None, Self::Sent, Self::Known];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sent => "sent",
            Self::Known => "known",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// What is to be done about a build next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The job is not made yet.
    MakeJob,
    Start,
    /// It may have been started, and the provider cannot tell whether a second start would be a second build.
    GiveUpUncertain,
    /// Nobody wants it any more, and it has not begun.
    CancelUnstarted,
    Cancel,
    /// It took too long: it is stopped, and failed.
    Expire,
    /// It took too long, and is somebody else's: how it ends is not known, and it is not followed any more.
    LetGo,
    Follow,
    Done,
}

/// How long a build that was asked to stop, or whose time is over, may go on before it is given up: DESIGN §7 has everything
/// terminal 15 s after its deadline.
const GRACE_MS: UnixMs = 10_000;

/// `keyed`: the provider recognises a second start of one build.
pub fn next_step(build: &CicdBuild, job_is_made: bool, keyed: bool, now: UnixMs) -> Step {
    if build.settled_at.is_some() {
        return Step::Done;
    }
    if build.status.is_final() {
        return Step::Follow;
    }
    let is_over = now >= build.deadline_at;
    // What others have started is theirs to stop.
    let is_theirs = build.origin == Origin::Outside && !build.cancel_requested;
    match build.start {
        Start::Known if is_over && is_theirs => Step::LetGo,
        Start::Known if now >= build.deadline_at + GRACE_MS => Step::Expire,
        Start::Known if is_over || build.cancel_requested => Step::Cancel,
        Start::Known => Step::Follow,
        Start::None if build.cancel_requested => Step::CancelUnstarted,
        Start::None | Start::Sent if is_over => Step::Expire,
        Start::None if !job_is_made => Step::MakeJob,
        Start::None => Step::Start,
        Start::Sent if keyed => Step::Start,
        Start::Sent => Step::GiveUpUncertain,
    }
}

/// The longest pause between two looks at a build.
const POLL_MS: UnixMs = 300_000;

/// How long to wait before the provider is asked again: soon after something has happened, seldom when nothing does. What is
/// found late is found at most an eighth of the silence late.
pub fn poll_after_ms(asked: Option<u32>, quiet_ms: UnixMs) -> UnixMs {
    match asked {
        Some(secs) => (i64::from(secs) * 1000).clamp(500, POLL_MS),
        None => (quiet_ms / 8).clamp(1000, POLL_MS),
    }
}

/// The shortest and the longest pause between two looks at a job.
pub const LOOK_MS: (UnixMs, UnixMs) = (30_000, 300_000);

/// How long to wait before a provider is asked about a job again: the longer nothing was built, the seldomer.
pub fn look_after_ms(quiet_ms: UnixMs) -> UnixMs {
    (quiet_ms / 20).clamp(LOOK_MS.0, LOOK_MS.1)
}

impl CicdBuild {
    /// Since when its time runs: not while the stack's protection has it wait, nor between two attempts.
    pub fn began_at(&self) -> UnixMs {
        self.deadline_at - self.timeout_secs * 1000
    }

    /// Takes over what the provider says, and answers whether that changes anything. What came out of order says less than
    /// what is known: a build never goes back from an end, nor from running to waiting.
    pub fn learn(&mut self, said: &CiBuild) -> bool {
        let before = self.clone();
        self.external_id = Some(said.id.clone());
        self.start = Start::Known;
        if !said.number.is_empty() {
            self.number.clone_from(&said.number);
        }
        if said.url.is_some() {
            self.url.clone_from(&said.url);
        }
        self.started_at = said.started_at.or(self.started_at);
        let is_late =
            self.status.is_final() || self.status == CiStatus::Running && said.status == CiStatus::Pending;
        if !is_late {
            (self.status, self.status_word) = (said.status, said.status_word.clone());
        }
        if self.status.is_final() {
            self.finished_at = self.finished_at.or(said.finished_at);
        }
        *self != before
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn build() -> CicdBuild {
        CicdBuild {
            id: Id::from_text("b"),
            seq: 1,
            job_id: Id::from_text("j"),
            deployment_id: None,
            external_id: None,
            number: String::new(),
            status: CiStatus::Pending,
            status_word: None,
            url: None,
            ref_name: None,
            parameters: Map::new(),
            origin: Origin::Api,
            attempt: 1,
            start: Start::None,
            cancel_requested: false,
            hinted_at: None,
            deadline_at: 1_000_000,
            log_cursor: None,
            log_complete: false,
            trouble: None,
            trouble_since: None,
            error: None,
            started_at: None,
            finished_at: None,
            settled_at: None,
            timeout_secs: 1000,
            retries: 0,
            failover: None,
            successor_id: None,
            created_at: 0,
            updated_at: 0,
        }
    }

    fn said(status: CiStatus) -> CiBuild {
        CiBuild {
            id: "7".into(),
            number: "7".into(),
            status,
            status_word: None,
            url: None,
            started_at: Some(5),
            finished_at: status.is_final().then_some(9),
            poll_after_secs: None,
        }
    }

    #[test]
    fn a_start_that_may_have_got_through_is_repeated_only_where_the_provider_recognises_it() {
        let mut build = build();
        assert_eq!(next_step(&build, false, false, 0), Step::MakeJob);
        assert_eq!(next_step(&build, true, false, 0), Step::Start);
        build.start = Start::Sent;
        assert_eq!(next_step(&build, true, true, 0), Step::Start);
        assert_eq!(next_step(&build, true, false, 0), Step::GiveUpUncertain);
    }

    #[test]
    fn a_build_is_stopped_when_its_time_is_over_and_given_up_soon_after() {
        let mut build = build();
        build.start = Start::Known;
        assert_eq!(next_step(&build, true, true, 999_999), Step::Follow);
        assert_eq!(next_step(&build, true, true, 1_000_000), Step::Cancel);
        assert_eq!(next_step(&build, true, true, 1_000_000 + GRACE_MS), Step::Expire);
        build.start = Start::None;
        build.cancel_requested = true;
        assert_eq!(next_step(&build, true, true, 0), Step::CancelUnstarted);
    }

    #[test]
    fn a_build_of_others_is_let_go_and_only_stopped_if_somebody_here_wants_that() {
        let mut build = CicdBuild { origin: Origin::Outside, start: Start::Known, ..build() };
        assert_eq!(next_step(&build, true, true, 1_000_000), Step::LetGo);
        assert_eq!(next_step(&build, true, true, 1_000_000 + GRACE_MS), Step::LetGo);
        build.cancel_requested = true;
        assert_eq!(next_step(&build, true, true, 1_000_000), Step::Cancel);
    }

    #[test]
    fn news_that_come_late_or_twice_change_nothing() {
        let mut build = build();
        assert!(build.learn(&said(CiStatus::Running)));
        assert!(!build.learn(&said(CiStatus::Running)));
        assert!(!build.learn(&said(CiStatus::Pending)));
        assert!(build.learn(&said(CiStatus::Success)));
        for late in [CiStatus::Running, CiStatus::Failure, CiStatus::Pending, CiStatus::Success] {
            assert!(!build.learn(&said(late)), "{late:?}");
        }
        assert_eq!((build.status, build.finished_at), (CiStatus::Success, Some(9)));
    }

    #[test]
    fn the_longer_nothing_happens_the_seldomer_the_provider_is_asked() {
        assert_eq!(poll_after_ms(None, 0), 1000);
        assert_eq!(poll_after_ms(None, 80_000), 10_000);
        assert_eq!(poll_after_ms(None, 86_400_000), 300_000);
        assert_eq!(poll_after_ms(Some(0), 0), 500);
        assert_eq!(poll_after_ms(Some(7), 0), 7000);
        assert_eq!([0, 1_200_000, 86_400_000].map(look_after_ms), [30_000, 60_000, 300_000]);
    }
}
