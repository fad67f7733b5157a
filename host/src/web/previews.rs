//! The pull requests of a stack's repository: switched on and off, and listed with where they can be looked at.

use askama::Template;
use axum::extract::{Form, Path, State};

use super::form::Fields;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stack_form::FieldError;
use super::stacks::stack_link;
use super::ui::{Badge, Tone, When, short};
use crate::api;
use crate::app::App;
use crate::app::preview::{self, Shown};
use crate::app::stack::stack_view;
use crate::domain::deployment::DeploymentStatus;
use crate::domain::preview::{PreviewSettings, PreviewState};
use crate::error::{Error, Result};

struct PreviewRow {
    number: i64,
    title: String,
    url: String,
    commit: String,
    badge: Badge,
    why: String,
    stack: String,
    address: String,
    deployment: Option<i64>,
    expires: When,
}

/// What was typed, and what stands against it.
struct PreviewForm {
    host: String,
    days: String,
    most: String,
    errors: Vec<FieldError>,
}

impl PreviewForm {
    fn of(settings: &PreviewSettings) -> Self {
        Self {
            host: settings.host.clone(),
            days: settings.days.to_string(),
            most: settings.most.to_string(),
            errors: Vec::new(),
        }
    }

    fn read(fields: &Fields) -> Self {
        let text = |name| fields.trimmed(name);
        Self { host: text("host"), days: text("days"), most: text("most"), errors: Vec::new() }
    }

    /// What is no number is refused as 0 is.
    fn settings(&self) -> PreviewSettings {
        let number = |text: &str| text.parse().unwrap_or_default();
        PreviewSettings { host: self.host.clone(), days: number(&self.days), most: number(&self.most) }
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|found| found.field == field).map(|found| found.message.as_str())
    }
}

#[derive(Template)]
#[template(path = "previews.html")]
struct PreviewsPage {
    frame: Frame,
    name: String,
    link: String,
    enabled: bool,
    /// Why the forge could not be asked, or what was wrong with what somebody wanted.
    alert: String,
    rows: Vec<PreviewRow>,
    form: PreviewForm,
}

fn row(shown: Shown) -> PreviewRow {
    let preview = shown.preview;
    // Until its newest commit is deployed, what came of an earlier one says nothing.
    let is_newest = preview.deployed.as_ref() == Some(&preview.commit);
    let status = shown.deployment.as_ref().map(|row| row.status).filter(|_| is_newest);
    let badge = match (preview.state, status) {
        (PreviewState::Live, _) if preview.error.is_some() => Badge { tone: Tone::Bad, word: "failed" },
        (PreviewState::Live, Some(DeploymentStatus::Successful)) => Badge { tone: Tone::Good, word: "shown" },
        (PreviewState::Live, Some(status)) if status.is_terminal() => {
            Badge { tone: Tone::Bad, word: "failed" }
        }
        (PreviewState::Live, _) => Badge { tone: Tone::Running, word: "begins" },
        (PreviewState::Ending, _) => Badge { tone: Tone::Running, word: "ends" },
        _ => Badge { tone: Tone::Stopped, word: "not shown" },
    };
    PreviewRow {
        number: preview.number,
        title: preview.title,
        url: preview.url,
        commit: short(&preview.commit),
        badge,
        why: preview.error.unwrap_or_else(|| preview.state.words().to_owned()),
        stack: shown.stack.unwrap_or_default(),
        address: shown.address.unwrap_or_default(),
        deployment: shown.deployment.map(|row| row.seq),
        expires: When::new(preview.expires_at),
    }
}

async fn page(app: &App, session: &Session, stack: &str, form: Option<PreviewForm>) -> Result<PreviewsPage> {
    let view = stack_view(app, stack).await?;
    let list = preview::preview_list(app, view.stack.id.as_str()).await?;
    let settings = list.watch.as_ref().map(|watch| watch.settings.clone()).unwrap_or_default();
    let link = stack_link(&view);
    Ok(PreviewsPage {
        frame: Frame::new(session, "stacks", "Pull requests")
            .crumb("/", "Stacks")
            .crumb(link.clone(), view.stack.name.clone()),
        name: view.stack.name,
        link,
        enabled: list.watch.is_some(),
        alert: list.watch.and_then(|watch| watch.error).unwrap_or_default(),
        rows: list.items.into_iter().map(row).collect(),
        form: form.unwrap_or_else(|| PreviewForm::of(&settings)),
    })
}

pub async fn list(State(app): State<App>, session: Session, Path(stack): Path<String>) -> PageResult {
    render(&page(&app, &session, &stack, None).await?)
}

pub async fn enable(
    State(app): State<App>,
    session: Session,
    Path(stack): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let mut form = PreviewForm::read(&Fields(fields));
    match preview::preview_enable(&app, &stack, form.settings()).await {
        Ok(_) => Ok(to(&previews_link(&app, &stack).await?)),
        Err(error @ Error::NotFound { .. }) => Err(error.into()),
        Err(error) => {
            let status = api::status(&error);
            let mut alert = String::new();
            match &error {
                Error::Invalid { field, .. } => {
                    form.errors.push(FieldError { field: field.clone(), message: error.to_string() });
                }
                other => alert = other.to_string(),
            }
            let shown = page(&app, &session, &stack, Some(form)).await?;
            render_with(status, &PreviewsPage { alert, ..shown })
        }
    }
}

pub async fn disable(State(app): State<App>, _: Session, Path(stack): Path<String>) -> PageResult {
    preview::preview_disable(&app, &stack).await?;
    Ok(to(&previews_link(&app, &stack).await?))
}

async fn previews_link(app: &App, stack: &str) -> Result<String> {
    Ok(format!("{}/previews", stack_link(&stack_view(app, stack).await?)))
}
