//! API tokens: random, shown once, stored as a hash.

use sha2::{Digest, Sha256};

use super::App;
use super::vault::random;
use crate::domain::page::{Page, PageRequest};
use crate::domain::token::Token;
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, tokens};

/// Lets secret scanners and people recognise one.
const PREFIX: &str = "wl_";
const ADMIN: &str = "admin";

/// A token in the clear, to be shown once.
#[derive(Debug)]
pub struct NewToken {
    pub token: Token,
    pub secret: String,
}

pub async fn token_create(app: &App, name: &str, expires_at: Option<UnixMs>) -> Result<NewToken> {
    let name = name.trim();
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "a token needs a name of 1 to 100 characters, so that it can be recognised later",
        ));
    }
    let secret = format!("{PREFIX}{}", hex::encode(random::<32>()?));
    let token = insert(app, name, &secret, expires_at).await?;
    Ok(NewToken { token, secret })
}

async fn insert(app: &App, name: &str, secret: &str, expires_at: Option<UnixMs>) -> Result<Token> {
    let token = Token {
        id: store::new_id(),
        seq: 0,
        name: name.to_string(),
        prefix: secret.chars().take(8).collect(),
        hash: hash(secret),
        created_at: store::now(),
        last_used_at: None,
        expires_at,
        revoked_at: None,
    };
    app.db.write(move |tx| Box::pin(async move { tokens::insert(tx, token).await })).await
}

/// Makes sure that somebody can log in: the configured token, or a fresh one when there is none at all.
///
/// Returns the fresh one's secret, to be printed once.
pub async fn token_bootstrap(app: &App, configured: Option<&str>) -> Result<Option<String>> {
    if let Some(secret) = configured {
        if secret.len() < 16 {
            return Err(Error::invalid(
                "WINDLASS_ADMIN_TOKEN",
                "WINDLASS_ADMIN_TOKEN has to have at least 16 characters",
            ));
        }
        let mut conn = app.db.read().await?;
        if tokens::by_hash(&mut conn, &hash(secret)).await?.is_none() {
            drop(conn);
            insert(app, ADMIN, secret, None).await?;
        }
        return Ok(None);
    }
    let mut conn = app.db.read().await?;
    if !tokens::list(&mut conn, PageRequest::first(1)).await?.items.is_empty() {
        return Ok(None);
    }
    drop(conn);
    Ok(Some(token_create(app, ADMIN, None).await?.secret))
}

/// Who a secret belongs to. The look-up is by hash, so its time says nothing about any stored secret.
pub async fn token_authenticate(app: &App, secret: &str) -> Result<Token> {
    let refused = || {
        Error::Unauthenticated("the token is not valid; pass one as `Authorization: Bearer <token>`".into())
    };
    if secret.is_empty() || secret.len() > 512 {
        return Err(refused());
    }
    let now = store::now();
    let mut conn = app.db.read().await?;
    let token = tokens::by_hash(&mut conn, &hash(secret))
        .await?
        .filter(|token| token.is_valid(now))
        .ok_or_else(refused)?;
    drop(conn);
    if tokens::is_touch_due(&token, now) {
        let id = token.id.clone();
        app.db.write(move |tx| Box::pin(async move { tokens::touch_used(tx, &id, now).await })).await?;
    }
    Ok(token)
}

pub async fn token_list(app: &App, page: PageRequest) -> Result<Page<Token>> {
    let mut conn = app.db.read().await?;
    tokens::list(&mut conn, page).await
}

pub async fn token_revoke(app: &App, id: &Id) -> Result<()> {
    let id = id.clone();
    app.db.write(move |tx| Box::pin(async move { tokens::revoke(tx, &id, store::now()).await })).await
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}
