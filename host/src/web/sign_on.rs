//! Logging in through an OpenID provider: the way there, and the way back.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::page::{PageResult, render};
use super::session::{Peer, SameOrigin, address_of, failed_login, invitation_again, local_path, logged_in};
use super::ui::now;
use crate::api;
use crate::app::App;
use crate::app::audit::{Call, audit_settle, during, identify};
use crate::app::sign_on::{Invited, Returned, sign_on_begin, sign_on_finish};
use crate::domain::cookie;
use crate::error::{Error, Result};

/// Goes with the browser to the provider and back. `Lax`: the way back begins on another site.
const NAME: &str = "windlass_oidc";
const SECONDS: u32 = 600;

#[derive(Deserialize)]
pub struct BeginQuery {
    next: Option<String>,
}

pub async fn begin(State(app): State<App>, Query(query): Query<BeginQuery>) -> PageResult {
    let next = local_path(query.next.as_deref());
    match sign_on_begin(&app, next, None).await {
        Ok((url, cookie)) => {
            let mut response = Redirect::to(&url).into_response();
            set(&mut response, &app, &cookie, SECONDS)?;
            Ok(response)
        }
        Err(error @ (Error::NotFound { .. } | Error::Internal(_))) => Err(error.into()),
        Err(error) => failed_login(&app, next, &error),
    }
}

#[derive(Deserialize)]
pub struct InvitedForm {
    invitation: String,
    name: String,
}

/// The way on to the provider. A form's answer may not lead to another site (`form-action`), a page may.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={{ url }}"><title>Windlass</title><p><a href="{{ url }}">Go on</a>"#
)]
struct OnwardPage {
    url: String,
}

/// With an invitation to the provider: who comes back gets the account that was invited.
pub async fn invited(
    _: SameOrigin,
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    Form(form): Form<InvitedForm>,
) -> PageResult {
    let (address, name) = (address_of(&app, &headers, &peer), form.name.trim().to_owned());
    let begun = async {
        app.login_limits.check("", &address, now())?;
        let invited = Invited { secret: form.invitation.trim().to_owned(), name: name.clone() };
        sign_on_begin(&app, "/", Some(invited)).await
    };
    match begun.await {
        Ok((url, cookie)) => {
            let mut response = render(&OnwardPage { url })?;
            set(&mut response, &app, &cookie, SECONDS)?;
            Ok(response)
        }
        Err(error) => invitation_again(&app, &address, &name, error),
    }
}

#[derive(Deserialize)]
pub struct BackQuery {
    code: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

/// A log-in by an address that is only visited has an entry in the record like one by a form.
pub async fn back(
    State(app): State<App>,
    peer: Peer,
    headers: HeaderMap,
    Query(query): Query<BackQuery>,
) -> PageResult {
    let address = address_of(&app, &headers, &peer);
    let call = Call::new("login", "/login/oidc/callback", "dashboard", &address);
    let outcome = during(call.clone(), finish(&app, &headers, &query, &address)).await;
    let word = match &outcome {
        Ok(_) => "done",
        Err(error) if api::status(error).is_server_error() => "failed",
        Err(_) => "refused",
    };
    if let Err(error) = audit_settle(&app, &call, word).await {
        tracing::error!(error = %error.for_log(), "[@audit:record] a log-in has no entry in the record");
    }
    let mut response = match outcome {
        Ok((secret, next)) => logged_in(&app, local_path(Some(next.as_str())), &secret)?,
        Err(error @ (Error::NotFound { .. } | Error::Internal(_))) => return Err(error.into()),
        Err(error) => failed_login(&app, "/", &error)?,
    };
    // It counts once.
    set(&mut response, &app, "", 0)?;
    Ok(response)
}

async fn finish(
    app: &App,
    headers: &HeaderMap,
    query: &BackQuery,
    address: &str,
) -> Result<(String, String)> {
    app.login_limits.check("", address, now())?;
    let outcome = returned(app, headers, query, address).await;
    if let Err(error @ (Error::Unauthenticated(_) | Error::Forbidden(_))) = &outcome {
        app.login_limits.failed("", address, now());
        app.metrics.login("refused");
        identify("nobody", "");
        tracing::info!(address, error = %error.for_log(), "[@access:oidc] a log-in was refused");
    }
    outcome
}

async fn returned(
    app: &App,
    headers: &HeaderMap,
    query: &BackQuery,
    address: &str,
) -> Result<(String, String)> {
    if let Some(why) = &query.error {
        // RFC 6749, 4.1.2.1: a word of a closed set. Anybody can make a link with another one.
        let word: String = why.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(40).collect();
        return Err(Error::Unauthenticated(format!("the provider has refused the log-in: {word}")));
    }
    let (code, state) = (query.code.as_deref().unwrap_or(""), query.state.as_deref().unwrap_or(""));
    let cookie = cookie(headers).unwrap_or_default();
    let (session, next) = sign_on_finish(app, Returned { cookie: &cookie, state, code }, address).await?;
    Ok((session.secret, next))
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookie::find(texts, NAME).map(str::to_owned)
}

fn set(response: &mut Response, app: &App, value: &str, seconds: u32) -> Result<()> {
    let secure = if app.config.public_url().starts_with("https://") { "; Secure" } else { "" };
    let text = format!("{NAME}={value}; Path=/login/oidc; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    response.headers_mut().append(SET_COOKIE, HeaderValue::from_str(&text).map_err(Error::internal)?);
    Ok(())
}
