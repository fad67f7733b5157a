//! Deploy targets: how they are, and connecting, testing and removing them.

use askama::Template;
use axum::extract::{Form, Path, State};

use super::form::Fields;
use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stack_form::FieldError;
use super::ui::{Badge, Tone, When, duration};
use crate::api;
use crate::app::App;
use crate::app::target::{
    TargetInput, target_create, target_delete, target_list, target_stacks, target_test,
};
use crate::domain::target::{Target, TargetCredentials, TargetKind, TargetState};
use crate::error::{Error, Result};

struct TargetRow {
    seq: i64,
    name: String,
    kind: &'static str,
    address: String,
    /// Where the router reaches what runs there.
    routes: String,
    badge: Badge,
    answers_in: String,
    engine: String,
    checked: Option<When>,
    error: String,
    failing_since: Option<When>,
    stacks: Vec<String>,
}

impl TargetRow {
    fn new(row: Target, stacks: Vec<String>) -> Self {
        let health = row.health;
        let (tone, word) = match health.state() {
            TargetState::Unknown => (Tone::Waiting, "not asked yet"),
            TargetState::Reachable => (Tone::Good, "reachable"),
            TargetState::Unreachable => (Tone::Bad, "unreachable"),
        };
        let nodes =
            if health.nodes == 1 { "1 machine".to_owned() } else { format!("{} machines", health.nodes) };
        let engine = match health.version.as_str() {
            "" => String::new(),
            version => format!("Docker {version}, {}, {nodes}", health.platform),
        };
        Self {
            seq: row.seq,
            name: row.name,
            kind: row.kind.as_str(),
            address: row.address,
            routes: row.routes.map_or_else(|| "its nodes".to_owned(), |ip| ip.to_string()),
            badge: Badge { tone, word },
            answers_in: health.response_ms.map_or_else(|| "–".to_owned(), duration),
            engine,
            checked: health.checked_at.map(When::new),
            error: health.error.unwrap_or_default(),
            failing_since: health.failing_since.map(When::new),
            stacks,
        }
    }
}

/// What was typed, and what stands against it. Keys are not shown again.
#[derive(Default)]
struct TargetForm {
    name: String,
    swarm: bool,
    address: String,
    route_address: String,
    ca: String,
    certificate: String,
    key: String,
    errors: Vec<FieldError>,
}

impl TargetForm {
    fn read(fields: &Fields) -> Self {
        Self {
            name: fields.trimmed("name"),
            swarm: fields.ticked("swarm"),
            address: fields.trimmed("address"),
            route_address: fields.trimmed("route_address"),
            ca: fields.text("ca"),
            certificate: fields.text("certificate"),
            key: fields.text("key"),
            errors: Vec::new(),
        }
    }

    fn input(&self) -> Result<TargetInput> {
        let some = |text: &String| Some(text.clone()).filter(|text| !text.trim().is_empty());
        let route_address = match self.route_address.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                Error::invalid("routeAddress", format!("`{}` is not an IP address", text.escape_debug()))
            })?),
        };
        let credentials = TargetCredentials {
            ca: some(&self.ca),
            certificate: some(&self.certificate),
            key: self.key.clone(),
        };
        Ok(TargetInput {
            name: self.name.clone(),
            kind: if self.swarm { TargetKind::Swarm } else { TargetKind::Engine },
            address: self.address.clone(),
            route_address,
            credentials: Some(credentials),
        })
    }

    fn error(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|found| found.field == field).map(|found| found.message.as_str())
    }
}

#[derive(Template)]
#[template(path = "targets.html")]
struct TargetsPage {
    frame: Frame,
    local: String,
    alert: String,
    rows: Vec<TargetRow>,
    form: TargetForm,
}

async fn page(app: &App, session: &Session, form: TargetForm, alert: String) -> Result<TargetsPage> {
    let mut rows = Vec::new();
    for row in target_list(app).await? {
        let stacks = target_stacks(app, &row).await?;
        rows.push(TargetRow::new(row, stacks));
    }
    let frame = Frame::new(session, "targets", "Targets");
    Ok(TargetsPage { frame, local: app.docker.host().to_owned(), alert, rows, form })
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    render(&page(&app, &session, TargetForm::default(), String::new()).await?)
}

/// Connects it and asks it at once, so that the page says how it is.
pub async fn create(
    State(app): State<App>,
    session: Session,
    Form(fields): Form<Vec<(String, String)>>,
) -> PageResult {
    let mut form = TargetForm::read(&Fields(fields));
    let made = match form.input() {
        Ok(input) => target_create(&app, input).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(row) => {
            target_test(&app, row.id.as_str()).await?;
            Ok(to("/targets"))
        }
        Err(error @ (Error::Invalid { .. } | Error::Conflict(_))) => {
            let field = match &error {
                Error::Invalid { field, .. } => field.clone(),
                _ => "name".into(),
            };
            form.errors.push(FieldError { field, message: error.to_string() });
            render_with(api::status(&error), &page(&app, &session, form, String::new()).await?)
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn test(State(app): State<App>, _: Session, Path(key): Path<String>) -> PageResult {
    target_test(&app, &key).await?;
    Ok(to("/targets"))
}

pub async fn remove(State(app): State<App>, session: Session, Path(key): Path<String>) -> PageResult {
    match target_delete(&app, &key).await {
        Ok(()) => Ok(to("/targets")),
        Err(error @ Error::Conflict(_)) => {
            let shown = page(&app, &session, TargetForm::default(), error.to_string()).await?;
            render_with(api::status(&error), &shown)
        }
        Err(error) => Err(error.into()),
    }
}
