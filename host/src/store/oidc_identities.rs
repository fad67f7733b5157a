//! Table `oidc_identities`.

use super::{
    Conn,
    faults::{fault, on_unique},
    rows::{Row, execute, plain_opt, query},
};
use crate::{
    domain::{Id, UnixMs},
    error::Result,
};

/// Whose account it is that this provider vouches for.
pub async fn user_of(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<Id>> {
    let row = query("SELECT user_id FROM oidc_identities WHERE issuer = $1 AND subject = $2")
        .bind(issuer.to_owned())
        .bind(subject.to_owned());
    row.fetch_optional(conn).await.map_err(fault)?.map(|row| Row(&row).id("user_id")).transpose()
}

/// `Conflict` if the provider's account belongs to somebody already.
pub async fn insert(
    conn: &mut Conn,
    (issuer, subject): (&str, &str),
    user: &Id,
    email: Option<&str>,
    now: UnixMs,
) -> Result<()> {
    let done = query(
        "INSERT INTO oidc_identities (issuer, subject, user_id, email, created_at, last_login_at) \
         VALUES ($1, $2, $3, $4, $5, $5)",
    )
    .bind(issuer.to_owned())
    .bind(subject.to_owned())
    .bind(user.as_str())
    .bind(plain_opt(email))
    .bind(now)
    .execute(conn)
    .await;
    on_unique(done, || "this account of the provider belongs to somebody already".to_owned()).map(|_| ())
}

/// Somebody came by it again, perhaps with another address.
pub async fn seen(
    conn: &mut Conn,
    (issuer, subject): (&str, &str),
    email: Option<&str>,
    now: UnixMs,
) -> Result<()> {
    let query =
        query("UPDATE oidc_identities SET email = $1, last_login_at = $2 WHERE issuer = $3 AND subject = $4")
            .bind(plain_opt(email))
            .bind(now)
            .bind(issuer.to_owned())
            .bind(subject.to_owned());
    execute(conn, query).await.map(|_| ())
}
