//! The provider for CircleCI through the real host, against a CircleCI that keeps what it was told; between them Prism, which
//! holds both to CircleCI's own document.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

mod circleci {
    mod deliveries;
    mod faults;
    mod life;
}

use serde_json::json;
use windlass::domain::ci::{CiJobSpec, CiTrigger};
use windlass::plugins::Target;
use windlass_tests::vendors::circleci::{CONFIG, CircleCi, TOKEN};
use windlass_tests::vendors::rig::target;

const NAME: &str = "circleci";
const JOB: &str = "gh/org/app:main";
const DOCUMENT: &str = "circleci/circleci.v2.openapi.subset.prism.json";

/// A server that has run the committed configuration once, and a connection to it.
async fn bench() -> (CircleCi, Target) {
    let circleci = CircleCi::start().await;
    circleci.world().push("main", CONFIG);
    circleci.world().workflow("build", "success");
    let target = target(&circleci.fake.url, "token", TOKEN, json!({}));
    (circleci, target)
}

fn spec(config: &str) -> CiJobSpec {
    CiJobSpec {
        name: "app".into(),
        description: String::new(),
        folder: None,
        repository_url: "https://github.com/org/app.git".into(),
        branch: "main".into(),
        pipeline: vec![(".circleci/config.yml".into(), config.into())],
        parameters: Vec::new(),
    }
}

fn trigger() -> CiTrigger {
    CiTrigger {
        ref_name: None,
        parameters: vec![("target".into(), "production".into()), ("dry-run".into(), "true".into())],
        idempotency_key: "key-1".into(),
    }
}
