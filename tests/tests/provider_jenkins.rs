//! The provider for Jenkins through the real host, against a Jenkins that keeps what it was told.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod jenkins {
    mod client;
    mod faults;
    mod life;
    mod recorded;
}

use serde_json::json;
use windlass::domain::ci::{CiJob, CiJobSpec, CiParameter, CiTrigger};
use windlass::plugins::{Plugins, Target};
use windlass_tests::vendors::jenkins::{Jenkins, TOKEN};
use windlass_tests::vendors::rig::{Rig, target};

const NAME: &str = "jenkins";
const SCRIPT: &str = "pipeline { agent any\n  stages { stage('a <b> & \"c\"') { steps { sh 'true' } } } }\n";

/// A server, and a connection to it with an API token.
struct Bench {
    jenkins: Jenkins,
    target: Target,
}

impl Bench {
    async fn start() -> Self {
        let jenkins = Jenkins::start().await;
        let target = target(&jenkins.fake.url, "token", TOKEN, json!({}));
        Self { jenkins, target }
    }

    /// With the job `team/app`, which takes a target.
    async fn with_job(plugins: &Plugins) -> (Self, CiJob) {
        let bench = Self::start().await;
        let job = plugins.provider_create_job(NAME, &bench.target, &spec("app")).await.unwrap();
        (bench, job)
    }
}

fn spec(name: &str) -> CiJobSpec {
    CiJobSpec {
        name: name.into(),
        description: "Deploys <the> app".into(),
        folder: Some("team".into()),
        repository_url: "https://git.example/team/app.git".into(),
        branch: "main".into(),
        pipeline: vec![("Jenkinsfile".into(), SCRIPT.into())],
        parameters: vec![CiParameter {
            name: "TARGET".into(),
            default: "staging".into(),
            description: "Where to".into(),
        }],
    }
}

fn trigger(key: &str) -> CiTrigger {
    CiTrigger {
        ref_name: None,
        parameters: vec![("TARGET".into(), "x y&z=ü".into())],
        idempotency_key: key.into(),
    }
}

async fn rig() -> Rig {
    Rig::start(NAME).await
}
