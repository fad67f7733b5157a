//! What a job is called: `<project slug>:<branch>`. No branch has a `:` in its name (git-check-ref-format).

use windlass_sdk::Failure;
use windlass_sdk::http::segment;

/// The version control systems of a slug: the short word of API v2, the long one of API v1.1 and of webhooks.
const SYSTEMS: [(&str, &str); 3] = [("gh", "github"), ("bb", "bitbucket"), ("circleci", "circleci")];

#[derive(Clone, Debug, PartialEq)]
pub struct Slug {
    system: usize,
    organisation: String,
    project: String,
}

impl Slug {
    /// `gh/org/repo` or `github/org/repo`.
    pub fn of(text: &str) -> Option<Self> {
        let pieces: Vec<&str> = text.split('/').collect();
        let [system, organisation, project] = pieces.as_slice() else {
            return None;
        };
        let system = SYSTEMS.iter().position(|(short, long)| system == short || system == long)?;
        let is_good = |name: &str| !name.is_empty() && !matches!(name, "." | "..") && !name.contains(':');
        if !is_good(organisation) || !is_good(project) {
            return None;
        }
        Some(Self { system, organisation: (*organisation).to_owned(), project: (*project).to_owned() })
    }

    /// The project of a repository on github.com or bitbucket.org, by its clone URL.
    pub fn of_repository(url: &str) -> Option<Self> {
        let (host, path) = host_and_path(url)?;
        let system = match host {
            "github.com" => "gh",
            "bitbucket.org" => "bb",
            _ => return None,
        };
        Self::of(&format!("{system}/{path}"))
    }

    /// `gh/org/repo`.
    pub fn short(&self) -> String {
        format!("{}/{}/{}", SYSTEMS[self.system].0, self.organisation, self.project)
    }

    /// `github/org/repo`.
    pub fn long(&self) -> String {
        format!("{}/{}/{}", SYSTEMS[self.system].1, self.organisation, self.project)
    }

    /// Projects of GitHub's App, of GitLab and without a forge can only be started by their definition.
    pub fn needs_definition(&self) -> bool {
        SYSTEMS[self.system].0 == "circleci"
    }

    /// `/api/v2/project/gh/org/repo`.
    pub fn path(&self) -> String {
        format!("/api/v2/project/{}", encoded(&self.short()))
    }

    /// `/api/v1.1/project/github/org/repo/136`.
    pub fn steps_path(&self, job_number: u64) -> String {
        format!("/api/v1.1/project/{}/{job_number}", encoded(&self.long()))
    }
}

fn encoded(slug: &str) -> String {
    slug.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// `https://host/path.git`, `ssh://git@host/path` and `git@host:path` alike.
pub fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let (authority, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => url.split_once(':')?,
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    let path = path.trim_matches('/');
    Some((host, path.strip_suffix(".git").unwrap_or(path)))
}

#[derive(Clone, Debug, PartialEq)]
pub struct JobName {
    pub slug: Slug,
    pub branch: String,
}

impl JobName {
    pub fn of(id: &str) -> Result<Self, Failure> {
        let read = || {
            let (slug, branch) = id.split_once(':')?;
            Some(Self { slug: Slug::of(slug)?, branch: branch.to_owned() }).filter(|_| !branch.is_empty())
        };
        read().ok_or_else(|| {
            let said = format!("`{id}` is no project of CircleCI with a branch, such as `gh/org/repo:main`.");
            Failure::permanent("no-such-job", said)
        })
    }

    pub fn id(&self) -> String {
        format!("{}:{}", self.slug.short(), self.branch)
    }
}
