//! Registries of images: what is known, adding one, and trying whether it works.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::PageQuery;
use super::ui::When;
use crate::app::App;
use crate::app::registry;
use crate::domain::page::PageRequest;
use crate::domain::registry::{Registry, RegistryInput};
use crate::error::{Error, Result};

struct RegistryRow {
    id: String,
    name: String,
    address: String,
    username: String,
    changed: When,
}

impl From<Registry> for RegistryRow {
    fn from(row: Registry) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            address: row.address,
            username: row.username,
            changed: When::new(row.updated_at),
        }
    }
}

#[derive(Default, Deserialize)]
pub struct RegistryForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

#[derive(Template)]
#[template(path = "registries.html")]
struct RegistriesPage {
    frame: Frame,
    rows: Vec<RegistryRow>,
    next: Option<i64>,
    is_first: bool,
    typed: RegistryForm,
    error: String,
    /// What a test has shown: whether it works, and the words for it.
    tried: Option<(bool, String)>,
}

pub async fn list(State(app): State<App>, session: Session, Query(query): Query<PageQuery>) -> PageResult {
    render(&page(&app, &session, query.before).await?)
}

async fn page(app: &App, session: &Session, before: Option<i64>) -> Result<RegistriesPage> {
    let page = registry::registry_list(app, PageRequest::new(before, None)).await?;
    Ok(RegistriesPage {
        frame: Frame::new(session, "registries", "Registries"),
        rows: page.items.into_iter().map(RegistryRow::from).collect(),
        next: page.next,
        is_first: before.is_none(),
        typed: RegistryForm::default(),
        error: String::new(),
        tried: None,
    })
}

pub async fn create(State(app): State<App>, session: Session, Form(form): Form<RegistryForm>) -> PageResult {
    let input = RegistryInput {
        name: form.name.trim().to_string(),
        address: form.address.trim().to_string(),
        username: form.username.trim().to_string(),
        password: Some(form.password.clone()).filter(|text| !text.is_empty()),
    };
    match registry::registry_create(&app, input).await {
        Ok(_) => Ok(to("/registries")),
        Err(error @ (Error::Invalid { .. } | Error::Conflict(_))) => {
            // The password has to be typed again: it is in no page.
            let typed = RegistryForm { password: String::new(), ..form };
            let page =
                RegistriesPage { error: error.to_string(), typed, ..page(&app, &session, None).await? };
            render_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn test(State(app): State<App>, session: Session, Path(id): Path<String>) -> PageResult {
    let row = registry::registry_view(&app, &id).await?;
    let tried = match registry::registry_test(&app, &id, None).await {
        Ok(()) => (true, format!("{} answers, and takes the log-in.", row.name)),
        Err(error) => (false, format!("{} does not work: {error}", row.name)),
    };
    render(&RegistriesPage { tried: Some(tried), ..page(&app, &session, None).await? })
}

pub async fn delete(State(app): State<App>, _: Session, Path(id): Path<String>) -> PageResult {
    registry::registry_delete(&app, &id).await?;
    Ok(to("/registries"))
}
