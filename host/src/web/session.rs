//! Logging in and out. The cookie is a session of a person, or the API token that somebody pasted: then revoking it ends
//! both.

use std::net::SocketAddr;

use askama::Template;
use axum::Extension;
use axum::extract::{ConnectInfo, Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::page::{Frame, PageError, PageResult, render, render_with};
use super::ui::now;
use crate::api::{self, Auth, COOKIE};
use crate::app::access::authenticate;
use crate::app::login::{Credentials, SESSION_DAYS, session_close, session_open};
use crate::app::people::invitations::invitation_accept;
use crate::app::sign_on::sign_on_label;
use crate::app::{App, audit};
use crate::error::Error;

const COOKIE_DAYS: u32 = 30;

/// A person who is logged in. Without one, a page leads to the log-in and back.
pub struct Session(pub Auth);

impl FromRequestParts<App> for Session {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PageError> {
        match Auth::from_request_parts(parts, app).await {
            Ok(auth) => Ok(Self(auth)),
            Err(rejection) => Err(match rejection.0 {
                Error::Unauthenticated(_) if came_from_elsewhere(parts) => PageError::FromElsewhere,
                Error::Unauthenticated(_) => PageError::LoggedOut(next_of(parts)),
                other => PageError::Failed(other),
            }),
        }
    }
}

/// A form that one of our own pages sent. Those who are logged in are checked by `Auth`; this is for the log-in itself.
pub struct SameOrigin;

impl<S: Sync> FromRequestParts<S> for SameOrigin {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        api::same_origin(parts).map(|()| Self).map_err(|rejection| PageError::Failed(rejection.0))
    }
}

/// Browsers leave a strict cookie out of what a link on another site starts (Fetch Metadata tells which that is).
fn came_from_elsewhere(parts: &Parts) -> bool {
    parts.method.is_safe()
        && parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
        && parts.headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
}

fn next_of(parts: &Parts) -> String {
    let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if parts.method.is_safe() { wanted.to_string() } else { "/".to_string() }
}

pub fn login_path(next: &str) -> String {
    if next == "/" { "/login".into() } else { format!("/login?next={}", percent_encoded(next)) }
}

fn sign_on_path(next: &str) -> String {
    if next == "/" { "/login/oidc".into() } else { format!("/login/oidc?next={}", percent_encoded(next)) }
}

/// Everything but what is plain in a query (RFC 3986, unreserved) is encoded.
fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Only a path on this server: not `//host`, not `/\host`, nothing with a scheme, nothing a browser would strip.
pub fn local_path(next: Option<&str>) -> &str {
    match next {
        Some(path)
            if path.starts_with('/')
                && !path.starts_with("//")
                && !path.contains('\\')
                && path.bytes().all(|byte| (0x21..0x7f).contains(&byte)) =>
        {
            path
        }
        _ => "/",
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    /// About the token.
    error: String,
    name: String,
    /// About name and password.
    name_error: String,
    /// Label and address of the button that leads to the OpenID provider, and why it did not work.
    sign_on: Option<(String, String)>,
    sign_on_error: String,
    has_passwords: bool,
}

#[derive(Deserialize)]
pub struct LoginQuery {
    next: Option<String>,
}

/// A token, or name and password, with a code where there is a second factor.
#[derive(Deserialize)]
pub struct LoginForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: String,
    code: Option<String>,
    next: Option<String>,
}

fn page(app: &App, next: &str) -> LoginPage {
    let (name, name_error) = (String::new(), String::new());
    LoginPage {
        frame: Frame::outside("Log in"),
        next: next.to_string(),
        error: String::new(),
        name,
        name_error,
        sign_on: sign_on_label(app).map(|label| (label.to_owned(), sign_on_path(next))),
        sign_on_error: String::new(),
        has_passwords: app.config.oidc.password_login,
    }
}

pub async fn login_page(
    State(app): State<App>,
    Query(query): Query<LoginQuery>,
    session: Result<Session, PageError>,
) -> PageResult {
    let next = local_path(query.next.as_deref());
    match session {
        Ok(_) => Ok(Redirect::to(next).into_response()),
        Err(PageError::FromElsewhere) => Err(PageError::FromElsewhere),
        Err(_) => render(&page(&app, next)),
    }
}

/// Who is connected, if the server knows.
pub type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

pub fn address_of(app: &App, headers: &HeaderMap, peer: &Peer) -> String {
    api::client_address(app, headers, peer.as_ref().map(|Extension(ConnectInfo(peer))| peer))
}

pub async fn login(
    _: SameOrigin,
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> PageResult {
    let address = address_of(&app, &headers, &peer);
    let next = form.next.clone();
    let next = local_path(next.as_deref());
    let name = form.name.trim().to_owned();
    let outcome = if name.is_empty() {
        by_token(&app, &form, &address).await
    } else {
        by_password(&app, form, &address).await
    };
    match outcome {
        Ok((secret, days)) => {
            let mut response = Redirect::to(next).into_response();
            set_cookie(&mut response, &app, &secret, days * 86_400)?;
            Ok(response)
        }
        Err(
            error @ (Error::Unauthenticated(_)
            | Error::RateLimited { .. }
            | Error::Forbidden(_)
            | Error::Invalid { .. }
            | Error::Unavailable(_)),
        ) => {
            let mut page = page(&app, next);
            let text = match &error {
                Error::RateLimited { .. } => {
                    "Too many wrong log-ins. Wait a minute, then try again.".to_owned()
                }
                other => capital(&other.to_string()),
            };
            if name.is_empty() {
                page.error = text
            } else {
                (page.name, page.name_error) = (name, text)
            }
            render_with(api::status(&error), &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// The log-in page with why the provider's way did not lead in.
pub fn failed_login(app: &App, next: &str, error: &Error) -> PageResult {
    let page = LoginPage { sign_on_error: capital(&error.to_string()), ..page(app, next) };
    render_with(api::status(error), &page)
}

/// The way to where somebody wanted to go, with their session.
pub fn logged_in(app: &App, next: &str, secret: &str) -> Result<Response, Error> {
    let mut response = Redirect::to(next).into_response();
    set_cookie(&mut response, app, secret, SESSION_DAYS * 86_400)?;
    Ok(response)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

/// A token goes on being the session: revoking it ends both.
async fn by_token(app: &App, form: &LoginForm, address: &str) -> Result<(String, u32), Error> {
    let secret = form.token.trim();
    app.login_limits.check("", address, now())?;
    if secret.is_empty() {
        return Err(Error::invalid("token", "paste a token first"));
    }
    match authenticate(app, secret).await {
        Ok(who) => {
            who.acts();
            tracing::info!(user = %who.user.name, token = %who.token.name, "[@web:session] logged in");
            Ok((secret.to_owned(), COOKIE_DAYS))
        }
        Err(Error::Unauthenticated(_)) => {
            app.login_limits.failed("", address, now());
            audit::identify("nobody", "");
            let text = "this token is not valid: it is mistyped, expired or revoked. Nothing was changed";
            Err(Error::Unauthenticated(text.into()))
        }
        Err(error) => Err(error),
    }
}

async fn by_password(app: &App, form: LoginForm, address: &str) -> Result<(String, u32), Error> {
    let LoginForm { name, password, code, .. } = form;
    let credentials = Credentials { name: name.trim().to_owned(), password, code };
    Ok((session_open(app, credentials, address).await?.secret, SESSION_DAYS))
}

pub async fn logout(State(app): State<App>, session: Session) -> PageResult {
    session_close(&app, &session.0.who).await?;
    let mut response = Redirect::to("/login").into_response();
    set_cookie(&mut response, &app, "", 0)?;
    Ok(response)
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationPage {
    frame: Frame,
    name: String,
    error: String,
    /// Label of the way through the OpenID provider, if there is one.
    sign_on: Option<String>,
    has_passwords: bool,
}

/// The form once more, with why it did not do. Who guesses invitations is slowed down like one who guesses passwords.
///
/// # Errors
/// What went wrong, if it is not the visitor's fault.
pub fn invitation_again(app: &App, address: &str, name: &str, error: Error) -> PageResult {
    match error {
        Error::Internal(_) => return Err(error.into()),
        Error::NotFound { .. } => app.login_limits.failed("", address, now()),
        _ => {}
    }
    let page =
        InvitationPage { name: name.to_owned(), error: capital(&error.to_string()), ..invitation_form(app) };
    render_with(api::status(&error), &page)
}

fn invitation_form(app: &App) -> InvitationPage {
    InvitationPage {
        frame: Frame::outside("Invitation"),
        name: String::new(),
        error: String::new(),
        sign_on: sign_on_label(app).map(str::to_owned),
        has_passwords: app.config.oidc.password_login,
    }
}

#[derive(Deserialize)]
pub struct InvitationForm {
    invitation: String,
    name: String,
    password: String,
}

pub async fn invitation_page(State(app): State<App>) -> PageResult {
    render(&invitation_form(&app))
}

/// Makes the account that was invited, and logs its owner in.
pub async fn invitation(
    _: SameOrigin,
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<InvitationForm>,
) -> PageResult {
    let address = address_of(&app, &headers, &peer);
    let name = form.name.trim().to_owned();
    let made = async {
        app.login_limits.check("", &address, now())?;
        invitation_accept(&app, form.invitation.trim(), &name, form.password.clone()).await?;
        let credentials = Credentials { name: name.clone(), password: form.password.clone(), code: None };
        session_open(&app, credentials, &address).await
    };
    match made.await {
        Ok(session) => {
            let mut response = Redirect::to("/").into_response();
            set_cookie(&mut response, &app, &session.secret, SESSION_DAYS * 86_400)?;
            Ok(response)
        }
        Err(error) => invitation_again(&app, &address, &name, error),
    }
}

fn set_cookie(response: &mut Response, app: &App, value: &str, seconds: u32) -> Result<(), Error> {
    let secure = if app.config.public_url().starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    // RFC 6265, cookie-octet. Only a token that an operator made up could have other characters.
    let fits =
        value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'));
    let unfit =
        || Error::invalid("token", "this token has characters that a browser cannot keep; make another one");
    let value = HeaderValue::from_str(&text).ok().filter(|_| fits).ok_or_else(unfit)?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_on_this_server_are_gone_to_after_logging_in() {
        for bad in [
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "evil",
            "",
            "/a\nb",
            "/\t/evil.example",
        ] {
            assert_eq!(local_path(Some(bad)), "/", "{bad:?}");
        }
        assert_eq!(local_path(Some("/stacks/web?before=3")), "/stacks/web?before=3");
        assert_eq!(login_path("/a?b=c&d"), "/login?next=/a%3Fb%3Dc%26d");
    }
}
