//! Creating and changing stacks.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;

use super::form::Fields;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stack_form::{FieldError, StackForm};
use super::stacks::stack_link;
use crate::api;
use crate::app::repository::repository_test;
use crate::app::stack::{StackView, WebhookSetup, project_name, stack_create, stack_update, stack_view};
use crate::app::target::target_list;
use crate::app::{App, plugin};
use crate::domain::plugin::PluginKind;
use crate::error::{Error, Result};

/// The button that connects to the repository instead of storing anything.
const TEST: &str = "test-connection";

#[derive(Template)]
#[template(path = "stack_form.html")]
struct FormPage {
    frame: Frame,
    form: StackForm,
    /// Where it is sent.
    action: String,
    /// The page to go back to.
    back: String,
    is_new: bool,
    forges: Vec<String>,
    planners: Vec<String>,
    strategies: Vec<String>,
    default_strategy: String,
    has_router: bool,
    /// What a test of the connection to the repository found.
    connection: String,
}

#[derive(Template)]
#[template(path = "stack_created.html")]
struct CreatedPage {
    frame: Frame,
    name: String,
    link: String,
    webhook: Option<WebhookSetup>,
}

async fn form_page(
    app: &App,
    session: &Session,
    mut form: StackForm,
    link: Option<&str>,
) -> Result<FormPage> {
    form.machines = target_list(app).await?.into_iter().map(|row| row.name).collect();
    let of_kind = |kind: PluginKind| {
        let plugins = plugin::plugin_list(app).into_iter();
        let fits =
            plugins.filter(|status| status.info.as_ref().is_some_and(|info| info.kinds.contains(&kind)));
        fits.map(|status| status.name).collect::<Vec<_>>()
    };
    let frame =
        Frame::new(session, "stacks", if link.is_some() { "Edit" } else { "New stack" }).crumb("/", "Stacks");
    Ok(FormPage {
        frame: match link {
            Some(link) => frame.crumb(link, form.name.clone()),
            None => frame,
        },
        action: link.map_or_else(|| "/stacks/new".to_string(), |link| format!("{link}/edit")),
        back: link.unwrap_or("/").to_string(),
        is_new: link.is_none(),
        forges: of_kind(PluginKind::GitForge),
        planners: of_kind(PluginKind::BuildPlanner).into_iter().map(|name| name.replace('-', "_")).collect(),
        strategies: of_kind(PluginKind::DeploymentStrategy),
        default_strategy: app.config.strategies.default.clone(),
        has_router: app.config.router.enabled,
        connection: String::new(),
        form,
    })
}

pub async fn new(State(app): State<App>, session: Session) -> PageResult {
    render(&form_page(&app, &session, StackForm::empty(), None).await?)
}

/// The answer itself shows the secret: it is nowhere else to be read, so there is nothing to redirect to.
pub async fn create(
    State(app): State<App>,
    session: Session,
    Form(pairs): Form<Vec<(String, String)>>,
) -> PageResult {
    let fields = Fields(pairs);
    let mut form = StackForm::read(&fields);
    if fields.ticked(TEST) {
        return tested(&app, &session, form, None).await;
    }
    let made = match form.input(None) {
        Ok(input) => stack_create(&app, input, &session.0.who).await,
        Err(error) => Err(error),
    };
    match made {
        Ok((view, webhook)) => {
            let link = stack_link(&view);
            let name = view.stack.name;
            let frame = Frame::new(&session, "stacks", format!("{name} is ready")).crumb("/", "Stacks");
            let frame = frame.crumb(link.clone(), name.clone());
            render_with(StatusCode::CREATED, &CreatedPage { frame, name, link, webhook })
        }
        Err(error) => {
            form.refuse(&error);
            again(form_page(&app, &session, form.with_spare_rows(), None).await?, &error)
        }
    }
}

pub async fn edit(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    let view = stack_view(&app, &name).await?;
    let project = project_name(&app, &view.stack.project_id).await?;
    let link = stack_link(&view);
    render(&form_page(&app, &session, StackForm::of(&view, &project), Some(&link)).await?)
}

pub async fn update(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> PageResult {
    let view = stack_view(&app, &name).await?;
    let link = stack_link(&view);
    let fields = Fields(pairs);
    let mut form = StackForm::read(&fields);
    // The name is shown, but it cannot be changed.
    form.name.clone_from(&view.stack.name);
    if fields.ticked(TEST) {
        form.remember_stored(&view);
        return tested(&app, &session, form, Some(&view)).await;
    }
    let changed = match form.input(Some(&view)) {
        Ok(input) => stack_update(&app, view.stack.id.as_str(), input).await,
        Err(error) => Err(error),
    };
    match changed {
        Ok(_) => Ok(to(&format!("{link}?saved=true"))),
        Err(error) => {
            form.remember_stored(&view);
            form.refuse(&error);
            again(form_page(&app, &session, form.with_spare_rows(), Some(&link)).await?, &error)
        }
    }
}

/// The form once more, as it was typed, with what a connection to its repository met.
async fn tested(app: &App, session: &Session, mut form: StackForm, stored: Option<&StackView>) -> PageResult {
    let stack = stored.map(|view| view.stack.id.as_str());
    let link = stored.map(stack_link);
    let reached = match form.repository(stored) {
        Ok(given) => repository_test(app, stack, given.as_ref()).await,
        Err(error) => Err(error),
    };
    let connection = match &reached {
        Ok(reached) => reached.words(),
        Err(_) => String::new(),
    };
    if let Err(error @ Error::Invalid { .. }) = &reached {
        form.refuse(error);
    } else if let Err(error) = &reached {
        let message = format!("The connection failed: {error}");
        form.errors.push(FieldError { field: "repository.url".into(), message });
    }
    let page = form_page(app, session, form.with_spare_rows(), link.as_deref()).await?;
    let status = reached.as_ref().err().map_or(StatusCode::OK, api::status);
    render_with(status, &FormPage { connection, ..page })
}

/// The form once more, as it was typed, with what stands against it.
fn again(page: FormPage, error: &Error) -> PageResult {
    if api::status(error).is_server_error() {
        tracing::warn!(code = error.code(), error = %error.for_log(), "[@web:stack] a stack could not be stored");
    }
    render_with(api::status(error), &page)
}
