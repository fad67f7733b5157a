//! GitLab's words for how a pipeline or a job is doing → ours.

use windlass_sdk::provider::BuildStatus;

pub fn status(word: &str) -> BuildStatus {
    match word {
        "created" | "waiting_for_resource" | "preparing" | "waiting_for_callback" | "pending" | "scheduled"
        // It waits for a person.
        | "manual" => BuildStatus::Pending,
        "running" | "canceling" => BuildStatus::Running,
        "success" => BuildStatus::Success,
        "failed" => BuildStatus::Failure,
        // A pipeline that was skipped ran nothing.
        "canceled" | "skipped" => BuildStatus::Cancelled,
        other => BuildStatus::Other(other.to_owned()),
    }
}

/// Whether nothing more will come of it.
pub fn is_over(word: &str) -> bool {
    matches!(word, "success" | "failed" | "canceled" | "skipped")
}
