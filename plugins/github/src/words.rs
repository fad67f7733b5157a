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
