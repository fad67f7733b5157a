//! Tokens: random, shown once, stored as a hash. A session is a token too; logging in makes it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::App;
use super::access::{Identity, require};
use super::people::people_bootstrap;
use super::vault::random;
use crate::domain::access::{Limit, Owner, Role, Subject};
use crate::domain::page::{Page, PageRequest};
use crate::domain::token::{Token, TokenKind};
use crate::domain::{Id, UnixMs};
use crate::error::{Error, Result};
use crate::store::{self, Tx, owners, projects, teams, tokens};

/// Lets secret scanners and people recognise one. Behind it come 64 hexadecimal digits, and 8 that are the CRC-32 of all
/// before them, so that a scanner knows a token from something that looks like one. Tokens without it were made earlier.
const PREFIX: &str = "wl_";
const SESSION_PREFIX: &str = "wls_";
const ADMIN: &str = "admin";
const RANDOM_DIGITS: usize = 64;
const CHECK_DIGITS: usize = 8;

/// A token in the clear, to be shown once.
#[derive(Debug)]
pub struct NewToken {
    pub token: Token,
    pub secret: String,
}

/// What a new token is to be.
#[derive(Debug, Clone)]
pub struct TokenInput<'a> {
    pub name: &'a str,
    /// Whose it is.
    pub user: &'a Id,
    pub expires_at: Option<UnixMs>,
    pub role: Option<Role>,
    /// By id or name.
    pub team: Option<&'a str>,
    /// By id, number or name.
    pub project: Option<&'a str>,
}

/// A token of that person, who can do with it what they may do themselves, within the limits.
///
/// # Errors
/// `Invalid` for a name nobody can read or a time that has passed, `NotFound` for a team or project that the person
/// does not see.
pub async fn token_create(app: &App, who: &Identity, input: TokenInput<'_>) -> Result<NewToken> {
    if input.expires_at.is_some_and(|at| at <= store::now()) {
        return Err(Error::invalid("expiresAt", "the token would end before it began; give a time to come"));
    }
    let (mut team, mut project) = (None, None);
    if let Some(key) = input.team.filter(|key| !key.is_empty()) {
        require(app, &who.rights, Role::Viewer, Subject::Team, key).await?;
        team = Some(teams::find(&mut *app.db.read().await?, key).await?.id);
    }
    if let Some(key) = input.project.filter(|key| !key.is_empty()) {
        require(app, &who.rights, Role::Viewer, Subject::Project, key).await?;
        project = Some(projects::find(&mut *app.db.read().await?, key).await?.id);
    }
    let limit = Limit { role: input.role, team, project };
    create(app, input.name, input.user, input.expires_at, limit).await
}

async fn create(
    app: &App,
    name: &str,
    user: &Id,
    expires_at: Option<UnixMs>,
    limit: Limit,
) -> Result<NewToken> {
    let name = name.trim();
    if name.is_empty() || name.len() > 100 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "name",
            "a token needs a name of 1 to 100 characters, so that it can be recognised later",
        ));
    }
    let secret = fresh_secret(PREFIX)?;
    let token = insert(app, row(name, user, &secret, expires_at, limit, TokenKind::Api)).await?;
    Ok(NewToken { token, secret })
}

/// A session of a person who has just proved who they are.
pub async fn session_create(app: &App, name: &str, user: &Id, expires_at: UnixMs) -> Result<NewToken> {
    let secret = fresh_secret(SESSION_PREFIX)?;
    let row = row(name, user, &secret, Some(expires_at), Limit::default(), TokenKind::Session);
    Ok(NewToken { token: insert(app, row).await?, secret })
}

/// A secret with that prefix and its checksum.
pub fn fresh_secret(prefix: &str) -> Result<String> {
    let body = format!("{prefix}{}", hex::encode(random::<32>()?));
    let check = crc32fast::hash(body.as_bytes());
    Ok(format!("{body}{check:08x}"))
}

/// Whether the checksum shows that this was never one of ours: then nobody has to be asked.
fn is_mistyped(secret: &str) -> bool {
    let Some(digits) = secret.strip_prefix(PREFIX).or_else(|| secret.strip_prefix(SESSION_PREFIX)) else {
        return false;
    };
    if digits.len() != RANDOM_DIGITS + CHECK_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return false;
    }
    let (body, check) = secret.split_at(secret.len() - CHECK_DIGITS);
    format!("{:08x}", crc32fast::hash(body.as_bytes())) != check
}

fn row(
    name: &str,
    user: &Id,
    secret: &str,
    expires_at: Option<UnixMs>,
    limit: Limit,
    kind: TokenKind,
) -> Token {
    Token {
        id: store::new_id(),
        seq: 0,
        name: name.to_string(),
        prefix: secret.chars().take(8).collect(),
        hash: hash(secret),
        created_at: store::now(),
        last_used_at: None,
        expires_at,
        revoked_at: None,
        user_id: Some(user.clone()),
        kind,
        limit,
    }
}

async fn insert(app: &App, token: Token) -> Result<Token> {
    app.db
        .write(move |tx| {
            Box::pin(async move {
                let token = tokens::insert(tx, token).await?;
                let after = json!({ "id": token.id, "name": token.name, "expiresAt": token.expires_at });
                tx.changed("token", Value::Null, after);
                Ok(token)
            })
        })
        .await
}

/// Makes sure that somebody can log in: the configured token, or a fresh one when there is none at all.
///
/// Returns the fresh one's secret, to be printed once.
pub async fn token_bootstrap(app: &App, configured: Option<&str>) -> Result<Option<String>> {
    let admin = people_bootstrap(app).await?;
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
            insert(app, row(ADMIN, &admin, secret, None, Limit::default(), TokenKind::Api)).await?;
        }
        return Ok(None);
    }
    let mut conn = app.db.read().await?;
    if !tokens::list(&mut conn, PageRequest::first(1), None).await?.items.is_empty() {
        return Ok(None);
    }
    drop(conn);
    Ok(Some(create(app, ADMIN, &admin, None, Limit::default()).await?.secret))
}

/// The look-up is by hash, so its time says nothing about any stored secret.
pub(super) async fn token_find(app: &App, secret: &str) -> Result<Token> {
    let refused = || {
        Error::Unauthenticated("the token is not valid; pass one as `Authorization: Bearer <token>`".into())
    };
    if secret.is_empty() || secret.len() > 512 || is_mistyped(secret) {
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

/// One's own; an administrator of the installation sees everybody's.
pub async fn token_list(app: &App, page: PageRequest, who: &Identity) -> Result<Page<Token>> {
    let user = if who.rights.is_server_admin() { None } else { Some(&who.user.id) };
    let mut conn = app.db.read().await?;
    tokens::list(&mut conn, page, user).await
}

pub async fn token_revoke(app: &App, id: &Id) -> Result<()> {
    let id = id.clone();
    app.db
        .write(move |tx| {
            Box::pin(async move {
                tokens::revoke(tx, &id, store::now()).await?;
                if let Some(owner) = limited_to(tx, &id).await? {
                    tx.is_about(owner);
                }
                tx.changed(
                    "token",
                    json!({ "id": id, "revoked": false }),
                    json!({ "id": id, "revoked": true }),
                );
                Ok(())
            })
        })
        .await
}

/// Whose the only things are that a token is good for.
async fn limited_to(tx: &mut Tx, id: &Id) -> Result<Option<Owner>> {
    let limit = tokens::find_opt(tx, id.as_str()).await?.map(|token| token.limit).unwrap_or_default();
    match (limit.project, limit.team) {
        (Some(project), _) => owners::owner(tx, Subject::Project, project.as_str()).await,
        (None, team) => Ok(team.map(|team| Owner::Team { team, project: None })),
    }
}

/// What is stored of a secret: it is random, so one round is as good as many.
pub fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scanner_knows_a_token_by_its_checksum() {
        let secret = fresh_secret(PREFIX).expect("randomness");
        assert_eq!(secret.len(), PREFIX.len() + RANDOM_DIGITS + CHECK_DIGITS);
        assert!(!is_mistyped(&secret));
        let last = if secret.ends_with('0') { "1" } else { "0" };
        assert!(is_mistyped(&format!("{}{last}", &secret[..secret.len() - 1])));
        // Those made before there was a checksum, and those that operators made up.
        assert!(
            !is_mistyped(&format!("wl_{}", "a".repeat(64))) && !is_mistyped("test-admin-token-0123456789")
        );
    }
}
