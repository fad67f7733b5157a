//! The page after a webhook secret was rotated, which shows the new one once.

use askama::Template;
use axum::extract::{Form, Path, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::stack;
use super::stacks::stack_link;
use super::ui::When;
use crate::app::App;
use crate::app::stack::stack_view;
use crate::app::webhook_secret::webhook_secret_rotate;
use crate::error::Error;

#[derive(Deserialize)]
pub struct RotateForm {
    /// Seconds for which the previous secret counts.
    overlap: u32,
    /// The forge's own; empty to have one made.
    #[serde(default)]
    secret: String,
}

#[derive(Template)]
#[template(path = "webhook_rotated.html")]
struct RotatedPage {
    frame: Frame,
    name: String,
    link: String,
    url: String,
    secret: Option<String>,
    until: Option<When>,
    registered: bool,
}

/// The answer itself shows the secret: it is nowhere else to be read, so there is nothing to redirect to.
pub async fn rotate(
    State(app): State<App>,
    session: Session,
    Path(name): Path<String>,
    Form(form): Form<RotateForm>,
) -> PageResult {
    let given = Some(form.secret.trim()).filter(|secret| !secret.is_empty());
    let rotated = match webhook_secret_rotate(&app, &name, form.overlap, given).await {
        Ok(rotated) => rotated,
        Err(error @ Error::NotFound { .. }) => return Err(error.into()),
        Err(error) => return stack::again(&app, &session, &name, error).await,
    };
    let view = stack_view(&app, &name).await?;
    let link = stack_link(&view);
    let frame = Frame::new(&session, "stacks", "New webhook secret").crumb("/", "Stacks");
    render(&RotatedPage {
        frame: frame.crumb(link.clone(), view.stack.name.clone()),
        name: view.stack.name,
        link,
        url: rotated.url,
        secret: rotated.secret,
        until: rotated.previous_until.map(When::new),
        registered: rotated.registered,
    })
}
