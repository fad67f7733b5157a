//! What is called how: projects, jobs and pipelines.

use windlass_sdk::http::segment;
use windlass_sdk::{Connection, Failure};

/// `group/subgroup/project` from one of the URLs by which a project is cloned, or from its path itself.
pub fn project(connection: &Connection, text: &str) -> Result<String, Failure> {
    let (path, is_url) = match text.split_once("://") {
        Some((_, rest)) => (rest.split_once('/').map_or("", |(_, path)| path), true),
        // `git@gitlab.com:group/project.git`
        None => (text.split_once(':').map_or(text, |(_, path)| path), false),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // GitLab may live below a path of its host, which is then part of clone URLs.
    let below = connection.base_url.splitn(4, '/').nth(3).filter(|_| is_url);
    let path = below.and_then(|below| path.strip_prefix(below)?.strip_prefix('/')).unwrap_or(path);
    check(path).ok_or_else(|| {
        let shown: String = text.chars().take(200).collect();
        let said = format!("`{shown}` names no project on GitLab; it has to end in `group/project`.");
        Failure::permanent("no-such-repository", said)
    })
}

fn check(path: &str) -> Option<String> {
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let names: Vec<&str> = path.split('/').collect();
    ((2..=21).contains(&names.len()) && names.into_iter().all(is_name)).then(|| path.to_owned())
}

/// Path of the API for a project.
pub fn address(project: &str) -> String {
    format!("/projects/{}", segment(project))
}

/// The pipeline of a project: `group/project`, with `@branch` if it is not for the default branch.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub project: String,
    /// The default branch if absent.
    pub branch: Option<String>,
}

impl Job {
    pub fn read(id: &str) -> Result<Self, Failure> {
        let (path, branch) = match id.split_once('@') {
            Some((path, branch)) => (path, Some(branch.to_owned())),
            None => (id, None),
        };
        match check(path) {
            Some(project) => Ok(Self { project, branch }),
            None => {
                let shown: String = id.chars().take(200).collect();
                let said = format!("`{shown}` is no job on GitLab; it would read `group/project`.");
                Err(Failure::permanent("no-such-job", said))
            }
        }
    }

    pub fn id(&self) -> String {
        let branch = self.branch.as_ref().map(|branch| format!("@{branch}")).unwrap_or_default();
        format!("{}{branch}", self.project)
    }

    pub fn address(&self) -> String {
        address(&self.project)
    }
}

/// The number of a pipeline, as a build's id has it.
pub fn pipeline(id: &str) -> Result<u64, Failure> {
    id.parse().map_err(|_| {
        let shown: String = id.chars().take(200).collect();
        Failure::permanent(
            "no-such-build",
            format!("`{shown}` is no build on GitLab; its id would be a number."),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base_url: &str) -> Connection {
        Connection { base_url: base_url.to_owned(), settings: "{}".to_owned(), extras: Vec::new() }
    }

    #[test]
    fn a_project_is_known_by_all_its_addresses() {
        for text in [
            "group/sub/app.x",
            "https://gitlab.example/group/sub/app.x.git",
            "ssh://git@gitlab.example:2222/group/sub/app.x.git",
            "git@gitlab.example:group/sub/app.x.git",
        ] {
            assert_eq!(
                project(&at("https://gitlab.example"), text).as_deref(),
                Ok("group/sub/app.x"),
                "{text}"
            );
        }
        let below = project(&at("https://host.example/gitlab"), "https://host.example/gitlab/group/app.git");
        assert_eq!(below.as_deref(), Ok("group/app"));
        for text in ["", "app", "a/..", "a/b?x", "a//b", "a/b c", "https://gitlab.example"] {
            let failure = project(&at("https://gitlab.example"), text).expect_err(text);
            assert_eq!(failure.code, "no-such-repository");
        }
    }

    #[test]
    fn a_jobs_id_is_read_as_it_was_written() {
        for (id, branch) in [("g/p", None), ("g/s/p@feature/a@b", Some("feature/a@b"))] {
            let job = Job::read(id).expect("it is one");
            assert_eq!((job.id().as_str(), job.branch.as_deref()), (id, branch));
        }
        for id in ["", "p", "g/../p", "@main"] {
            assert_eq!(Job::read(id).expect_err(id).code, "no-such-job");
        }
    }
}
