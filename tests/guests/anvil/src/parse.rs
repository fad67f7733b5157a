//! Anvil's JSON.

use serde::Deserialize;
use windlass_sdk::provider::{self, BuildStatus};

#[derive(Deserialize)]
pub struct Me {
    pub login: String,
    pub version: String,
}

#[derive(Deserialize)]
pub struct Settings {
    pub folder: Option<String>,
}

#[derive(Deserialize)]
pub struct Job {
    id: String,
    name: String,
    url: Option<String>,
    last: Option<Build>,
}

#[derive(Deserialize)]
pub struct Build {
    id: String,
    state: String,
    started: Option<u64>,
    finished: Option<u64>,
}

#[derive(Deserialize)]
pub struct Report {
    pub job: String,
    pub build: Build,
}

#[derive(Deserialize)]
pub struct Artifact {
    id: String,
    path: String,
    size: u64,
}

impl Job {
    pub fn into_job(self) -> provider::Job {
        let mut job = provider::Job::new(self.id, self.name);
        job.url = self.url;
        job.last_build = self.last.map(Build::into_build);
        job
    }
}

impl Build {
    pub fn into_build(self) -> provider::Build {
        let status = match self.state.as_str() {
            "queued" => BuildStatus::Pending,
            "forging" => BuildStatus::Running,
            "good" => BuildStatus::Success,
            "cracked" => BuildStatus::Failure,
            "dropped" => BuildStatus::Cancelled,
            other => BuildStatus::Other(other.to_owned()),
        };
        let mut build = provider::Build::new(self.id, status);
        build.number.clone_from(&build.id);
        build.started = self.started;
        build.finished = self.finished;
        build.poll_after = Some(2);
        build
    }
}

impl Artifact {
    pub fn into_artifact(self) -> provider::Artifact {
        provider::Artifact { id: self.id, path: self.path, size: Some(self.size), extras: Vec::new() }
    }
}
