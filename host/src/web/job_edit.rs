//! A job that is to be another one: what would differ is shown, and is then done.

use askama::Template;
use axum::extract::{Form, Path, State};
use sha2::{Digest as _, Sha256};

use super::ci_jobs::{choices, providers};
use super::form::Fields;
use super::job_form::JobForm;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use crate::api;
use crate::app::App;
use crate::app::cicd::change::{JobChange, job_difference, job_update};
use crate::app::cicd::job::{job_stack, job_view};
use crate::app::cicd::provider::provider_view;
use crate::domain::cicd::{CicdJob, JobParams};
use crate::domain::difference::{Change, DiffLine, nearby};
use crate::error::{Error, Result};

/// Unchanged lines shown around a change.
const CONTEXT: usize = 3;

/// A text that would differ, line by line.
struct Part {
    name: String,
    /// Nothing stands for lines that are left out.
    lines: Vec<Option<DiffLine>>,
}

impl Part {
    fn new(name: String, lines: &[DiffLine]) -> Self {
        Self { name, lines: nearby(lines, CONTEXT).into_iter().map(Option::<&DiffLine>::cloned).collect() }
    }
}

#[derive(Template)]
#[template(path = "job_edit.html")]
struct EditPage {
    frame: Frame,
    name: String,
    link: String,
    /// What the job builds, which stays.
    builds: String,
    others: Vec<(String, String)>,
    form: JobForm,
    /// What would differ, once that was looked at, and what it was that was looked at.
    parts: Option<Vec<Part>>,
    seen: String,
}

impl EditPage {
    fn is_removed(line: &DiffLine) -> bool {
        line.change == Change::Removed
    }

    fn is_added(line: &DiffLine) -> bool {
        line.change == Change::Added
    }
}

async fn page(app: &App, session: &Session, job: &CicdJob, form: JobForm) -> Result<EditPage> {
    let at = provider_view(app, job.provider_id.as_str()).await?;
    let mut others = providers(app, session).await?;
    others.retain(|one| one.id != at.id);
    let link = format!("/ci-jobs/{}", job.seq);
    let builds = job.spec.repository.as_ref().map_or(String::new(), |one| {
        format!("{}, {}", crate::domain::repository::redact_url(&one.url), one.branch)
    });
    Ok(EditPage {
        frame: Frame::new(session, "providers", format!("Change {}", job.name))
            .crumb("/providers", "Providers")
            .crumb(format!("/providers/{}", at.seq), at.name)
            .crumb(link.clone(), job.name.clone()),
        name: job.name.clone(),
        link,
        builds,
        others: choices(&others),
        form,
        parts: None,
        seen: String::new(),
    })
}

/// The job of a stack follows the stack, so that is where it is changed.
pub async fn edit(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let job = job_view(&app, &key).await?;
    if let Some(stack) = job_stack(&app, &job.id).await? {
        return Ok(to(&format!("/stacks/{}/ci", stack.name)));
    }
    let all = providers(&app, &session).await?;
    render(&page(&app, &session, &job, JobForm::of(&job.spec, &all)).await?)
}

/// Shows what would differ; does it if that was what the person looked at.
pub async fn update(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let job = job_view(&app, &key).await?;
    let fields = Fields(fields);
    let form = JobForm::read(&fields, Some(&job.spec));
    let looked = look(&app, &job, &form).await;
    let (params, change) = match looked {
        Ok(found) => found,
        Err(error) => return refused(&app, &session, &job, form, &error).await,
    };
    let seen = mark(&job, &params)?;
    if fields.trimmed("seen") == seen {
        return match job_update(&app, job.id.as_str(), params).await {
            Ok(job) => Ok(to(&format!("/ci-jobs/{}", job.seq))),
            Err(error) => refused(&app, &session, &job, form, &error).await,
        };
    }
    let page = EditPage { parts: Some(parts(change)), seen, ..page(&app, &session, &job, form).await? };
    render(&page)
}

async fn look(app: &App, job: &CicdJob, form: &JobForm) -> Result<(JobParams, JobChange)> {
    let params = form.params(Some(&job.spec))?;
    // By these the provider knows the job, and the form does not ask for them.
    let params = JobParams { name: String::new(), repository: None, ..params };
    let change = job_difference(app, job.id.as_str(), params.clone()).await?;
    Ok((params, change))
}

async fn refused(
    app: &App,
    session: &Session,
    job: &CicdJob,
    mut form: JobForm,
    error: &Error,
) -> PageResult {
    form.refuse(error);
    render_with(api::status(error), &page(app, session, job, form).await?)
}

fn parts(change: JobChange) -> Vec<Part> {
    let mut parts = vec![Part::new("The job".to_owned(), &change.definition)];
    parts.extend(change.files.into_iter().map(|file| Part::new(file.path, &file.lines)));
    parts.retain(|part| !part.lines.is_empty());
    parts
}

/// Of what was looked at: what the job is, and what it is to be.
fn mark(job: &CicdJob, params: &JobParams) -> Result<String> {
    let text = serde_json::to_vec(&(&job.spec, params)).map_err(Error::internal)?;
    Ok(hex::encode(Sha256::digest(text)))
}
