//! The work the queue carries: a closed set, so that `jobs` can match it exhaustively.

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// Read one stored webhook event and act on it.
    Webhook {
        event_id: Id,
    },
    Build {
        build_id: Id,
    },
    /// Bring a deployment's release into service.
    Deploy {
        deployment_id: Id,
    },
    /// Take one build at a provider a step further: start it, ask how it is, read its log.
    CiBuild {
        build_id: Id,
    },
    /// Ask a provider about a job, and take over a build that somebody else started.
    CiJob {
        job_id: Id,
    },
    /// Move every secret to the newest master key.
    RotateKeys {
        rotation_id: Id,
    },
    Backup {
        backup_id: Id,
    },
    /// Send one message to whom it is for.
    Notify {
        delivery_id: Id,
    },
    /// Show a forge what has become of a commit.
    CommitStatus {
        repository_id: Id,
        commit: String,
    },
    /// Tell a forge the webhook that it has been given before, as it is now.
    ForgeHook {
        repository_id: Id,
    },
}

impl Task {
    /// The wire value (seed 4: `build`, `deploy`).
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Build { .. } => "build",
            Self::Deploy { .. } => "deploy",
            Self::CiBuild { .. } => "ci_build",
            Self::CiJob { .. } => "ci_job",
            Self::RotateKeys { .. } => "rotate_keys",
            Self::Backup { .. } => "backup",
            Self::Notify { .. } => "notify",
            Self::CommitStatus { .. } => "commit_status",
            Self::ForgeHook { .. } => "forge_hook",
        }
    }

    pub fn subject(&self) -> &Id {
        match self {
            Self::Webhook { event_id } => event_id,
            Self::Build { build_id } | Self::CiBuild { build_id } => build_id,
            Self::Deploy { deployment_id } => deployment_id,
            Self::CiJob { job_id } => job_id,
            Self::RotateKeys { rotation_id } => rotation_id,
            Self::Backup { backup_id } => backup_id,
            Self::Notify { delivery_id } => delivery_id,
            Self::CommitStatus { repository_id, .. } | Self::ForgeHook { repository_id } => repository_id,
        }
    }

    /// Wall-clock limit of one attempt in seconds. Builds and rollouts carry tighter deadlines of their own.
    pub fn timeout_secs(&self) -> i64 {
        match self {
            Self::Webhook { .. } => 60,
            Self::Build { .. } => 90_000,
            // It may wait for people, over weekends and holidays.
            Self::Deploy { .. } => 30 * 86_400,
            // A step: a few calls, each with a limit of its own.
            Self::CiBuild { .. }
            | Self::CiJob { .. }
            | Self::CommitStatus { .. }
            | Self::ForgeHook { .. } => 300,
            // An attempt: at most 16 requests with a limit of their own, after standing in line.
            Self::Notify { .. } => 900,
            Self::RotateKeys { .. } => 86_400,
            Self::Backup { .. } => 6 * 3600,
        }
    }

    pub fn max_attempts(&self) -> i64 {
        match self {
            Self::Webhook { .. } => 5,
            Self::Build { .. } => 3,
            Self::Deploy { .. } | Self::RotateKeys { .. } => 10,
            // What goes wrong at a provider or receiver is no failed attempt, so this counts the server's own faults.
            Self::CiBuild { .. } | Self::Notify { .. } => 100,
            Self::CiJob { .. } | Self::Backup { .. } => 5,
            // With the pauses in between: about a quarter of an hour.
            Self::CommitStatus { .. } | Self::ForgeHook { .. } => 12,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    Queued,
    Running,
    Success,
    Failed,
    Cancelled,
}

impl TaskStatus {
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Success, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The word of seed 4, which knows no cancelled jobs.
    pub fn seed4(self) -> &'static str {
        match self {
            Self::Cancelled => "failed",
            other => other.as_str(),
        }
    }
}

/// A row of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    pub id: Id,
    pub task: Task,
    pub status: TaskStatus,
    /// 0 to 100.
    pub progress: i64,
    pub attempt: i64,
    pub max_attempts: i64,
    pub priority: i64,
    pub unique_key: Option<String>,
    pub concurrency_key: Option<String>,
    pub run_at: UnixMs,
    pub lease_owner: Option<String>,
    pub lease_until: Option<UnixMs>,
    /// The fencing token: raised with every claim.
    pub fence: i64,
    pub cancel_requested: bool,
    pub error: Option<String>,
    pub created_at: UnixMs,
    pub started_at: Option<UnixMs>,
    pub finished_at: Option<UnixMs>,
    /// In W3C form (`traceparent`), of what caused it.
    pub trace: Option<String>,
}

/// What a caller enqueues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    pub id: Id,
    pub task: Task,
    pub priority: i64,
    /// While a task with this key is queued or running, another one is not added.
    pub unique_key: Option<String>,
    /// Tasks with the same key run one at a time, in order of creation.
    pub concurrency_key: Option<String>,
    pub run_at: Option<UnixMs>,
    /// The trace that it belongs to, if not that of the transaction which adds it. See `telemetry`.
    pub trace: Option<String>,
}

/// How long to wait before the next attempt: exponential from 1 s, at most 5 minutes, with `jitter` (0 to 999) in thousandths.
pub fn backoff_ms(attempt: i64, jitter: i64) -> i64 {
    let exponent = u32::try_from(attempt.clamp(1, 9) - 1).unwrap_or(0);
    let base = (1000_i64 << exponent).min(300_000);
    base / 2 + base * jitter.clamp(0, 999) / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_and_stays_bounded() {
        assert_eq!(backoff_ms(1, 0), 500);
        assert!(backoff_ms(3, 500) > backoff_ms(1, 999));
        assert!((1..100).all(|attempt| backoff_ms(attempt, 999) <= 300_000));
    }
}
