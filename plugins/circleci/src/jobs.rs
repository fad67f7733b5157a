//! Projects as jobs. What would make, change or delete one is a commit, and commits are a forge's work.

use serde::Deserialize;
use windlass_sdk::http::Request;
use windlass_sdk::provider::{Job, JobSpec};
use windlass_sdk::{Connection, Failure};

use crate::name::{JobName, Slug};
use crate::parse::{Pipeline, Project};
use crate::settings::Settings;
use crate::{ask, builds, convert, definition};

/// Where CircleCI looks for a repository's configuration.
const CONFIG: &str = ".circleci/config.yml";

/// Takes the project that CircleCI has for the repository. A configuration is only compared with the committed one.
pub fn create(connection: &Connection, spec: &JobSpec) -> Result<Job, Failure> {
    let Some(slug) = Settings::of(connection)?.project(&spec.repository_url) else {
        let said = format!(
            "Which project of CircleCI builds `{}` cannot be told from the URL. Please name its slug in the setting \
             `projects`, such as `circleci/<organisation>/<project>` (Project Settings, Overview).",
            spec.repository_url
        );
        return Err(Failure::permanent("invalid-job", said));
    };
    if spec.branch.is_empty() || spec.branch.contains(':') {
        return Err(Failure::permanent("invalid-job", format!("`{}` is no branch.", spec.branch)));
    }
    let job = JobName { slug, branch: spec.branch.clone() };
    if let Some(file) = spec.pipeline.first() {
        if file.path != CONFIG {
            let said = format!("CircleCI reads `{CONFIG}` and no other file, but was given `{}`.", file.path);
            return Err(Failure::permanent("invalid-job", said));
        }
        project(&job.slug).map_err(as_invalid)?;
        let committed = definition::source(&job).map_err(as_invalid)?;
        if committed.is_none_or(|source| source.trim_end() != file.content.trim_end()) {
            return Err(needs_forge(&job, &spec.repository_url));
        }
    }
    status(connection, &job).map_err(as_invalid)
}

/// There is no project to make the job of.
fn as_invalid(failure: Failure) -> Failure {
    match failure.code.as_str() {
        "no-such-job" => Failure { code: "invalid-job".to_owned(), ..failure },
        _ => failure,
    }
}

fn needs_forge(job: &JobName, repository: &str) -> Failure {
    let said = format!(
        "CircleCI runs what the repository has committed, and has no way to be given it. Please commit the configuration as \
         `{CONFIG}` to the branch `{}` of `{repository}` with the repository's forge, and make the job again once CircleCI \
         has run it.",
        job.branch
    );
    Failure::permanent("needs-forge", said)
}

pub fn status(connection: &Connection, job: &JobName) -> Result<Job, Failure> {
    #[derive(Deserialize)]
    struct Newest {
        items: Vec<Pipeline>,
    }
    let project = project(&job.slug)?;
    let request = Request::get(format!("{}/pipeline", job.slug.path())).query("branch", &job.branch);
    let newest: Newest = ask::missing(ask::read(request), || ask::no_such_project(&job.slug.short()))?;
    let mut found = Job::new(job.id(), format!("{} ({})", project.name, job.branch));
    let pages = convert::page(connection, &job.slug, 0);
    found.url = pages.strip_suffix("/0").map(str::to_owned);
    if let Some(pipeline) = newest.items.first() {
        found.last_build = Some(convert::build(connection, pipeline, &builds::workflows(&pipeline.id)?));
    }
    Ok(found)
}

fn project(slug: &Slug) -> Result<Project, Failure> {
    ask::missing(ask::read(Request::get(slug.path())), || ask::no_such_project(&slug.short()))
}

/// A project that is there stays: its configuration is in the repository, and would start pipelines with each push.
pub fn delete(job: &JobName) -> Result<(), Failure> {
    match project(&job.slug) {
        Err(failure) if failure.code == "no-such-job" => Ok(()),
        Err(failure) => Err(failure),
        Ok(project) => {
            let said = format!(
                "CircleCI has no jobs that could be deleted: it runs `{CONFIG}` of the project `{}` with each push. Please \
                 remove that file with the repository's forge, or stop building the project in CircleCI.",
                project.name
            );
            Err(Failure::permanent("needs-forge", said))
        }
    }
}
