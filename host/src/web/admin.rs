//! Tokens.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::page::{Frame, PageResult, render, render_with};
use super::session::Session;
use super::stack::to;
use super::stacks::PageQuery;
use super::ui::{Badge, Tone, When, now};
use crate::app::App;
use crate::app::token::{TokenInput, token_create as create, token_list, token_revoke as revoke};
use crate::domain::Id;
use crate::domain::access::Role;
use crate::domain::page::PageRequest;
use crate::domain::token::Token;
use crate::error::{Error, Result};

const DAY_MS: i64 = 86_400_000;

struct TokenRow {
    id: String,
    name: String,
    prefix: String,
    /// The most that it may do.
    role: &'static str,
    badge: Badge,
    is_valid: bool,
    /// The one that this page is shown with.
    is_own: bool,
    created: When,
    last_used: Option<When>,
    expires: Option<When>,
}

impl TokenRow {
    fn new(token: Token, own: &Id) -> Self {
        let is_valid = token.is_valid(now());
        let (tone, word) = match (is_valid, token.revoked_at) {
            (true, _) => (Tone::Good, "valid"),
            (false, Some(_)) => (Tone::Stopped, "revoked"),
            (false, None) => (Tone::Stopped, "expired"),
        };
        Self {
            is_own: token.id == *own,
            id: token.id.to_string(),
            name: token.name,
            prefix: token.prefix,
            role: token.limit.role.map_or("as its owner", Role::as_str),
            badge: Badge { tone, word },
            is_valid,
            created: When::new(token.created_at),
            last_used: token.last_used_at.map(When::new),
            expires: token.expires_at.map(When::new),
        }
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    rows: Vec<TokenRow>,
    next: Option<i64>,
    is_first: bool,
    /// The new token in the clear, shown in this one answer.
    secret: String,
    typed: TokenForm,
    error: String,
}

#[derive(Default, Deserialize)]
pub struct TokenForm {
    #[serde(default)]
    name: String,
    /// Days it is valid; empty for ever.
    #[serde(default)]
    days: String,
    /// The most that it may do; empty for as much as its owner.
    #[serde(default)]
    role: String,
}

pub async fn tokens(State(app): State<App>, session: Session, Query(query): Query<PageQuery>) -> PageResult {
    render(&tokens_page(&app, &session, query.before).await?)
}

async fn tokens_page(app: &App, session: &Session, before: Option<i64>) -> Result<TokensPage> {
    let page = token_list(app, PageRequest::new(before, None), &session.0.who).await?;
    let own = &session.0.token.id;
    Ok(TokensPage {
        frame: Frame::new(session, "tokens", "Tokens"),
        rows: page.items.into_iter().map(|token| TokenRow::new(token, own)).collect(),
        next: page.next,
        is_first: before.is_none(),
        secret: String::new(),
        typed: TokenForm::default(),
        error: String::new(),
    })
}

pub async fn token_create(
    State(app): State<App>,
    session: Session,
    Form(form): Form<TokenForm>,
) -> PageResult {
    let made = match expiry(&form.days) {
        Ok(expires_at) => {
            session.0.who.unlimited()?;
            let user = &session.0.who.user.id;
            let role = Role::parse(&form.role);
            let input = TokenInput { name: &form.name, user, expires_at, role, team: None, project: None };
            create(&app, &session.0.who, input).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(new) => {
            let page = TokensPage { secret: new.secret, ..tokens_page(&app, &session, None).await? };
            render_with(StatusCode::CREATED, &page)
        }
        Err(Error::Invalid { message, .. }) => {
            let page = TokensPage { error: message, typed: form, ..tokens_page(&app, &session, None).await? };
            render_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

fn expiry(days: &str) -> Result<Option<i64>> {
    let days = days.trim();
    if days.is_empty() {
        return Ok(None);
    }
    match days.parse::<i64>() {
        Ok(days @ 1..=3650) => Ok(Some(now() + days * DAY_MS)),
        _ => Err(Error::invalid(
            "days",
            "the number of days has to be between 1 and 3650; leave it empty for no end",
        )),
    }
}

/// Whoever revokes the token they are logged in with is led to the log-in by the redirect.
pub async fn token_revoke(State(app): State<App>, _: Session, Path(id): Path<String>) -> PageResult {
    revoke(&app, &Id::from_text(id)).await?;
    Ok(to("/tokens"))
}
