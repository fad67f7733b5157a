//! The badge of a stack: shown to everybody who knows its address, or to nobody.

use axum::extract::{Form, Path, State};
use serde::Deserialize;

use super::page::PageResult;
use super::session::Session;
use super::stack::to;
use super::stacks::stack_link;
use crate::app::App;
use crate::app::badge::{badge_create, badge_delete};
use crate::app::stack::stack_view;

#[derive(Deserialize)]
pub struct BadgeForm {
    /// Whether there is to be one.
    #[serde(default)]
    public: bool,
}

pub async fn switch(
    State(app): State<App>,
    _: Session,
    Path(name): Path<String>,
    Form(form): Form<BadgeForm>,
) -> PageResult {
    let view = stack_view(&app, &name).await?;
    match form.public {
        true => drop(badge_create(&app, &name).await?),
        false => badge_delete(&app, &name).await?,
    }
    Ok(to(&stack_link(&view)))
}
