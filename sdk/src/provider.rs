//! CI/CD providers: make jobs at a vendor, run them, and say how they ended.
//!
//! Each call is a short step of a few requests; the host owns time, retries and cursors. Here is a vendor with two paths;
//! the credential is named and never seen:
//!
//! ```
//! use windlass_sdk::http::Request;
//! use windlass_sdk::provider::{Account, Build, BuildStatus, Job, JobSpec, LogChunk, Provider, Trigger};
//! use windlass_sdk::{Connection, Failure, Manifest};
//!
//! struct Tiny;
//!
//! impl Provider for Tiny {
//!     fn describe() -> Manifest {
//!         Manifest::new("tiny-ci", "0.1.0", "Runs the jobs of Tiny CI")
//!             .credential("token", "A token with the right `run`", "bearer", true)
//!             .permission(&["GET", "POST"], "/jobs/**", "reads jobs and starts builds")
//!     }
//!
//!     fn trigger_job(_: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure> {
//!         let path = format!("/jobs/{job}/builds");
//!         let response = Request::post(path)
//!             .credential("token")
//!             .idempotency_key(trigger.idempotency_key)
//!             .send()?
//!             .success()?;
//!         Ok(Build::new(response.text(), BuildStatus::Pending))
//!     }
//!
//!     fn get_build_status(_: Connection, job: &str, build: &str) -> Result<Build, Failure> {
//!         let response =
//!             Request::get(format!("/jobs/{job}/builds/{build}")).credential("token").send()?.success()?;
//!         Ok(Build::new(build, status_of(&response.text())))
//!     }
//! #   fn test_connection(_: Connection) -> Result<Account, Failure> { unreachable!() }
//! #   fn create_job(_: Connection, _: JobSpec) -> Result<Job, Failure> { unreachable!() }
//! #   fn get_job_status(_: Connection, _: &str) -> Result<Job, Failure> { unreachable!() }
//! #   fn get_build_logs(_: Connection, _: &str, _: &str, _: Option<&str>) -> Result<LogChunk, Failure> { unreachable!() }
//! #   fn cancel_build(_: Connection, _: &str, _: &str) -> Result<(), Failure> { unreachable!() }
//! #   fn delete_job(_: Connection, _: &str) -> Result<(), Failure> { unreachable!() }
//!     // … and the others
//! }
//!
//! fn status_of(word: &str) -> BuildStatus {
//!     match word {
//!         "ok" => BuildStatus::Success,
//!         "broken" => BuildStatus::Failure,
//!         other => BuildStatus::Other(other.to_owned()),
//!     }
//! }
//!
//! windlass_sdk::export_provider!(Tiny);
//! ```

use std::marker::PhantomData;

use crate::bindings::base::exports::windlass::plugin::manifest::Guest as ManifestGuest;
use crate::bindings::provider::{
    artifacts::exports::windlass::ci_provider::artifacts, exports::windlass::ci_provider::provider as wit,
    webhooks::exports::windlass::ci_provider::webhooks, windlass::ci_provider::types,
};
use crate::{Connection, Failure, Manifest};

pub use crate::{Delivery, malformed};
pub use artifacts::{Artifact, ArtifactChunk};
pub use types::{Build, BuildId, BuildStatus, JobId};
pub use webhooks::{BuildReport, Event};
pub use wit::{Account, Job, JobSpec, LogChunk, Parameter, PipelineFile, Trigger};

/// A CI/CD provider. Export it with [`crate::export_provider!`].
pub trait Provider {
    /// What the plugin says about itself. Must not depend on anything.
    fn describe() -> Manifest;

    /// Whether the vendor answers and takes the credential. Changes nothing.
    ///
    /// # Errors
    /// `auth-required` if the credential is not taken or has too few rights.
    fn test_connection(connection: Connection) -> Result<Account, Failure>;

    /// Makes the job, or brings the one of the same name and folder into the state asked for.
    ///
    /// # Errors
    /// `permanent` with the code `invalid-job`.
    fn create_job(connection: Connection, spec: JobSpec) -> Result<Job, Failure>;

    /// Starts a build, which may still be queued.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-job` or `invalid-parameters`. `request_sent` has to be right: the host starts no
    /// second build if the first may have begun.
    fn trigger_job(connection: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure>;

    /// The job and its newest build.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-job`.
    fn get_job_status(connection: Connection, job: &str) -> Result<Job, Failure>;

    /// The build. It may answer with another id, where the vendor gives a queued build its final one later.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-build`.
    fn get_build_status(connection: Connection, job: &str, build: &str) -> Result<Build, Failure>;

    /// What the build wrote after the cursor; everything from the beginning without one.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-build` or `log-gone`.
    fn get_build_logs(
        connection: Connection,
        job: &str,
        build: &str,
        cursor: Option<&str>,
    ) -> Result<LogChunk, Failure>;

    /// Asks the vendor to stop. A build that has ended is no error.
    ///
    /// # Errors
    /// Whatever the requests ran into.
    fn cancel_build(connection: Connection, job: &str, build: &str) -> Result<(), Failure>;

    /// Deletes the job. One that is not there is no error.
    ///
    /// # Errors
    /// Whatever the requests ran into.
    fn delete_job(connection: Connection, job: &str) -> Result<(), Failure>;
}

/// Reads the vendor's webhooks: `export_provider!(Mine, webhooks)`. The manifest declares how they are signed.
pub trait Webhooks: Provider {
    /// Reads one delivery, which the host has verified. Pure.
    ///
    /// # Errors
    /// [`malformed`] if the body is not what its headers promise.
    fn parse(delivery: Delivery) -> Result<Event, Failure>;
}

/// Reads files that builds made: `export_provider!(Mine, artifacts)`.
pub trait Artifacts: Provider {
    /// All artifacts of a build, at most 1,000.
    ///
    /// # Errors
    /// `permanent` with the code `no-such-build`.
    fn list_artifacts(connection: Connection, job: &str, build: &str) -> Result<Vec<Artifact>, Failure>;

    /// The piece at the cursor, at most 4 MiB; the first without one.
    ///
    /// # Errors
    /// `permanent` with the code `artifact-gone`.
    fn read_artifact(
        connection: Connection,
        job: &str,
        build: &str,
        artifact: &str,
        cursor: Option<&str>,
    ) -> Result<ArtifactChunk, Failure>;
}

impl Build {
    /// A build of which nothing more is known.
    pub fn new(id: impl Into<String>, status: BuildStatus) -> Self {
        Self {
            id: id.into(),
            number: String::new(),
            status,
            url: None,
            started: None,
            finished: None,
            poll_after: None,
            extras: Vec::new(),
        }
    }
}

impl Job {
    /// A job that can be built, of which nothing more is known.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            url: None,
            trigger_url: None,
            buildable: true,
            last_build: None,
            extras: Vec::new(),
        }
    }
}

#[doc(hidden)]
pub const KIND: &str = "ci-provider";

/// Makes a [`Provider`] a component.
#[doc(hidden)]
pub struct Component<T>(PhantomData<T>);

impl<T: Provider> ManifestGuest for Component<T> {
    fn describe() -> Manifest {
        T::describe().of_kind(KIND)
    }
}

impl<T: Provider> wit::Guest for Component<T> {
    fn test_connection(connection: Connection) -> Result<Account, Failure> {
        T::test_connection(connection)
    }

    fn create_job(connection: Connection, spec: JobSpec) -> Result<Job, Failure> {
        T::create_job(connection, spec)
    }

    fn trigger_job(connection: Connection, job: JobId, trigger: Trigger) -> Result<Build, Failure> {
        T::trigger_job(connection, &job, trigger)
    }

    fn get_job_status(connection: Connection, job: JobId) -> Result<Job, Failure> {
        T::get_job_status(connection, &job)
    }

    fn get_build_status(connection: Connection, job: JobId, build: BuildId) -> Result<Build, Failure> {
        T::get_build_status(connection, &job, &build)
    }

    fn get_build_logs(
        connection: Connection,
        job: JobId,
        build: BuildId,
        cursor: Option<String>,
    ) -> Result<LogChunk, Failure> {
        T::get_build_logs(connection, &job, &build, cursor.as_deref())
    }

    fn cancel_build(connection: Connection, job: JobId, build: BuildId) -> Result<(), Failure> {
        T::cancel_build(connection, &job, &build)
    }

    fn delete_job(connection: Connection, job: JobId) -> Result<(), Failure> {
        T::delete_job(connection, &job)
    }
}

impl<T: Webhooks> webhooks::Guest for Component<T> {
    fn parse(delivery: Delivery) -> Result<Event, Failure> {
        T::parse(delivery)
    }
}

impl<T: Artifacts> artifacts::Guest for Component<T> {
    fn list_artifacts(connection: Connection, job: JobId, build: BuildId) -> Result<Vec<Artifact>, Failure> {
        T::list_artifacts(connection, &job, &build)
    }

    fn read_artifact(
        connection: Connection,
        job: JobId,
        build: BuildId,
        artifact: String,
        cursor: Option<String>,
    ) -> Result<ArtifactChunk, Failure> {
        T::read_artifact(connection, &job, &build, &artifact, cursor.as_deref())
    }
}
