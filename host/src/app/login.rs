//! Logging in by name and password, and out again.

use super::access::Identity;
use super::second_factor::totp_take;
use super::token::{NewToken, session_create};
use super::{App, audit};
use crate::domain::access::Role;
use crate::domain::people::User;
use crate::error::{Error, Result};
use crate::store::{self, tokens, users};

const DAY_MS: i64 = 86_400_000;
/// Days that a session lasts, and that one which has ended is kept for whoever asks what happened.
pub const SESSION_DAYS: u32 = 30;
const KEPT_DAYS: i64 = 30;

/// What a person types.
pub struct Credentials {
    pub name: String,
    pub password: String,
    /// Of the authenticator app, or a recovery code.
    pub code: Option<String>,
}

/// Proves who somebody is, and makes a session for them. `address` is where the log-in comes from.
///
/// # Errors
/// `Unauthenticated` in the same words, and after the same time, whatever is wrong with name and password;
/// `Unauthenticated` asking for a code where one is missing; `RateLimited` after too many wrong ones.
pub async fn session_open(app: &App, given: Credentials, address: &str) -> Result<NewToken> {
    if !app.config.oidc.password_login {
        let text = "log-ins by password are switched off here; log in through the OpenID provider";
        return Err(Error::Forbidden(text.into()));
    }
    app.login_limits.check(&given.name, address, store::now())?;
    let outcome = prove(app, &given).await;
    if let Err(Error::Unauthenticated(_)) = &outcome {
        app.login_limits.failed(&given.name, address, store::now());
        app.metrics.login("refused");
        audit::identify("nobody", "");
        tracing::info!(address, "[@access:login] a log-in was refused");
    }
    session_for(app, &outcome?, address).await
}

/// A session for somebody who has proved who they are.
pub(super) async fn session_for(app: &App, user: &User, address: &str) -> Result<NewToken> {
    audit::identify("user", &user.name);
    let now = store::now();
    let session = session_create(app, &user.name, &user.id, now + i64::from(SESSION_DAYS) * DAY_MS).await?;
    let id = user.id.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                tokens::prune_sessions(tx, now - KEPT_DAYS * DAY_MS).await?;
                users::logged_in(tx, &id, now).await
            })
        })
        .await?;
    app.metrics.login("success");
    tracing::info!(user = %user.name, address, "[@access:login] logged in");
    Ok(session)
}

async fn prove(app: &App, given: &Credentials) -> Result<User> {
    let mut conn = app.db.read().await?;
    let user = users::find_opt(&mut conn, &given.name).await?;
    drop(conn);
    let user = user.filter(|user| user.disabled_at.is_none() && user.name == given.name);
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let is_right = app.passwords.is_right(given.password.clone(), hash).await?;
    let refused = || Error::Unauthenticated("name or password is not right".into());
    let user = user.filter(|_| is_right).ok_or_else(refused)?;
    if !user.totp_active {
        return Ok(user);
    }
    match given.code.as_deref().filter(|code| !code.trim().is_empty()) {
        None => Err(Error::Unauthenticated("a code of your authenticator app is needed as well".into())),
        Some(code) if totp_take(app, &user, code).await? => Ok(user),
        Some(_) => Err(Error::Unauthenticated("the code is not right, or was used already".into())),
    }
}

/// Ends the session; an API token goes on.
pub async fn session_close(app: &App, who: &Identity) -> Result<()> {
    if who.token.kind == crate::domain::token::TokenKind::Session {
        let id = who.token.id.clone();
        app.db.write(move |tx| Box::pin(async move { tokens::revoke(tx, &id, store::now()).await })).await?;
    }
    Ok(())
}

/// Gives oneself a new password. All other sessions end.
///
/// # Errors
/// `Invalid` if the current one is wrong or the new one no good.
pub async fn password_change(app: &App, who: &Identity, current: String, new: String) -> Result<()> {
    who.unlimited()?;
    app.login_limits.check(&who.user.name, "", store::now())?;
    // Whoever never had one has proved themselves by their token.
    if let Some(hash) = who.user.password_hash.clone()
        && !app.passwords.is_right(current, Some(hash)).await?
    {
        app.login_limits.failed(&who.user.name, "", store::now());
        return Err(Error::invalid("current", "the current password is not right"));
    }
    set(app, &who.user, new, Some(who)).await
}

/// Gives somebody else a new password, for those who have forgotten theirs. All their sessions end.
pub async fn password_reset(app: &App, who: &Identity, key: &str, new: String) -> Result<()> {
    who.unlimited()?;
    super::access::require(app, &who.rights, Role::Admin, crate::domain::access::Subject::Server, "").await?;
    let mut conn = app.db.read().await?;
    let user = users::find(&mut conn, key).await?;
    drop(conn);
    set(app, &user, new, None).await
}

async fn set(app: &App, user: &User, new: String, keep: Option<&Identity>) -> Result<()> {
    let hash = app.passwords.hash(new).await?;
    let (id, keep) = (user.id.clone(), keep.map(|who| who.token.id.clone()));
    app.db
        .write(move |tx| {
            Box::pin(async move {
                users::set_password(tx, &id, &hash).await?;
                tokens::revoke_sessions(tx, &id, keep.as_ref(), store::now()).await.map(|_| ())
            })
        })
        .await
}

/// A code of the second factor from somebody who is logged in.
///
/// # Errors
/// `Invalid` if it is not right, `RateLimited` after too many wrong ones.
pub async fn code_check(app: &App, user: &User, code: &str) -> Result<()> {
    app.login_limits.check(&user.name, "", store::now())?;
    if totp_take(app, user, code).await? {
        return Ok(());
    }
    app.login_limits.failed(&user.name, "", store::now());
    Err(Error::invalid("code", "the code is not right, or was used already"))
}
