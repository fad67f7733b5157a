//! What is called how: repositories, jobs, and builds whose number is not known yet.

use windlass_sdk::{Failure, UnixMs};

pub const WORKFLOWS: &str = ".github/workflows/";

/// `owner/name` from one of the URLs by which a repository is cloned, or from the full name itself.
pub fn repository(text: &str) -> Result<String, Failure> {
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        // `git@github.com:owner/name.git`
        None => text.split_once(':').map_or(text, |(_, path)| path),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(owner), Some(name), None) if is_name(owner) && is_name(name) => Ok(path.to_owned()),
        _ => {
            let shown: String = text.chars().take(200).collect();
            let said = format!("`{shown}` names no repository on GitHub; it has to end in `owner/name`.");
            Err(Failure::permanent("no-such-repository", said))
        }
    }
}

fn is_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A workflow of a repository: `owner/name/file.yml`, with `@branch` if it is not for the default branch.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub repository: String,
    /// Below `.github/workflows/`.
    pub file: String,
    /// The default branch if absent.
    pub branch: Option<String>,
}

impl Job {
    pub fn read(id: &str) -> Result<Self, Failure> {
        let (path, branch) = match id.split_once('@') {
            Some((path, branch)) => (path, Some(branch.to_owned())),
            None => (id, None),
        };
        let parts = path.rsplit_once('/').and_then(|(name, file)| Some((repository(name).ok()?, file)));
        match parts {
            Some((repository, file)) if is_workflow_file(file) => {
                Ok(Self { repository, file: file.to_owned(), branch })
            }
            _ => {
                let shown: String = id.chars().take(200).collect();
                let said = format!("`{shown}` is no job on GitHub; it would read `owner/name/workflow.yml`.");
                Err(Failure::permanent("no-such-job", said))
            }
        }
    }

    pub fn id(&self) -> String {
        let branch = self.branch.as_ref().map(|branch| format!("@{branch}")).unwrap_or_default();
        format!("{}/{}{branch}", self.repository, self.file)
    }

    /// Path of the API for the workflow.
    pub fn workflow(&self) -> String {
        format!("/repos/{}/actions/workflows/{}", self.repository, self.file)
    }

    /// Path of the file in the repository.
    pub fn path(&self) -> String {
        format!("{WORKFLOWS}{}", self.file)
    }
}

/// The only names that GitHub takes for workflows, and that need no encoding in a path.
pub fn is_workflow_file(file: &str) -> bool {
    is_name(file) && (file.ends_with(".yml") || file.ends_with(".yaml"))
}

/// A build that was started at a server that did not say which run it became.
#[derive(Debug, Clone, PartialEq)]
pub struct Started {
    /// By GitHub's clock, with some seconds to spare.
    pub since: UnixMs,
    pub ref_name: String,
    /// What the run's title contains; empty if the workflow does not show it.
    pub key: String,
}

impl Started {
    /// `started:<ms>:<ref>:<key>`; a ref's name has no colon (git-check-ref-format).
    pub fn read(id: &str) -> Option<Self> {
        let mut parts = id.strip_prefix("started:")?.splitn(3, ':');
        let (since, ref_name, key) = (parts.next()?.parse().ok()?, parts.next()?, parts.next()?);
        Some(Self { since, ref_name: ref_name.to_owned(), key: key.to_owned() })
    }

    pub fn id(&self) -> String {
        format!("started:{}:{}:{}", self.since, self.ref_name, self.key)
    }
}

/// The number of a run, as a build's id has it.
pub fn run(id: &str) -> Result<u64, Failure> {
    id.parse().map_err(|_| {
        let shown: String = id.chars().take(200).collect();
        Failure::permanent(
            "no-such-build",
            format!("`{shown}` is no build on GitHub; its id would be a number."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_known_by_all_its_addresses() {
        for text in [
            "octo-org/octo.repo",
            "https://github.com/octo-org/octo.repo.git",
            "https://github.com/octo-org/octo.repo/",
            "ssh://git@github.com/octo-org/octo.repo.git",
            "git@github.com:octo-org/octo.repo.git",
        ] {
            assert_eq!(repository(text).as_deref(), Ok("octo-org/octo.repo"), "{text}");
        }
        for text in ["", "octo", "a/b/c", "a/..", "a/b?x", "a/b%2Fc", "https://github.com", "a/b c"] {
            assert_eq!(repository(text).expect_err(text).code, "no-such-repository");
        }
    }

    #[test]
    fn a_jobs_id_is_read_as_it_was_written() {
        for (id, branch) in [("o/r/x.yml", None), ("o/r/x.yaml@feature/a@b", Some("feature/a@b"))] {
            let job = Job::read(id).expect("it is one");
            assert_eq!((job.id().as_str(), job.branch.as_deref()), (id, branch));
        }
        for id in ["", "x.yml", "o/x.yml", "o/r/x.sh", "o/r/../x.yml", "o/r/a/x.yml"] {
            assert_eq!(Job::read(id).expect_err(id).code, "no-such-job");
        }
    }

    #[test]
    fn a_started_build_is_read_as_it_was_written() {
        let started = Started { since: 7, ref_name: "feature/a".into(), key: "k:1".into() };
        assert_eq!(Started::read(&started.id()), Some(started));
        assert_eq!((Started::read("17"), Started::read("started:x:y:z")), (None, None));
    }
}
