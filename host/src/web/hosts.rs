//! The ssh host keys of git servers and deploy targets that this server trusts, and forgetting one.

use askama::Template;
use axum::extract::{Form, State};
use serde::Deserialize;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::stack::to;
use crate::app::{App, host_key};
use crate::domain::code::{HostPurpose, KnownHost};

#[derive(Template)]
#[template(path = "hosts.html")]
struct HostsPage {
    frame: Frame,
    rows: Vec<KnownHost>,
}

#[derive(Deserialize)]
pub struct ForgetForm {
    host: String,
    purpose: Option<HostPurpose>,
}

pub async fn list(State(app): State<App>, session: Session) -> PageResult {
    let rows = host_key::host_list(&app).await?;
    render(&HostsPage { frame: Frame::new(&session, "hosts", "Host keys"), rows })
}

pub async fn forget(State(app): State<App>, _: Session, Form(form): Form<ForgetForm>) -> PageResult {
    host_key::host_forget(&app, &form.host, form.purpose).await?;
    Ok(to("/hosts"))
}
