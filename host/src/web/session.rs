//! Logging in and out. The cookie is the API token itself: there is one kind of credential, and revoking it ends both.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use askama::Template;
use axum::Extension;
use axum::extract::{ConnectInfo, Form, FromRequestParts, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::page::{Frame, PageError, PageResult, render, render_with};
use crate::api::{self, Auth, COOKIE};
use crate::app::App;
use crate::app::token::token_authenticate;
use crate::error::Error;

/// Failed attempts an address may make within a window.
const ATTEMPTS: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at a time.
const MAX_ADDRESSES: usize = 10_000;
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
fn local_path(next: Option<&str>) -> &str {
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

/// Counts failed attempts by address; a correct token is never counted.
#[derive(Clone, Default)]
pub struct Limiter(Arc<Mutex<HashMap<IpAddr, (Instant, u32)>>>);

impl Limiter {
    fn is_blocked(&self, address: IpAddr) -> bool {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&address).is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= ATTEMPTS)
    }

    fn count_failure(&self, address: IpAddr) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ADDRESSES {
            entries.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        // Full of fresh entries: whoever has so many addresses is not slowed down by one more.
        if entries.len() >= MAX_ADDRESSES {
            entries.clear();
        }
        let entry = entries.entry(address).or_insert((Instant::now(), 0));
        if entry.0.elapsed() >= WINDOW {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    next: String,
    error: String,
}

#[derive(Deserialize)]
pub struct LoginQuery {
    next: Option<String>,
}

#[derive(Deserialize)]
pub struct LoginForm {
    token: String,
    next: Option<String>,
}

fn page(next: &str, error: impl Into<String>) -> LoginPage {
    LoginPage { frame: Frame::outside("Log in"), next: next.to_string(), error: error.into() }
}

pub async fn login_page(Query(query): Query<LoginQuery>, session: Result<Session, PageError>) -> PageResult {
    let next = local_path(query.next.as_deref());
    match session {
        Ok(_) => Ok(Redirect::to(next).into_response()),
        Err(PageError::FromElsewhere) => Err(PageError::FromElsewhere),
        Err(_) => render(&page(next, "")),
    }
}

pub async fn login(
    _: SameOrigin,
    State(app): State<App>,
    Extension(limiter): Extension<Limiter>,
    peer: Option<Extension<ConnectInfo<SocketAddr>>>,
    Form(form): Form<LoginForm>,
) -> PageResult {
    let next = local_path(form.next.as_deref());
    let address = peer.map_or(IpAddr::from([0, 0, 0, 0]), |Extension(ConnectInfo(peer))| peer.ip());
    if limiter.is_blocked(address) {
        let text = "Too many wrong tokens came from your address. Wait a minute, then try again.";
        return render_with(StatusCode::TOO_MANY_REQUESTS, &page(next, text));
    }
    let secret = form.token.trim();
    if secret.is_empty() {
        return render_with(StatusCode::UNPROCESSABLE_ENTITY, &page(next, "Paste a token first."));
    }
    match token_authenticate(&app, secret).await {
        Ok(token) => {
            tracing::info!(token = %token.name, "[@web:session] logged in");
            let mut response = Redirect::to(next).into_response();
            set_cookie(&mut response, &app, secret, COOKIE_DAYS * 86_400)?;
            Ok(response)
        }
        Err(Error::Unauthenticated(_)) => {
            limiter.count_failure(address);
            let text = "This token is not valid: it is mistyped, expired or revoked. Nothing was changed.";
            render_with(StatusCode::UNAUTHORIZED, &page(next, text))
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn logout(State(app): State<App>, _: Session) -> PageResult {
    let mut response = Redirect::to("/login").into_response();
    set_cookie(&mut response, &app, "", 0)?;
    Ok(response)
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

    #[test]
    fn ten_wrong_tokens_block_one_address_only() {
        let limiter = Limiter::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..ATTEMPTS {
            assert!(!limiter.is_blocked(one));
            limiter.count_failure(one);
        }
        assert!(limiter.is_blocked(one));
        assert!(!limiter.is_blocked(other));
    }
}
