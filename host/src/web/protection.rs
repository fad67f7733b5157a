//! What deployments of a stack have to wait for: seen by everybody, changed by an administrator of its project.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;

use super::form::{Fields, lines};
use super::page::{Frame, PageResult, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::stack_link;
use super::ui::{Badge, Tone, now};
use crate::api;
use crate::app::App;
use crate::app::access::require;
use crate::app::protection::{protection_put, protection_view};
use crate::app::stack::stack_view;
use crate::domain::access::{Role, Subject};
use crate::domain::protection::{Protection, Window};
use crate::error::{Error, Result};

/// What was typed, so that nothing is lost to a mistake elsewhere.
struct Typed {
    approvals: String,
    self_approval: bool,
    windows: String,
    freeze: String,
    previews: bool,
}

impl From<&Protection> for Typed {
    fn from(now: &Protection) -> Self {
        Self {
            approvals: now.approvals.to_string(),
            self_approval: now.self_approval,
            windows: now.windows.iter().map(|window| format!("{window}\n")).collect(),
            freeze: now.freeze.clone().unwrap_or_default(),
            previews: now.previews,
        }
    }
}

impl Typed {
    fn of(fields: &Fields) -> Self {
        Self {
            approvals: fields.trimmed("approvals"),
            self_approval: fields.ticked("self_approval"),
            windows: fields.text("windows"),
            freeze: fields.trimmed("freeze"),
            previews: fields.ticked("previews"),
        }
    }

    fn read(&self) -> Result<Protection> {
        let wrong = || Error::invalid("approvals", "say how many people, as a number");
        let windows: Result<Vec<Window>> =
            lines(&self.windows).iter().map(|line| Window::parse(line)).collect();
        Ok(Protection {
            approvals: if self.approvals.is_empty() {
                0
            } else {
                self.approvals.parse().map_err(|_| wrong())?
            },
            self_approval: self.self_approval,
            windows: windows?,
            freeze: Some(self.freeze.clone()).filter(|text| !text.is_empty()),
            previews: self.previews,
        })
    }
}

#[derive(Template)]
#[template(path = "protection.html")]
struct ProtectionPage {
    frame: Frame,
    name: String,
    link: String,
    badge: Badge,
    /// Why nothing may begin now; empty if it may.
    obstacle: String,
    typed: Typed,
    may_change: bool,
    field: String,
    error: String,
}

impl ProtectionPage {
    /// What stands against a field, in the form that the shared components ask for.
    fn error(&self, field: &str) -> Option<&str> {
        (self.field == field).then_some(self.error.as_str())
    }
}

async fn page(app: &App, session: &Session, name: &str, typed: Option<(Typed, Error)>) -> PageResult {
    let view = stack_view(app, name).await?;
    let protection = protection_view(app, name).await?;
    let obstacle = protection.obstacle(now()).unwrap_or_default();
    let (tone, word) = match (&protection, obstacle.is_empty()) {
        (_, false) => (Tone::Waiting, "deployments wait"),
        (none, true) if *none == Protection::default() => (Tone::Stopped, "not protected"),
        _ => (Tone::Good, "protected"),
    };
    let status = typed.as_ref().map_or(StatusCode::OK, |(_, error)| api::status(error));
    let (field, error) = match &typed {
        Some((_, Error::Invalid { field, message })) => (field_of(field), message.clone()),
        Some((_, other)) => (String::new(), other.to_string()),
        None => (String::new(), String::new()),
    };
    let link = stack_link(&view);
    let frame = Frame::new(session, "stacks", "Protection").crumb("/", "Stacks");
    render_with(
        status,
        &ProtectionPage {
            frame: frame.crumb(link.clone(), view.stack.name.clone()),
            may_change: may_change(app, session, name).await,
            typed: typed.map_or_else(|| Typed::from(&protection), |(typed, _)| typed),
            name: view.stack.name,
            badge: Badge { tone, word },
            link,
            obstacle,
            field,
            error,
        },
    )
}

/// `windows.from` stands at the field of all windows.
fn field_of(field: &str) -> String {
    field.split('.').next().unwrap_or(field).to_owned()
}

async fn may_change(app: &App, session: &Session, name: &str) -> bool {
    require(app, &session.0.who.rights, Role::Admin, Subject::Stack, name).await.is_ok()
}

pub async fn show(State(app): State<App>, session: Session, Path(name): Path<String>) -> PageResult {
    page(&app, &session, &name, None).await
}

pub async fn update(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let typed = Typed::of(&Fields(fields));
    let outcome = match typed.read() {
        Ok(new) => protection_put(&app, &name, new, &session.0.who).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {
            let view = stack_view(&app, &name).await?;
            Ok(to(&format!("{}/protection", stack_link(&view))))
        }
        Err(error @ Error::Invalid { .. }) => page(&app, &session, &name, Some((typed, error))).await,
        Err(error) => Err(error.into()),
    }
}
