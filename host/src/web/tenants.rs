//! Tenants: people and teams that have nothing to do with those of another one.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::page::{Frame, PageResult, render_with};
use super::session::Session;
use super::stack::to;
use super::ui::When;
use crate::api;
use crate::app::App;
use crate::app::people::tenants;
use crate::domain::people::{DEFAULT_ID, Tenant};
use crate::error::{Error, Result};

struct TenantRow {
    id: String,
    name: String,
    teams: i64,
    people: i64,
    made: When,
    /// It is not the first one, and nobody is in it.
    is_removable: bool,
}

impl From<Tenant> for TenantRow {
    fn from(row: Tenant) -> Self {
        Self {
            is_removable: row.id.as_str() != DEFAULT_ID && row.teams == 0 && row.people == 0,
            id: row.id.to_string(),
            name: row.name,
            teams: row.teams,
            people: row.people,
            made: When::new(row.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct TenantsPage {
    frame: Frame,
    rows: Vec<TenantRow>,
    error: String,
}

async fn page(app: &App, session: &Session, error: Option<&Error>) -> PageResult {
    let status = error.map_or(StatusCode::OK, api::status);
    let page = TenantsPage {
        frame: Frame::new(session, "people", "Tenants").crumb("/people", "People"),
        rows: tenants::tenant_list(app).await?.into_iter().map(TenantRow::from).collect(),
        error: error.map(Error::to_string).unwrap_or_default(),
    };
    render_with(status, &page)
}

/// The page again, with what went wrong where something did.
async fn answered<T>(app: &App, session: &Session, outcome: Result<T>) -> PageResult {
    match outcome {
        Ok(_) => Ok(to_tenants()),
        Err(Error::Internal(detail)) => Err(Error::Internal(detail).into()),
        Err(error) => page(app, session, Some(&error)).await,
    }
}

fn to_tenants() -> Response {
    to("/people/tenants")
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    page(&app, &session, None).await
}

#[derive(Deserialize)]
pub struct TenantForm {
    name: String,
}

pub async fn create(State(app): State<App>, session: Session, Form(form): Form<TenantForm>) -> PageResult {
    let made = tenants::tenant_create(&app, form.name.trim()).await;
    answered(&app, &session, made).await
}

pub async fn rename(
    State(app): State<App>,
    session: Session,
    Path(tenant): Path<String>,
    Form(form): Form<TenantForm>,
) -> PageResult {
    let renamed = tenants::tenant_rename(&app, &tenant, form.name.trim()).await;
    answered(&app, &session, renamed).await
}

pub async fn delete(State(app): State<App>, session: Session, Path(tenant): Path<String>) -> PageResult {
    let removed = tenants::tenant_delete(&app, &tenant).await;
    answered(&app, &session, removed).await
}
