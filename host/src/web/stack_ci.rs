//! A stack's provider: connected to one, changed, deployed from here again.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;

use super::ci_jobs::{choices, providers};
use super::form::Fields;
use super::job_form::{JobForm, number, pairs, pairs_text};
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::stack_link;
use crate::api;
use crate::app::App;
use crate::app::cicd::stack::{stack_ci_delete, stack_ci_put, stack_ci_view};
use crate::app::stack::stack_view;
use crate::domain::cicd::{JobParams, StackCi, StackCiSettings};
use crate::error::{Error, Result};

/// What was typed beside the job itself.
#[derive(Default)]
struct Typed {
    provider: String,
    values: String,
    timeout: String,
    form: JobForm,
}

#[derive(Template)]
#[template(path = "stack_ci.html")]
struct CiPage {
    frame: Frame,
    name: String,
    link: String,
    is_assigned: bool,
    has_repository: bool,
    providers: Vec<(String, String)>,
    others: Vec<(String, String)>,
    provider: String,
    values: String,
    timeout: String,
    form: JobForm,
}

async fn assigned(app: &App, stack: &str) -> Result<Option<StackCi>> {
    match stack_ci_view(app, stack).await {
        Ok((row, _)) => Ok(Some(row)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn page(app: &App, session: &Session, stack: &str, typed: Option<Typed>) -> Result<CiPage> {
    let view = stack_view(app, stack).await?;
    let (link, all) = (stack_link(&view), providers(app, session).await?);
    let stored = assigned(app, view.stack.id.as_str()).await?;
    let typed = match (typed, &stored) {
        (Some(typed), _) => typed,
        (None, None) => Typed { form: JobForm::empty(), ..Typed::default() },
        (None, Some(row)) => {
            let form = JobForm::of(&row.settings.job, &all);
            let retries = row.settings.retries;
            let at = all.iter().find(|one| one.id == row.provider_id);
            Typed {
                provider: at.map_or(String::new(), |one| one.seq.to_string()),
                values: pairs_text(&row.settings.parameters, ""),
                timeout: row.settings.timeout_secs.to_string(),
                form: JobForm {
                    retries: if retries == 0 { String::new() } else { retries.to_string() },
                    ..form
                },
            }
        }
    };
    Ok(CiPage {
        frame: Frame::new(session, "stacks", "Provider")
            .crumb("/", "Stacks")
            .crumb(link.clone(), view.stack.name.clone()),
        name: view.stack.name,
        link,
        is_assigned: stored.is_some(),
        has_repository: view.repository.is_some(),
        providers: choices(&all),
        others: choices(&all),
        provider: typed.provider,
        values: typed.values,
        timeout: typed.timeout,
        form: typed.form,
    })
}

pub async fn show(State(app): State<App>, session: Session, Path(stack): Path<String>) -> PageResult {
    render(&page(&app, &session, &stack, None).await?)
}

fn settings(typed: &Typed, stored: Option<&StackCi>) -> Result<StackCiSettings> {
    let kept: Option<&JobParams> = stored.map(|row| &row.settings.job);
    let mut job = typed.form.params(kept)?;
    // How often a stack's builds are started again is said of the stack; which repository they build, too.
    job.retries = kept.map_or(0, |job| job.retries);
    job.repository = kept.and_then(|job| job.repository.clone());
    Ok(StackCiSettings {
        job,
        parameters: pairs("values", &typed.values)?,
        timeout_secs: number("timeoutSecs", &typed.timeout, 3600)?,
        retries: number("retries", &typed.form.retries, 0)?,
    })
}

pub async fn update(
    State(app): State<App>,
    session: Session,
    Path(stack): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let fields = Fields(fields);
    let view = stack_view(&app, &stack).await?;
    let stored = assigned(&app, view.stack.id.as_str()).await?;
    let mut typed = Typed {
        provider: fields.trimmed("provider"),
        values: fields.text("values"),
        timeout: fields.trimmed("timeout"),
        form: JobForm::read(&fields, stored.as_ref().map(|row| &row.settings.job)),
    };
    let put = match settings(&typed, stored.as_ref()) {
        Ok(settings) => {
            stack_ci_put(&app, &session.0.who, view.stack.id.as_str(), &typed.provider, settings).await
        }
        Err(error) => Err(error),
    };
    match put {
        Ok(_) => Ok(to(&format!("{}?saved=true", stack_link(&view)))),
        Err(error) => {
            // The stack is there; what is not is the provider that was chosen.
            let error = match error {
                Error::NotFound { .. } => Error::invalid("provider", error.to_string()),
                error => error,
            };
            typed.form.refuse(&error);
            let status: StatusCode = api::status(&error);
            render_with(status, &page(&app, &session, view.stack.id.as_str(), Some(typed)).await?)
        }
    }
}

pub async fn remove(State(app): State<App>, _: Session, Path(stack): Path<String>) -> PageResult {
    let view = stack_view(&app, &stack).await?;
    match stack_ci_delete(&app, view.stack.id.as_str()).await {
        // Somebody else was faster.
        Ok(()) | Err(Error::NotFound { .. }) => Ok(to(&stack_link(&view))),
        Err(error) => Err(error.into()),
    }
}
