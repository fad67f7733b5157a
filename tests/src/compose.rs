//! A stack with a compose file: the page of the fixture, and a store beside it that keeps a volume.

use serde_json::{Value, json};

use crate::fixture::{Fixture, HEALTHY_WITHIN_S};
use crate::server::docker;

pub const FILE: &str = "services:
  web:
    build: .
    depends_on: [store]
    environment:
      GREETING: ${GREETING:-hello}
  store:
    build: store
    stop_grace_period: 1s
    volumes: ['data:/data']
volumes:
  data:
";

const STORE: &str = "FROM scratch
COPY busybox /bin/busybox
CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"7000\", \"-h\", \"/data\"]
";

/// Further fields of a stack that deploys its compose file.
pub fn stack() -> Value {
    json!({
        "build": {
            "buildType": "compose_only", "healthCheckPath": "/health", "healthCheckTimeout": HEALTHY_WITHIN_S,
            "environmentVariables": [{ "name": "GREETING", "value": "good $day", "secret": true }],
        },
        "run": { "service": "web", "ports": [{ "container": 8080 }], "stopTimeoutSecs": 1 },
    })
}

/// From now on, commits have this compose file.
pub fn with_file(fixture: &mut Fixture, file: &str) {
    // The store needs the program in its own folder, and a link there is not sent to the engine as what it leads to.
    if !fixture.extra_programs.iter().any(|path| path == "store/busybox") {
        fixture.extra_programs.push("store/busybox".into());
    }
    fixture.extra.retain(|(path, _, _)| path != "compose.yaml" && path != "store/Dockerfile");
    fixture.extra.push(("compose.yaml".into(), "100644", file.into()));
    fixture.extra.push(("store/Dockerfile".into(), "100644", STORE.into()));
}

/// The id of the container of a companion; empty if there is none.
pub fn companion(fixture: &Fixture, service: &str) -> String {
    let own = format!("label=dev.windlass.server={}", fixture.server.instance());
    let service = format!("label=com.docker.compose.service={service}");
    docker(&["ps", "-q", "--no-trunc", "--filter", &own, "--filter", &service])
}
