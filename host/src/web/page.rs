//! What all pages share: the frame, the answer's headers, and errors as pages.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::assets::{ICON, SCRIPT, STYLE};
use super::session::Session;
use crate::api;
use crate::domain::access::Role;
use crate::error::Error;

/// Nothing but our own files; no inline script or style, no foreign frame, no form that leads elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What pages have no use for, and so nothing in them may use.
const ABILITIES: &str =
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), serial=(), usb=()";

/// The frame around a page.
pub struct Frame {
    pub title: String,
    /// Which entry of the navigation is current.
    pub section: &'static str,
    /// Where this page is, from the outside in: link and name.
    pub crumbs: Vec<(String, String)>,
    /// The token's name; empty when nobody is logged in.
    pub user: String,
    /// Whether the pages about the installation are theirs.
    pub is_admin: bool,
    /// Theirs where the thing is that the page is about; what it takes a stronger one for is not shown.
    role: Role,
    /// Whether entries of the record are theirs to see.
    pub sees_record: bool,
    pub style: &'static str,
    pub script: &'static str,
    pub icon: &'static str,
}

/// An entry of the navigation: where it leads, its word, and the section of the pages behind it.
type Entry = (&'static str, &'static str, &'static str);

/// What people come for every day.
const EVERYDAY: &[Entry] = &[
    ("/", "Home", "stacks"),
    ("/deployments", "Deployments", "deployments"),
    ("/webhooks", "Deliveries", "webhooks"),
    ("/templates", "Templates", "templates"),
];

/// What is set up once: about the installation, for its administrators, and about everything else.
const INSTALLATION: &[Entry] = &[
    ("/targets", "Targets", "targets"),
    ("/registries", "Registries", "registries"),
    ("/hosts", "Host keys", "hosts"),
    ("/backups", "Backups", "backups"),
    ("/security", "Security", "security"),
    ("/tasks", "Tasks", "tasks"),
];
/// For whoever administers a team as well.
const RECORD: &[Entry] = &[("/audit", "Record", "audit")];
const SETTINGS: &[Entry] = &[
    ("/providers", "Providers", "providers"),
    ("/plugins", "Plugins", "plugins"),
    ("/notifications", "Notifications", "notifications"),
    ("/people", "People", "people"),
    ("/tokens", "Tokens", "tokens"),
    ("/status", "Status", "status"),
];

impl Frame {
    pub fn everyday(&self) -> &'static [Entry] {
        EVERYDAY
    }

    pub fn settings(&self) -> impl Iterator<Item = &'static Entry> {
        let record = RECORD.iter().filter(|_| self.sees_record);
        INSTALLATION.iter().filter(|_| self.is_admin).chain(record).chain(SETTINGS)
    }

    pub fn is_in_settings(&self) -> bool {
        self.settings().any(|(_, _, section)| *section == self.section)
    }

    pub fn new(session: &Session, section: &'static str, title: impl Into<String>) -> Self {
        let (user, rights) = (session.0.token.name.clone(), &session.0.who.rights);
        let is_admin = rights.is_server_admin();
        let sees_record = is_admin || !rights.admin_teams().is_empty() || !rights.admin_projects().is_empty();
        Self { user, is_admin, role: session.0.role, sees_record, section, ..Self::outside(title) }
    }

    /// For people who are not logged in.
    pub fn outside(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section: "",
            crumbs: Vec::new(),
            user: String::new(),
            is_admin: false,
            role: Role::Viewer,
            sees_record: false,
            style: &STYLE.path,
            script: &SCRIPT.path,
            icon: &ICON.path,
        }
    }

    pub fn develops(&self) -> bool {
        self.role >= Role::Developer
    }

    pub fn deploys(&self) -> bool {
        self.role >= Role::Deployer
    }

    pub fn administers(&self) -> bool {
        self.role >= Role::Admin
    }

    pub fn crumb(mut self, link: impl Into<String>, name: impl Into<String>) -> Self {
        self.crumbs.push((link.into(), name.into()));
        self
    }
}

pub type PageResult = Result<Response, PageError>;

pub fn render(template: &impl Template) -> PageResult {
    render_with(StatusCode::OK, template)
}

pub fn render_with(status: StatusCode, template: &impl Template) -> PageResult {
    let html = template.render().map_err(Error::internal)?;
    Ok((status, Html(html)).into_response())
}

/// An error on its way to a person.
#[derive(Debug)]
pub enum PageError {
    /// Nobody is logged in; the path to come back to.
    LoggedOut(String),
    /// A request that a link on another site started. The cookie is not sent with it, but with the reload it is.
    FromElsewhere,
    Failed(Error),
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    heading: &'static str,
    message: String,
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Windlass</title>"#
)]
struct ReloadPage;

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let error = match self {
            Self::LoggedOut(next) => return Redirect::to(&super::session::login_path(&next)).into_response(),
            Self::FromElsewhere => return Html(ReloadPage.to_string()).into_response(),
            Self::Failed(error) => error,
        };
        let status = api::status(&error);
        if status.is_server_error() {
            tracing::warn!(code = error.code(), error = %error.for_log(), "[@web:error] a page failed");
        }
        let heading = match status {
            StatusCode::NOT_FOUND => "There is nothing here",
            StatusCode::FORBIDDEN => "That is not allowed",
            StatusCode::CONFLICT => "That does not work right now",
            status if status.is_server_error() => "Something did not work",
            _ => "That request was not understood",
        };
        let page = ErrorPage { frame: Frame::outside(heading), heading, message: error.to_string() };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(_) => (status, heading).into_response(),
        }
    }
}

/// Headers of every page. Pages show what is secret to others, so nobody may keep them.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("permissions-policy"), HeaderValue::from_static(ABILITIES));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
