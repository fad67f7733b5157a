//! A CI/CD provider: makes jobs at a vendor, runs them, and says how they ended.
//!
//! Each call is a short step of one or two requests. The credential is only named; the host injects it.

use serde::Deserialize;
use serde_json::json;
use windlass_sdk::http::{Request, Response, segment};
use windlass_sdk::provider::{Account, Build, BuildStatus, Job, JobSpec, LogChunk, Provider, Trigger};
use windlass_sdk::{Connection, Failure, Manifest};

pub struct Plugin;

#[derive(Deserialize)]
struct VendorBuild {
    id: String,
    state: String,
}

impl Provider for Plugin {
    fn describe() -> Manifest {
        Manifest::new("{{name}}", env!("CARGO_PKG_VERSION"), "Runs the jobs of an example vendor")
            .credential("token", "A token with the right `run`", "bearer", true)
            .permission(&["GET"], "/me", "tests the connection")
            .permission(&["GET", "PUT", "POST", "DELETE"], "/jobs/**", "makes, runs, reads and deletes jobs")
    }

    fn test_connection(_: Connection) -> Result<Account, Failure> {
        #[derive(Deserialize)]
        struct Me {
            login: String,
        }
        let me: Me = send(Request::get("/me"))?.success()?.json()?;
        Ok(Account { name: me.login, server_version: String::new(), extras: Vec::new() })
    }

    fn create_job(_: Connection, spec: JobSpec) -> Result<Job, Failure> {
        let body = json!({
            "repository": spec.repository_url,
            "branch": spec.branch,
            "pipeline": spec.pipeline.first().map(|file| file.content.as_str()),
        });
        send(Request::put(format!("/jobs/{}", segment(&spec.name))).json(&body)?)?.success()?;
        Ok(Job::new(spec.name.clone(), spec.name))
    }

    fn trigger_job(_: Connection, job: &str, trigger: Trigger) -> Result<Build, Failure> {
        let body = json!({ "ref": trigger.ref_name, "key": trigger.idempotency_key });
        let request = Request::post(format!("/jobs/{}/builds", segment(job)))
            .idempotency_key(trigger.idempotency_key)
            .json(&body)?;
        // Whatever is wrong with the answer, the build may have begun.
        let response = found(send(request)?, "no-such-job", job)?;
        response.json().map(build).map_err(Failure::after_sending)
    }

    fn get_job_status(_: Connection, job: &str) -> Result<Job, Failure> {
        let response = found(send(Request::get(format!("/jobs/{}", segment(job))))?, "no-such-job", job)?;
        // A proxy's page says nothing about a job.
        response.json::<serde_json::Value>()?;
        Ok(Job::new(job, job))
    }

    fn get_build_status(_: Connection, job: &str, number: &str) -> Result<Build, Failure> {
        found(send(Request::get(path(job, number)))?, "no-such-build", number)?.json().map(build)
    }

    fn get_build_logs(_: Connection, job: &str, number: &str, cursor: Option<&str>) -> Result<LogChunk, Failure> {
        let from = cursor.unwrap_or("0");
        let request = Request::get(format!("{}/log", path(job, number))).query("from", from);
        let response = found(send(request)?, "no-such-build", number)?;
        let next = response.header("x-next").unwrap_or(from).to_owned();
        let complete = response.header("x-complete") == Some("true");
        Ok(LogChunk { text: response.text(), cursor: next, complete })
    }

    fn cancel_build(_: Connection, job: &str, number: &str) -> Result<(), Failure> {
        send(Request::post(format!("{}/cancel", path(job, number))))?.success().map(|_| ())
    }

    fn delete_job(_: Connection, job: &str) -> Result<(), Failure> {
        let response = send(Request::delete(format!("/jobs/{}", segment(job))))?;
        // One that is not there is deleted already.
        if response.status == 404 { Ok(()) } else { response.success().map(|_| ()) }
    }
}

windlass_sdk::export_provider!(Plugin);

fn send(request: Request) -> Result<Response, Failure> {
    Ok(request.credential("token").send()?)
}

fn path(job: &str, number: &str) -> String {
    format!("/jobs/{}/builds/{}", segment(job), segment(number))
}

/// A successful response; a 404 is the failure of that code.
fn found(response: Response, code: &str, what: &str) -> Result<Response, Failure> {
    if response.status == 404 {
        return Err(Failure::permanent(code, format!("The vendor knows no `{what}`.")));
    }
    response.success()
}

fn build(build: VendorBuild) -> Build {
    let status = match build.state.as_str() {
        "queued" => BuildStatus::Pending,
        "running" => BuildStatus::Running,
        "passed" => BuildStatus::Success,
        "failed" => BuildStatus::Failure,
        "stopped" => BuildStatus::Cancelled,
        other => BuildStatus::Other(other.to_owned()),
    };
    Build::new(build.id, status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_sdk::http::answering;
    use windlass_sdk::testkit::provider_in_trouble;

    fn connection() -> Connection {
        Connection {
            base_url: "https://ci.example".to_owned(),
            settings: "{}".to_owned(),
            extras: Vec::new(),
        }
    }

    #[test]
    fn a_build_is_started_once_by_its_key() {
        let answer = |request: &Request| {
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/jobs/a%20b/builds"));
            assert_eq!(request.idempotency_key.as_deref(), Some("k1"));
            Ok(Response::new(201, r#"{"id":"7","state":"queued"}"#))
        };
        let trigger = Trigger {
            ref_name: None,
            parameters: Vec::new(),
            idempotency_key: "k1".to_owned(),
            extras: Vec::new(),
        };
        let build = answering(answer, || Plugin::trigger_job(connection(), "a b", trigger)).expect("it starts");
        assert_eq!((build.id.as_str(), build.status), ("7", BuildStatus::Pending));
    }

    #[test]
    fn a_build_that_the_vendor_does_not_know_is_named() {
        let unknown = || Plugin::get_build_status(connection(), "a", "9");
        let failure = answering(|_| Ok(Response::new(404, "")), unknown).expect_err("there is none");
        assert_eq!(failure.code, "no-such-build");
    }

    #[test]
    fn a_vendor_that_fails_is_told_as_what_it_is_at_each_request() {
        provider_in_trouble::<Plugin>(&connection());
    }

    #[test]
    fn the_log_goes_on_at_its_cursor() {
        let answer = |request: &Request| {
            assert_eq!(request.path, "/jobs/a/builds/7/log?from=12");
            let mut response = Response::new(200, "more\n");
            response.headers = vec![("x-next".to_owned(), "17".to_owned())];
            Ok(response)
        };
        let chunk = answering(answer, || Plugin::get_build_logs(connection(), "a", "7", Some("12")))
            .expect("there is more");
        assert_eq!((chunk.cursor.as_str(), chunk.complete), ("17", false));
    }
}
