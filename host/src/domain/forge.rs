//! What a forge knows beyond its webhooks: the host's side of the optional interfaces of `windlass:git-forge`.

use serde::{Deserialize, Serialize};

use super::deployment::DeploymentStatus;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryDetails {
    pub full_name: String,
    /// `None` if nothing was ever pushed.
    pub default_branch: Option<String>,
    pub clone_urls: Vec<String>,
    pub web_url: Option<String>,
    pub description: String,
    pub private: bool,
    pub archived: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommitState {
    Pending,
    Running,
    Success,
    Failure,
    Cancelled,
}

impl CommitState {
    /// How a forge is to show a deployment: the state, and one line for people. Why something failed stays here, since
    /// whoever sees the commit sees the line.
    pub fn of(status: DeploymentStatus) -> (Self, &'static str) {
        match status {
            DeploymentStatus::Pending => (Self::Pending, "Waiting for its turn"),
            DeploymentStatus::Building => (Self::Running, "Building"),
            DeploymentStatus::Deploying => (Self::Running, "Deploying"),
            DeploymentStatus::Successful => (Self::Success, "Deployed"),
            DeploymentStatus::Failed => (Self::Failure, "The deployment failed"),
            DeploymentStatus::RolledBack => (Self::Failure, "Rolled back to the release before"),
            DeploymentStatus::Cancelled => (Self::Cancelled, "The deployment was cancelled"),
        }
    }
}

/// A stack's own name among the statuses of a commit, which several stacks may deploy.
pub fn status_context(stack: &str) -> String {
    format!("windlass/{stack}")
}

/// What a forge shows beside a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitStatus {
    /// One of the repository's clone URLs or its full name.
    pub repository: String,
    pub commit: String,
    pub state: CommitState,
    /// A later status of the same context takes its place.
    pub context: String,
    pub description: String,
    pub url: Option<String>,
}

/// How a deployment stands where the forge shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementState {
    Queued,
    InProgress,
    Success,
    Failure,
    Cancelled,
    RolledBack,
    Inactive,
}

impl PlacementState {
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::InProgress,
        Self::Success,
        Self::Failure,
        Self::Cancelled,
        Self::RolledBack,
        Self::Inactive,
    ];

    /// What a forge is to show of a deployment. Of all that have succeeded only one serves.
    pub fn of(status: DeploymentStatus, serves: bool) -> Self {
        match status {
            DeploymentStatus::Pending => Self::Queued,
            DeploymentStatus::Building | DeploymentStatus::Deploying => Self::InProgress,
            DeploymentStatus::Successful if serves => Self::Success,
            DeploymentStatus::Successful => Self::Inactive,
            DeploymentStatus::Failed => Self::Failure,
            DeploymentStatus::RolledBack => Self::RolledBack,
            DeploymentStatus::Cancelled => Self::Cancelled,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::RolledBack => "rolled_back",
            Self::Inactive => "inactive",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// One line for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Queued => "Waiting for its turn",
            Self::InProgress => "Building or deploying",
            Self::Success => "Deployed",
            Self::Failure => "The deployment failed",
            Self::Cancelled => "The deployment was cancelled",
            Self::RolledBack => "Rolled back to the release before",
            Self::Inactive => "Serves no more",
        }
    }
}

/// What a forge calls the place that a stack is deployed to. Those of previews are in a group of their own.
pub fn environment(stack: &str, is_preview: bool) -> String {
    if is_preview { format!("preview/{stack}") } else { stack.to_owned() }
}

/// A deployment as a forge shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// One of the repository's clone URLs or its full name.
    pub repository: String,
    pub commit: String,
    /// The branch or tag that the commit was found by.
    pub ref_name: String,
    pub is_tag: bool,
    pub environment: String,
    /// The environment ends with what it is for.
    pub transient: bool,
    /// The same in each call about it.
    pub key: String,
    /// The forge's own id of it, once there is one.
    pub id: Option<String>,
    pub state: PlacementState,
    /// Where users reach it.
    pub url: Option<String>,
    pub log_url: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullRequestState {
    Open,
    Merged,
    Closed,
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    pub state: PullRequestState,
    pub author: String,
    pub head_branch: String,
    pub head_commit: String,
    pub base_branch: String,
    /// The head is in another repository, whose owner may be a stranger.
    pub from_fork: bool,
    pub url: String,
}

/// Some of the open pull requests; without a cursor there are no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequestPage {
    pub items: Vec<PullRequest>,
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_shows_an_end_exactly_when_there_is_one() {
        for status in DeploymentStatus::ALL {
            let (state, words) = CommitState::of(status);
            let is_open = matches!(state, CommitState::Pending | CommitState::Running);
            assert_eq!(is_open, !status.is_terminal(), "{status:?}");
            let is_success = state == CommitState::Success;
            assert_eq!(is_success, status == DeploymentStatus::Successful, "{status:?}");
            assert!(!words.is_empty() && words.len() < 140, "{words}");
        }
    }

    #[test]
    fn of_the_deployments_that_succeeded_only_one_serves_at_the_forge() {
        let of = PlacementState::of;
        assert_eq!(of(DeploymentStatus::Successful, true), PlacementState::Success);
        assert_eq!(of(DeploymentStatus::Successful, false), PlacementState::Inactive);
        for status in
            DeploymentStatus::ALL.into_iter().filter(|status| *status != DeploymentStatus::Successful)
        {
            assert_eq!(of(status, true), of(status, false), "{status:?}");
            assert_ne!(of(status, true), PlacementState::Success, "{status:?}");
        }
        for state in PlacementState::ALL {
            assert_eq!(PlacementState::parse(state.as_str()), Some(state));
            assert!(!state.words().is_empty() && state.words().len() < 140);
        }
    }
}
