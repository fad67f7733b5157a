//! GitHub's words for how a run or a job is doing → ours.

use windlass_sdk::provider::BuildStatus;

/// `conclusion` counts once `status` is `completed`.
pub fn status(status: &str, conclusion: Option<&str>) -> BuildStatus {
    match (status, conclusion) {
        ("queued" | "requested" | "waiting" | "pending", _) => BuildStatus::Pending,
        ("in_progress", _) => BuildStatus::Running,
        // Skipped means that the workflow's own conditions had nothing to do.
        ("completed", Some("success" | "neutral" | "skipped")) => BuildStatus::Success,
        ("completed", Some("failure" | "timed_out" | "startup_failure")) => BuildStatus::Failure,
        ("completed", Some("cancelled" | "stale")) => BuildStatus::Cancelled,
        // It waits for a person.
        ("completed", Some("action_required")) => BuildStatus::Pending,
        ("completed", Some(other)) => BuildStatus::Other(other.to_owned()),
        (other, _) => BuildStatus::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_github_has_one_of_ours_and_an_unknown_one_is_kept() {
        for word in ["queued", "requested", "waiting", "pending"] {
            assert_eq!(status(word, None), BuildStatus::Pending, "{word}");
        }
        assert_eq!(status("in_progress", None), BuildStatus::Running);
        for (words, wanted) in [
            (&["success", "neutral", "skipped"][..], BuildStatus::Success),
            (&["failure", "timed_out", "startup_failure"], BuildStatus::Failure),
            (&["cancelled", "stale"], BuildStatus::Cancelled),
            (&["action_required"], BuildStatus::Pending),
            (&["surprised"], BuildStatus::Other("surprised".to_owned())),
        ] {
            for word in words {
                assert_eq!(status("completed", Some(word)), wanted, "{word}");
            }
        }
        assert_eq!(status("completed", None), BuildStatus::Other("completed".to_owned()));
        assert_eq!(status("asleep", Some("success")), BuildStatus::Other("asleep".to_owned()));
    }
}
