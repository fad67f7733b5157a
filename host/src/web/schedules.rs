//! The schedules of a stack, or of a job at a provider: listed, added, switched and deleted.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::form::Fields;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stack_form::FieldError;
use super::stacks::stack_link;
use super::ui::{Badge, Tone, When};
use crate::api;
use crate::app::cicd::build::build_view;
use crate::app::cicd::job::job_view;
use crate::app::stack::stack_view;
use crate::app::{App, deployment, schedule};
use crate::domain::schedule::{Missed, Schedule, ScheduleOf, SchedulePlan};
use crate::error::{Error, Result};

/// Due times that a row shows.
const UPCOMING: usize = 3;

struct ScheduleRow {
    seq: i64,
    name: String,
    cron: String,
    zone: String,
    git_ref: String,
    badge: Badge,
    enabled: bool,
    next: Option<When>,
    upcoming: Vec<String>,
    last: Option<When>,
    result: String,
    /// What it started last, with its number.
    started: Option<String>,
}

/// What was typed, and what stands against it.
struct ScheduleForm {
    name: String,
    cron: String,
    time_zone: String,
    git_ref: String,
    skip: bool,
    errors: Vec<FieldError>,
}

impl ScheduleForm {
    fn empty() -> Self {
        Self {
            name: String::new(),
            cron: String::new(),
            time_zone: "UTC".into(),
            git_ref: String::new(),
            skip: false,
            errors: Vec::new(),
        }
    }

    fn read(fields: &Fields) -> Self {
        Self {
            name: fields.trimmed("name"),
            cron: fields.trimmed("cron"),
            time_zone: fields.trimmed("time_zone"),
            git_ref: fields.trimmed("git_ref"),
            skip: fields.ticked("skip"),
            errors: Vec::new(),
        }
    }

    fn plan(&self) -> SchedulePlan {
        SchedulePlan {
            name: self.name.clone(),
            cron: self.cron.clone(),
            time_zone: if self.time_zone.is_empty() { "UTC".into() } else { self.time_zone.clone() },
            git_ref: Some(self.git_ref.clone()).filter(|name| !name.is_empty()),
            missed: if self.skip { Missed::Skip } else { Missed::RunOnce },
            enabled: true,
        }
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|found| found.field == field).map(|found| found.message.as_str())
    }

    fn refuse(&mut self, error: &Error) {
        let field = match error {
            Error::Invalid { field, .. } => field.clone(),
            _ => "name".into(),
        };
        self.errors.push(FieldError { field, message: error.to_string() });
    }
}

/// Whose schedules a page is about.
pub struct Home {
    of: ScheduleOf,
    name: String,
    link: String,
    crumb: (&'static str, &'static str),
    section: &'static str,
    /// There is something to be done at set times.
    can_run: bool,
    default_ref: String,
}

pub async fn of_stack(app: &App, key: &str) -> Result<Home> {
    let view = stack_view(app, key).await?;
    Ok(Home {
        link: stack_link(&view),
        of: ScheduleOf::Stack(view.stack.id),
        name: view.stack.name,
        crumb: ("/", "Stacks"),
        section: "stacks",
        can_run: view.repository.is_some(),
        default_ref: view.repository.map_or(String::new(), |row| row.branch),
    })
}

pub async fn of_job(app: &App, key: &str) -> Result<Home> {
    let job = job_view(app, key).await?;
    Ok(Home {
        link: format!("/ci-jobs/{}", job.seq),
        of: ScheduleOf::Job(job.id),
        name: job.name,
        crumb: ("/providers", "Providers"),
        section: "providers",
        can_run: true,
        default_ref: job.spec.repository.map_or(String::new(), |repository| repository.branch),
    })
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct SchedulesPage {
    frame: Frame,
    home: Home,
    may_change: bool,
    rows: Vec<ScheduleRow>,
    form: ScheduleForm,
}

async fn page(app: &App, session: &Session, home: Home, form: ScheduleForm) -> Result<SchedulesPage> {
    let found = match &home.of {
        ScheduleOf::Stack(id) => schedule::schedule_list(app, Some(id.as_str())).await?,
        ScheduleOf::Job(id) => schedule::schedule_list_of_job(app, id.as_str()).await?,
    };
    let mut rows = Vec::new();
    for one in found {
        rows.push(row(app, one).await?);
    }
    let frame = Frame::new(session, home.section, "Schedules")
        .crumb(home.crumb.0, home.crumb.1)
        .crumb(home.link.clone(), home.name.clone());
    // As the policies have it.
    let may_change = match &home.of {
        ScheduleOf::Stack(_) => frame.develops(),
        ScheduleOf::Job(_) => frame.deploys(),
    };
    Ok(SchedulesPage { frame, home, may_change, rows, form })
}

async fn row(app: &App, one: Schedule) -> Result<ScheduleRow> {
    let badge = match (one.plan.enabled, one.next_at) {
        (false, _) => Badge { tone: Tone::Stopped, word: "off" },
        (true, Some(_)) => Badge { tone: Tone::Good, word: "on" },
        (true, None) => Badge { tone: Tone::Bad, word: "never due" },
    };
    let started = match (&one.last_deployment_id, &one.last_build_id) {
        (Some(id), _) => {
            let row = deployment::deployment_view(app, id.as_str()).await.ok();
            row.map(|row| format!("/deployments/{}", row.seq))
        }
        (None, Some(id)) => {
            build_view(app, id.as_str()).await.ok().map(|row| format!("/ci-builds/{}", row.seq))
        }
        (None, None) => None,
    };
    let upcoming = match one.next_at {
        Some(next) => one.plan.upcoming(next - 1, UPCOMING)?,
        None => Vec::new(),
    };
    Ok(ScheduleRow {
        seq: one.seq,
        badge,
        enabled: one.plan.enabled,
        next: one.next_at.map(When::new),
        upcoming,
        last: one.last_due_at.map(When::new),
        result: one.last_result.unwrap_or_default(),
        started,
        name: one.plan.name,
        cron: one.plan.cron,
        zone: one.plan.time_zone,
        git_ref: one.plan.git_ref.unwrap_or_default(),
    })
}

async fn show(app: &App, session: &Session, home: Home) -> PageResult {
    render(&page(app, session, home, ScheduleForm::empty()).await?)
}

async fn store(app: &App, session: &Session, home: Home, fields: Vec<(String, String)>) -> PageResult {
    let mut form = ScheduleForm::read(&Fields(fields));
    let made = match &home.of {
        ScheduleOf::Stack(id) => schedule::schedule_create(app, id.as_str(), form.plan()).await,
        ScheduleOf::Job(id) => schedule::schedule_create_of_job(app, id.as_str(), form.plan()).await,
    };
    match made {
        Ok(_) => Ok(back(&home)),
        Err(error @ (Error::Invalid { .. } | Error::Conflict(_))) => {
            form.refuse(&error);
            let status: StatusCode = api::status(&error);
            render_with(status, &page(app, session, home, form).await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn toggle(app: &App, home: &Home, id: &str) -> PageResult {
    let old = its(app, home, id).await?.plan;
    schedule::schedule_update(app, id, SchedulePlan { enabled: !old.enabled, ..old }).await?;
    Ok(back(home))
}

async fn remove(app: &App, home: &Home, id: &str) -> PageResult {
    its(app, home, id).await?;
    schedule::schedule_delete(app, id).await?;
    Ok(back(home))
}

/// The schedule, if it is the stack's or job's: who may change that may change its schedules, and no others.
async fn its(app: &App, home: &Home, id: &str) -> Result<Schedule> {
    let found = schedule::schedule_view(app, id).await?;
    if found.of == home.of {
        return Ok(found);
    }
    Err(Error::not_found("schedule", id))
}

fn back(home: &Home) -> Response {
    to(&format!("{}/schedules", home.link))
}

type Pairs = Form<Vec<(String, String)>>;

pub async fn list(State(app): State<App>, session: Session, Path(stack): Path<String>) -> PageResult {
    show(&app, &session, of_stack(&app, &stack).await?).await
}

pub async fn create(
    State(app): State<App>,
    session: Session,
    Path(stack): Path<String>,
    Form(fields): Pairs,
) -> PageResult {
    store(&app, &session, of_stack(&app, &stack).await?, fields).await
}

pub async fn switch(
    State(app): State<App>,
    _: Session,
    Path((stack, id)): Path<(String, String)>,
) -> PageResult {
    toggle(&app, &of_stack(&app, &stack).await?, &id).await
}

pub async fn delete(
    State(app): State<App>,
    _: Session,
    Path((stack, id)): Path<(String, String)>,
) -> PageResult {
    remove(&app, &of_stack(&app, &stack).await?, &id).await
}

pub async fn job_list(State(app): State<App>, session: Session, Path(job): Path<String>) -> PageResult {
    show(&app, &session, of_job(&app, &job).await?).await
}

pub async fn job_create(
    State(app): State<App>,
    session: Session,
    Path(job): Path<String>,
    Form(fields): Pairs,
) -> PageResult {
    store(&app, &session, of_job(&app, &job).await?, fields).await
}

pub async fn job_switch(
    State(app): State<App>,
    _: Session,
    Path((job, id)): Path<(String, String)>,
) -> PageResult {
    toggle(&app, &of_job(&app, &job).await?, &id).await
}

pub async fn job_delete(
    State(app): State<App>,
    _: Session,
    Path((job, id)): Path<(String, String)>,
) -> PageResult {
    remove(&app, &of_job(&app, &job).await?, &id).await
}
