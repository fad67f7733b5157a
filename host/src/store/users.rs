//! Table `users`.

use super::{
    Conn,
    faults::{fault, on_unique},
    rows::{Entity, Row, execute, fetch_all, fetch_opt, found, hit, id_text, json, query},
};
use crate::{
    domain::{Id, UnixMs, people::User},
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, tenant_id, name, is_admin, password_hash, totp_secret, totp_active, created_at, last_login_at, \
             disabled_at FROM users ",
            $tail
        )
    };
}

impl Entity for User {
    const WHAT: &'static str = "user";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            tenant_id: row.id("tenant_id")?,
            name: row.text("name")?,
            is_admin: row.flag("is_admin")?,
            password_hash: row.text_opt("password_hash")?,
            totp_secret: row.text_opt("totp_secret")?,
            totp_active: row.flag("totp_active")?,
            created_at: row.int("created_at")?,
            last_login_at: row.int_opt("last_login_at")?,
            disabled_at: row.int_opt("disabled_at")?,
        })
    }
}

/// `Conflict` if the name is taken.
pub async fn insert(conn: &mut Conn, user: &User) -> Result<()> {
    let done = query(
        "INSERT INTO users (id, tenant_id, name, is_admin, password_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(user.id.as_str())
    .bind(user.tenant_id.as_str())
    .bind(user.name.as_str())
    .bind(i64::from(user.is_admin))
    .bind(user.password_hash.clone())
    .bind(user.created_at)
    .execute(conn)
    .await;
    on_unique(done, || format!("a user named `{}` already exists", user.name)).map(|_| ())
}

/// `key` is an id or a name.
pub async fn find(conn: &mut Conn, key: &str) -> Result<User> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a name.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<User>> {
    fetch_opt(conn, query(select!("WHERE id = $1 OR name = $1")).bind(key)).await
}

/// By name. With a person, only those who share a team with them, and themselves.
pub async fn list(conn: &mut Conn, seen_by: Option<&Id>) -> Result<Vec<User>> {
    let query = query(select!(
        "WHERE $1 = '' OR id = $1 OR id IN (SELECT b.user_id FROM memberships a \
         JOIN memberships b ON b.team_id = a.team_id WHERE a.user_id = $1) ORDER BY name LIMIT 1000"
    ))
    .bind(id_text(seen_by).unwrap_or_default());
    fetch_all(conn, query).await
}

pub async fn count(conn: &mut Conn) -> Result<i64> {
    let row = query("SELECT COUNT(*) AS n FROM users").fetch_one(conn).await.map_err(fault)?;
    Row(&row).int("n")
}

/// Administrators who can still log in, other than this one.
pub async fn count_other_admins(conn: &mut Conn, id: &Id) -> Result<i64> {
    let query =
        query("SELECT COUNT(*) AS n FROM users WHERE is_admin = 1 AND disabled_at IS NULL AND id <> $1")
            .bind(id.as_str());
    Row(&query.fetch_one(conn).await.map_err(fault)?).int("n")
}

pub async fn set_password(conn: &mut Conn, id: &Id, hash: &str) -> Result<()> {
    let query =
        query("UPDATE users SET password_hash = $1 WHERE id = $2").bind(hash.to_owned()).bind(id.as_str());
    hit(execute(conn, query).await?, User::WHAT, id)
}

pub async fn set_disabled(conn: &mut Conn, id: &Id, at: Option<UnixMs>) -> Result<()> {
    let query = query("UPDATE users SET disabled_at = $1 WHERE id = $2").bind(at).bind(id.as_str());
    hit(execute(conn, query).await?, User::WHAT, id)
}

pub async fn set_admin(conn: &mut Conn, id: &Id, is_admin: bool) -> Result<()> {
    let query =
        query("UPDATE users SET is_admin = $1 WHERE id = $2").bind(i64::from(is_admin)).bind(id.as_str());
    hit(execute(conn, query).await?, User::WHAT, id)
}

pub async fn logged_in(conn: &mut Conn, id: &Id, now: UnixMs) -> Result<()> {
    let query = query("UPDATE users SET last_login_at = $1 WHERE id = $2").bind(now).bind(id.as_str());
    hit(execute(conn, query).await?, User::WHAT, id)
}

/// A sealed secret that counts from now on if `active`, else once a code has confirmed it. `None` ends the second
/// factor. The codes are sha256 in hex.
pub async fn set_totp(
    conn: &mut Conn,
    id: &Id,
    secret: Option<&str>,
    active: bool,
    codes: &[String],
) -> Result<()> {
    let query =
        query("UPDATE users SET totp_secret = $1, totp_active = $2, recovery_codes = $3 WHERE id = $4")
            .bind(secret.map(str::to_owned))
            .bind(i64::from(active))
            .bind(json(&codes)?)
            .bind(id.as_str());
    hit(execute(conn, query).await?, User::WHAT, id)
}

/// Takes a code of that step; false if it, or a later one, was taken already.
pub async fn take_totp_step(conn: &mut Conn, id: &Id, step: i64) -> Result<bool> {
    let query = query("UPDATE users SET totp_step = $1 WHERE id = $2 AND totp_step < $1")
        .bind(step)
        .bind(id.as_str());
    Ok(execute(conn, query).await? > 0)
}

/// Takes a recovery code; false if there is no such one any more.
pub async fn take_recovery_code(conn: &mut Conn, id: &Id, hash: &str) -> Result<bool> {
    let row = query("SELECT recovery_codes FROM users WHERE id = $1").bind(id.as_str());
    let row = row.fetch_one(&mut *conn).await.map_err(fault)?;
    let (before, codes) =
        (Row(&row).text("recovery_codes")?, Row(&row).json::<Vec<String>>("recovery_codes")?);
    let rest: Vec<&String> = codes.iter().filter(|code| *code != hash).collect();
    if rest.len() == codes.len() {
        return Ok(false);
    }
    let query = query("UPDATE users SET recovery_codes = $1 WHERE id = $2 AND recovery_codes = $3")
        .bind(json(&rest)?)
        .bind(id.as_str())
        .bind(before);
    Ok(execute(conn, query).await? > 0)
}
