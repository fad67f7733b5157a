//! Jobs at providers: made, shown with their builds, started with parameters, deleted.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;

use super::form::Fields;
use super::job_form::{JobForm, number, pairs, pairs_text};
use super::page::{Frame, PageResult, render, render_with};
use super::providers::{BuildRow, badge};
use super::session::Session;
use super::stack::to;
use super::stack_form::FieldError;
use super::stacks::PageQuery;
use super::ui::Badge;
use crate::api;
use crate::app::cicd::build::{Wanted, build_list, build_trigger};
use crate::app::cicd::job::{job_create, job_delete, job_view};
use crate::app::cicd::provider::{provider_list, provider_view};
use crate::app::cicd::watch::job_sync;
use crate::app::{App, schedule};
use crate::domain::cicd::{CicdJob, CicdProvider};
use crate::domain::page::PageRequest;
use crate::error::{Error, Result};

type Pairs = Form<Vec<(String, String)>>;

/// The providers that can be chosen, by number and name.
pub(super) fn choices(providers: &[CicdProvider]) -> Vec<(String, String)> {
    providers.iter().map(|row| (row.seq.to_string(), row.name.clone())).collect()
}

/// Those that this person may see.
pub(super) async fn providers(app: &App, session: &Session) -> Result<Vec<CicdProvider>> {
    Ok(provider_list(app, PageRequest::first(200), &session.0.reach()).await?.items)
}

#[derive(Template)]
#[template(path = "job_form.html")]
struct FormPage {
    frame: Frame,
    provider: String,
    link: String,
    others: Vec<(String, String)>,
    form: JobForm,
}

async fn form_page(app: &App, session: &Session, at: &CicdProvider, form: JobForm) -> Result<FormPage> {
    let mut others = providers(app, session).await?;
    others.retain(|one| one.id != at.id);
    let link = format!("/providers/{}", at.seq);
    let frame = Frame::new(session, "providers", "New job")
        .crumb("/providers", "Providers")
        .crumb(link.clone(), at.name.clone());
    Ok(FormPage { frame, provider: at.name.clone(), link, others: choices(&others), form })
}

pub async fn new(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let at = provider_view(&app, &key).await?;
    render(&form_page(&app, &session, &at, JobForm::empty()).await?)
}

pub async fn create(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Form(fields): Pairs,
) -> PageResult {
    let at = provider_view(&app, &key).await?;
    let mut form = JobForm::read(&Fields(fields), None);
    let made = match form.params(None) {
        Ok(params) => job_create(&app, at.id.as_str(), params, &session.0.caller()).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(job) => Ok(to(&format!("/ci-jobs/{}", job.seq))),
        Err(error) => {
            form.refuse(&error);
            render_with(api::status(&error), &form_page(&app, &session, &at, form).await?)
        }
    }
}

/// What a build is started with, as it was typed.
struct TriggerForm {
    values: String,
    ref_name: String,
    timeout: String,
    retries: String,
    errors: Vec<FieldError>,
}

impl TriggerForm {
    fn of(job: &CicdJob) -> Self {
        Self {
            values: pairs_text(&job.parameters, ""),
            ref_name: String::new(),
            timeout: String::new(),
            retries: String::new(),
            errors: Vec::new(),
        }
    }

    fn read(fields: &Fields) -> Self {
        Self {
            values: fields.text("values"),
            ref_name: fields.trimmed("ref"),
            timeout: fields.trimmed("timeout"),
            retries: fields.trimmed("retries"),
            errors: Vec::new(),
        }
    }

    fn wanted(&self) -> Result<Wanted> {
        let given = |field: &str, text: &str| match text {
            "" => Ok(None),
            text => number(field, text, 0).map(Some),
        };
        Ok(Wanted {
            parameters: pairs("values", &self.values)?,
            ref_name: Some(self.ref_name.clone()).filter(|name| !name.is_empty()),
            timeout_secs: given("timeout_secs", &self.timeout)?,
            retries: given("retries", &self.retries)?,
        })
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|found| found.field == field).map(|found| found.message.as_str())
    }

    fn refuse(&mut self, error: &Error) {
        let field = if let Error::Invalid { field, .. } = error { field.clone() } else { String::new() };
        self.errors.push(FieldError { field, message: error.to_string() });
    }
}

#[derive(Template)]
#[template(path = "ci_job.html")]
struct JobPage {
    frame: Frame,
    seq: i64,
    name: String,
    description: String,
    /// Its page at the provider.
    page: Option<String>,
    external: String,
    badge: Option<Badge>,
    facts: Vec<(&'static str, String)>,
    schedules: usize,
    default_ref: String,
    builds: Vec<BuildRow>,
    form: TriggerForm,
    next: Option<i64>,
    is_first: bool,
}

async fn page(
    app: &App,
    session: &Session,
    job: CicdJob,
    before: Option<i64>,
    form: Option<TriggerForm>,
) -> Result<JobPage> {
    let at = provider_view(app, job.provider_id.as_str()).await?;
    let builds = build_list(app, job.id.as_str(), PageRequest::new(before, None)).await?;
    let is_made = job.external_id != job.id.as_str();
    let frame = Frame::new(session, "providers", job.name.clone())
        .crumb("/providers", "Providers")
        .crumb(format!("/providers/{}", at.seq), at.name.clone());
    Ok(JobPage {
        frame,
        seq: job.seq,
        facts: facts(app, &job).await?,
        schedules: schedule::schedule_list_of_job(app, job.id.as_str()).await?.len(),
        default_ref: job.spec.repository.as_ref().map_or(String::new(), |one| one.branch.clone()),
        form: form.unwrap_or_else(|| TriggerForm::of(&job)),
        external: if is_made { job.external_id } else { String::new() },
        name: job.name,
        description: job.description.unwrap_or_default(),
        page: job.job_url,
        badge: job.status.map(badge),
        builds: builds.items.into_iter().map(BuildRow::from).collect(),
        next: builds.next,
        is_first: before.is_none(),
    })
}

async fn facts(app: &App, job: &CicdJob) -> Result<Vec<(&'static str, String)>> {
    let spec = &job.spec;
    let mut facts = Vec::new();
    if let Some(repository) = &spec.repository {
        facts.push(("Repository", crate::domain::repository::redact_url(&repository.url)));
        facts.push(("Branch", repository.branch.clone()));
    }
    if spec.retries > 0 {
        let pause = match spec.retry_delay_secs {
            0 => String::new(),
            secs => format!(", the first time after {secs} s"),
        };
        facts.push(("Failed builds", format!("started again {} times{pause}", spec.retries)));
    }
    if let Some(other) = &spec.failover {
        let second = match provider_view(app, &other.provider).await {
            Ok(row) => row.name,
            Err(_) => "a provider that is not connected any more".to_owned(),
        };
        facts.push(("Builds that do not begin", format!("go to {second} after {} s", other.after_secs)));
    }
    if job.look_at.is_some() {
        facts.push(("Builds of others", "found by asking now and then".to_owned()));
    }
    Ok(facts)
}

pub async fn show(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Query(query): Query<PageQuery>,
) -> PageResult {
    let job = job_view(&app, &key).await?;
    render(&page(&app, &session, job, query.before, None).await?)
}

pub async fn trigger(
    State(app): State<App>,
    session: Session,
    Path(key): Path<String>,
    Form(fields): Pairs,
) -> PageResult {
    let job = job_view(&app, &key).await?;
    let mut form = TriggerForm::read(&Fields(fields));
    let started = match form.wanted() {
        Ok(wanted) => build_trigger(&app, job.id.as_str(), wanted).await,
        Err(error) => Err(error),
    };
    match started {
        Ok(build) => Ok(to(&format!("/ci-builds/{}", build.seq))),
        Err(error) => {
            form.refuse(&error);
            render_with(api::status(&error), &page(&app, &session, job, None, Some(form)).await?)
        }
    }
}

/// Has the provider asked now whether there is a build that is not known here.
pub async fn sync(State(app): State<App>, _: Session, Path(key): Path<String>) -> PageResult {
    let job = job_sync(&app, &key).await?;
    Ok(to(&format!("/ci-jobs/{}", job.seq)))
}

pub async fn delete(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    let job = job_view(&app, &key).await?;
    let at = provider_view(&app, job.provider_id.as_str()).await?;
    match job_delete(&app, job.id.as_str()).await {
        Ok(()) => Ok(to(&format!("/providers/{}", at.seq))),
        Err(error) => {
            let mut form = TriggerForm::of(&job);
            form.refuse(&error);
            let status: StatusCode = api::status(&error);
            render_with(status, &page(&app, &session, job, None, Some(form)).await?)
        }
    }
}
