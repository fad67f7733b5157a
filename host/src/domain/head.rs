//! The newest commit known of a branch, and whether a delivery about the branch is news.
//!
//! One push may be told several times: by the webhooks of two stacks that use one repository, or by a delivery that
//! arrives after this server has found the push itself. It counts once. And a delivery that was held up must not bring
//! back a commit that a newer push has replaced.

/// How heads of pushes that this server found are marked.
pub const BY_LOOKING: &str = "look";

/// A tag stands among the branches with this before its name.
pub const TAGS: &str = "refs/tags/";

/// What is known of a branch of a stack's repository, or of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub branch: String,
    pub commit: String,
    /// By which way a push of it came in: [`BY_LOOKING`], the address of a delivery; empty for a mere fact.
    pub via: String,
    /// Number of the event; 0 without one.
    pub event: i64,
}

/// Whether a delivery is to be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    Yes,
    /// The push was told before, by another way.
    Told,
    /// The branch has moved on since.
    Stale,
    /// Only the git server can tell: what is its newest commit of the branch?
    Ask,
}

/// Judges a delivery that came in by the way `via` and says that a branch is at `commit` now.
///
/// `answer` is what the git server said when it was asked: the branch's commit, or `None` if it has no such branch. A server
/// that could not be asked counts as one that agrees: better once too often than never.
pub fn judge(known: Option<&Head>, via: &str, commit: &str, answer: Option<&Answer>) -> News {
    let Some(known) = known.filter(|known| !known.via.is_empty() && known.via != via) else {
        // Deliveries of one address are put in order by their numbers.
        return News::Yes;
    };
    if known.commit == commit {
        return News::Told;
    }
    match answer {
        None => News::Ask,
        Some(Answer::Unknown) => News::Yes,
        Some(Answer::At(newest)) if newest == commit => News::Yes,
        Some(Answer::At(_) | Answer::Gone) => News::Stale,
    }
}

/// What the git server says of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    At(String),
    Gone,
    /// It could not be asked.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(commit: &str, via: &str) -> Head {
        Head { branch: "main".into(), commit: commit.into(), via: via.into(), event: 1 }
    }

    #[test]
    fn a_push_that_is_told_twice_by_different_ways_counts_once() {
        assert_eq!(judge(None, "a", "1", None), News::Yes);
        assert_eq!(judge(Some(&head("1", BY_LOOKING)), "a", "1", None), News::Told);
        assert_eq!(judge(Some(&head("1", "b")), "a", "1", None), News::Told);
        // Whoever sends the same commit again by the same way means it.
        assert_eq!(judge(Some(&head("1", "a")), "a", "1", None), News::Yes);
        assert_eq!(judge(Some(&head("1", "")), "a", "1", None), News::Yes);
    }

    #[test]
    fn a_late_delivery_does_not_bring_an_old_commit_back() {
        let known = head("2", BY_LOOKING);
        assert_eq!(judge(Some(&known), "a", "1", None), News::Ask);
        assert_eq!(judge(Some(&known), "a", "1", Some(&Answer::At("2".into()))), News::Stale);
        assert_eq!(judge(Some(&known), "a", "1", Some(&Answer::Gone)), News::Stale);
        // A push that went back to the old commit.
        assert_eq!(judge(Some(&known), "a", "1", Some(&Answer::At("1".into()))), News::Yes);
        assert_eq!(judge(Some(&known), "a", "1", Some(&Answer::Unknown)), News::Yes);
    }
}
