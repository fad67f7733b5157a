//! Pull requests and comments as either edition writes them → ours.

use serde::Deserialize;
use windlass_sdk::forge::{PullRequest, PullRequestState};

#[derive(Deserialize)]
pub struct CloudPull {
    pub id: u64,
    title: String,
    state: String,
    author: Option<CloudUser>,
    source: CloudSide,
    destination: CloudSide,
    links: CloudLinks,
}

#[derive(Deserialize)]
struct CloudUser {
    nickname: Option<String>,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct CloudSide {
    branch: CloudBranch,
    /// Absent if the fork is gone.
    repository: Option<CloudRepository>,
}

#[derive(Deserialize)]
struct CloudBranch {
    name: String,
}

#[derive(Deserialize, PartialEq, Eq)]
struct CloudRepository {
    full_name: String,
}

#[derive(Deserialize)]
struct CloudLinks {
    html: Link,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

/// A commit, of which only the full id matters.
#[derive(Deserialize)]
pub struct Hash {
    pub hash: String,
}

impl CloudPull {
    pub fn into_ours(self, head_commit: String) -> PullRequest {
        let author = self.author.and_then(|user| user.nickname.or(user.display_name));
        PullRequest {
            number: self.id,
            title: self.title,
            state: state(&self.state),
            author: author.unwrap_or_default(),
            from_fork: self.source.repository != self.destination.repository,
            head_branch: self.source.branch.name,
            head_commit,
            base_branch: self.destination.branch.name,
            url: self.links.html.href,
            extras: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
pub struct DataCenterPull {
    id: u64,
    title: String,
    state: String,
    author: Participant,
    #[serde(rename = "fromRef")]
    from: DataCenterSide,
    #[serde(rename = "toRef")]
    to: DataCenterSide,
    links: DataCenterLinks,
}

#[derive(Deserialize)]
struct Participant {
    user: DataCenterUser,
}

#[derive(Deserialize)]
struct DataCenterUser {
    name: String,
}

#[derive(Deserialize)]
struct DataCenterSide {
    #[serde(rename = "displayId")]
    branch: String,
    #[serde(rename = "latestCommit")]
    commit: String,
    repository: DataCenterRepository,
}

#[derive(Deserialize, PartialEq, Eq)]
struct DataCenterRepository {
    slug: String,
    project: Project,
}

#[derive(Deserialize, PartialEq, Eq)]
struct Project {
    key: String,
}

#[derive(Deserialize)]
struct DataCenterLinks {
    #[serde(rename = "self")]
    pages: Vec<Link>,
}

impl DataCenterPull {
    pub fn into_ours(self) -> PullRequest {
        let page = self.links.pages.into_iter().next();
        PullRequest {
            number: self.id,
            title: self.title,
            state: state(&self.state),
            author: self.author.user.name,
            from_fork: self.from.repository != self.to.repository,
            head_branch: self.from.branch,
            head_commit: self.from.commit,
            base_branch: self.to.branch,
            url: page.map(|link| link.href).unwrap_or_default(),
            extras: Vec::new(),
        }
    }
}

fn state(word: &str) -> PullRequestState {
    match word {
        "OPEN" => PullRequestState::Open,
        "MERGED" => PullRequestState::Merged,
        // What another pull request took the place of is closed as well.
        "DECLINED" | "SUPERSEDED" => PullRequestState::Closed,
        other => PullRequestState::Other(other.to_owned()),
    }
}

/// A comment of either edition.
#[derive(Deserialize)]
pub struct Comment {
    pub id: u64,
    /// A Data Center refuses a change that does not name the version it changes.
    pub version: Option<u64>,
    pub text: String,
}

#[derive(Deserialize)]
pub struct CloudComment {
    id: u64,
    content: Content,
    #[serde(default)]
    deleted: bool,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    raw: String,
}

impl CloudComment {
    pub fn into_comment(self) -> Option<Comment> {
        (!self.deleted).then_some(Comment { id: self.id, version: None, text: self.content.raw })
    }
}

/// Something that happened to a pull request of a Data Center; its comments are listed only among these.
#[derive(Deserialize)]
pub struct Activity {
    pub comment: Option<Comment>,
}
