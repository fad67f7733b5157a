//! Careless: a provider that reads no answer, so that a build has begun whatever the vendor says.

use windlass_sdk::http::Request;
use windlass_sdk::provider::{Account, Build, BuildStatus, Job, JobSpec, LogChunk, Provider, Trigger};
use windlass_sdk::{Connection, Failure, Manifest};

pub struct Careless;

/// Only a vendor who says nothing at all is noticed.
fn sent(request: &Request) -> Result<(), Failure> {
    Ok(request.send().map(|_| ())?)
}

impl Provider for Careless {
    fn describe() -> Manifest {
        Manifest::new("careless", "1.0.0", "Takes any answer for a good one").permission(
            &["GET", "POST", "PUT", "DELETE"],
            "/**",
            "asks, and does not listen",
        )
    }

    fn test_connection(_: Connection) -> Result<Account, Failure> {
        Request::get("/me").send()?.success()?.json::<Vec<u8>>()?;
        Ok(Account { name: String::new(), server_version: String::new(), extras: Vec::new() })
    }

    fn create_job(_: Connection, spec: JobSpec) -> Result<Job, Failure> {
        Request::put("/jobs").send()?.success()?;
        Ok(Job::new("job", spec.name))
    }

    fn trigger_job(_: Connection, _: &str, _: Trigger) -> Result<Build, Failure> {
        sent(&Request::post("/builds"))?;
        Ok(Build::new("7", BuildStatus::Pending))
    }

    fn get_job_status(_: Connection, job: &str) -> Result<Job, Failure> {
        sent(&Request::get("/jobs"))?;
        Ok(Job::new(job, job))
    }

    fn get_build_status(_: Connection, _: &str, build: &str) -> Result<Build, Failure> {
        sent(&Request::get("/builds"))?;
        Ok(Build::new(build, BuildStatus::Success))
    }

    fn get_build_logs(_: Connection, _: &str, _: &str, _: Option<&str>) -> Result<LogChunk, Failure> {
        sent(&Request::get("/log"))?;
        Ok(LogChunk { text: String::new(), cursor: "end".to_owned(), complete: true })
    }

    fn cancel_build(_: Connection, _: &str, _: &str) -> Result<(), Failure> {
        sent(&Request::post("/cancel"))
    }

    fn delete_job(_: Connection, _: &str) -> Result<(), Failure> {
        sent(&Request::delete("/jobs"))
    }
}

windlass_sdk::export_provider!(Careless);
