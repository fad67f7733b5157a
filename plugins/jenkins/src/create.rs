//! Makes jobs and the folders they are in, or brings a job into another state.

use std::cell::Cell;

use windlass_sdk::Failure;
use windlass_sdk::http::Request;
use windlass_sdk::provider::{Job, JobSpec};

use crate::path::JobPath;
use crate::settings::Settings;
use crate::{ask, builds, config, parse};

/// Whether anything may have changed on the server in the course of a call.
#[derive(Default)]
struct Changes(Cell<bool>);

impl Changes {
    fn post(&self, path: String, config: String) -> Result<(), Failure> {
        let kind = "application/xml; charset=utf-8";
        let answer = ask::change(Request::post(path).header("content-type", kind).body(config));
        let may_have = answer.as_ref().map_or_else(|failure| failure.request_sent, |_| true);
        self.0.set(self.0.get() || may_have);
        answer.map(|_| ())
    }
}

pub fn create(settings: &Settings, spec: &JobSpec) -> Result<Job, Failure> {
    let changes = Changes::default();
    made(&changes, settings, spec)
        .map_err(|failure| Failure { request_sent: failure.request_sent || changes.0.get(), ..failure })
}

fn made(changes: &Changes, settings: &Settings, spec: &JobSpec) -> Result<Job, Failure> {
    let path = JobPath::new(spec.folder.as_deref(), &spec.name)?;
    // What is wrong with the job shows before any folder is made.
    let fresh = config::job(settings, spec, false)?;
    match look(&path)? {
        Some(item) => update(changes, settings, spec, &path, &item)?,
        None => {
            for folder in path.folders() {
                ensure_folder(changes, &folder)?;
            }
            if let Err(failure) = changes.post(path.create_path(), fresh) {
                // Somebody else may have made it meanwhile.
                let item = look_again(&path, failure)?;
                update(changes, settings, spec, &path, &item)?;
            }
        }
    }
    builds::job(&path)
}

fn update(
    changes: &Changes,
    settings: &Settings,
    spec: &JobSpec,
    path: &JobPath,
    item: &parse::Item,
) -> Result<(), Failure> {
    if item.is_folder() || !(item.class.is_empty() || item.class.ends_with(".WorkflowJob")) {
        let kind = item.class.rsplit('.').next().unwrap_or_default();
        let said = format!(
            "Jenkins already has `{}`, and it is no pipeline job but a `{kind}`. Please choose another name or folder.",
            path.id()
        );
        return Err(config::invalid(said));
    }
    // Whoever disabled the job had a reason that is not ours to overrule.
    let config = config::job(settings, spec, item.is_disabled())?;
    changes.post(format!("{}/config.xml", path.url_path()), config).map_err(refused)
}

fn ensure_folder(changes: &Changes, path: &JobPath) -> Result<(), Failure> {
    let item = match look(path)? {
        Some(item) => item,
        None => match changes.post(path.create_path(), config::FOLDER.to_owned()) {
            Ok(()) => return Ok(()),
            Err(failure) => look_again(path, failure)?,
        },
    };
    if item.is_folder() {
        return Ok(());
    }
    Err(config::invalid(format!("`{}` is a job in Jenkins, so nothing can lie in it.", path.id())))
}

fn look(path: &JobPath) -> Result<Option<parse::Item>, Failure> {
    ask::find(&path.url_path(), "_class,color,buildable")
}

/// Jenkins refuses a name that is taken with 400; every other failure is what it is.
fn look_again(path: &JobPath, failure: Failure) -> Result<parse::Item, Failure> {
    if failure.code != "status-400" {
        return Err(refused(failure));
    }
    look(path)?.ok_or_else(|| refused(failure))
}

/// What Jenkins does not want is not to be asked for again.
fn refused(failure: Failure) -> Failure {
    match failure.code.as_str() {
        "status-400" | "status-404" | "status-409" | "status-413" | "status-422" => {
            Failure { code: "invalid-job".to_owned(), ..failure }
        }
        _ => failure,
    }
}
