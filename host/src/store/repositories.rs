//! Table `git_repositories`.

use super::{
    Conn,
    faults::on_unique,
    rows::{Entity, Row, execute, fetch_all, fetch_opt, found, hit, plain_opt, query},
};
use crate::{
    domain::{
        Id, UnixMs,
        repository::{GitAuthType, GitRepository, normalized_url},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, stack_id, url, branch, auth_type, credentials, webhook_secret, previous_webhook_secret, \
             previous_webhook_secret_until, webhook_url, provider, auto_sync, commit_status, commit_status_error, \
             hook_id, hook_error, last_synced_at, last_synced_commit, created_at, updated_at FROM git_repositories ",
            $tail
        )
    };
}

impl Entity for GitRepository {
    const WHAT: &'static str = "repository";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            stack_id: row.id("stack_id")?,
            url: row.text("url")?,
            branch: row.text("branch")?,
            auth_type: row.word("auth_type", GitAuthType::parse)?,
            credentials: row.text_opt("credentials")?,
            webhook_secret: row.text_opt("webhook_secret")?,
            previous_webhook_secret: row.text_opt("previous_webhook_secret")?,
            previous_webhook_secret_until: row.int_opt("previous_webhook_secret_until")?,
            webhook_url: row.text_opt("webhook_url")?,
            provider: row.text("provider")?,
            auto_sync: row.flag("auto_sync")?,
            commit_status: row.flag("commit_status")?,
            commit_status_error: row.text_opt("commit_status_error")?,
            hook_id: row.text_opt("hook_id")?,
            hook_error: row.text_opt("hook_error")?,
            last_synced_at: row.int_opt("last_synced_at")?,
            last_synced_commit: row.text_opt("last_synced_commit")?,
            created_at: row.int("created_at")?,
            updated_at: row.int("updated_at")?,
        })
    }
}

/// `Conflict` if the stack has a repository already, or does not exist.
pub async fn insert(conn: &mut Conn, repository: &GitRepository) -> Result<()> {
    let done = query(
        "INSERT INTO git_repositories (id, stack_id, url, branch, auth_type, credentials, webhook_secret, \
         webhook_url, provider, auto_sync, last_synced_at, last_synced_commit, created_at, updated_at, commit_status, url_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(repository.id.as_str())
    .bind(repository.stack_id.as_str())
    .bind(repository.url.as_str())
    .bind(repository.branch.as_str())
    .bind(repository.auth_type.as_str())
    .bind(repository.credentials.clone())
    .bind(repository.webhook_secret.clone())
    .bind(repository.webhook_url.clone())
    .bind(repository.provider.as_str())
    .bind(i64::from(repository.auto_sync))
    .bind(repository.last_synced_at)
    .bind(repository.last_synced_commit.clone())
    .bind(repository.created_at)
    .bind(repository.updated_at)
    .bind(i64::from(repository.commit_status))
    .bind(normalized_url(&repository.url))
    .execute(conn)
    .await;
    on_unique(done, || "the stack already has a repository".into()).map(|_| ())
}

/// Sets a new webhook secret, sealed. What counted before counts on until `until`; that is `before` if the repository
/// had no secret of its own. Without `until` it ends at once.
pub async fn rotate_webhook_secret(
    conn: &mut Conn,
    id: &Id,
    secret: &str,
    before: Option<&str>,
    until: Option<UnixMs>,
    now: UnixMs,
) -> Result<()> {
    let kept = match until {
        Some(_) => query(
            "UPDATE git_repositories SET previous_webhook_secret = COALESCE(webhook_secret, $1), \
             previous_webhook_secret_until = $2, webhook_secret = $3, updated_at = $4 WHERE id = $5",
        )
        .bind(before.map(str::to_owned)),
        None => query(
            "UPDATE git_repositories SET previous_webhook_secret = NULL, previous_webhook_secret_until = $1, \
             webhook_secret = $2, updated_at = $3 WHERE id = $4",
        ),
    };
    let query = kept.bind(until).bind(secret.to_owned()).bind(now).bind(id.as_str());
    hit(execute(conn, query).await?, GitRepository::WHAT, id)
}

/// Removes previous secrets whose time is over, and answers how many.
pub async fn forget_previous_secrets(conn: &mut Conn, now: UnixMs) -> Result<u64> {
    let query = query(
        "UPDATE git_repositories SET previous_webhook_secret = NULL, previous_webhook_secret_until = NULL \
         WHERE previous_webhook_secret_until <= $1",
    )
    .bind(now);
    execute(conn, query).await
}

/// Writes everything a person can change. What was synced is set by [`set_synced`] only, and what was done at the forge by
/// [`set_commit_status_error`], [`set_hook`] and [`set_hook_told`].
pub async fn update(conn: &mut Conn, repository: &GitRepository) -> Result<()> {
    let query = query(
        "UPDATE git_repositories SET url = $1, branch = $2, auth_type = $3, credentials = $4, webhook_secret = $5, \
         webhook_url = $6, provider = $7, auto_sync = $8, updated_at = $9, previous_webhook_secret = $10, \
         previous_webhook_secret_until = $11, commit_status = $12, url_key = $13 WHERE id = $14",
    )
    .bind(repository.url.as_str())
    .bind(repository.branch.as_str())
    .bind(repository.auth_type.as_str())
    .bind(repository.credentials.clone())
    .bind(repository.webhook_secret.clone())
    .bind(repository.webhook_url.clone())
    .bind(repository.provider.as_str())
    .bind(i64::from(repository.auto_sync))
    .bind(repository.updated_at)
    .bind(repository.previous_webhook_secret.clone())
    .bind(repository.previous_webhook_secret_until)
    .bind(i64::from(repository.commit_status))
    .bind(normalized_url(&repository.url))
    .bind(repository.id.as_str());
    hit(execute(conn, query).await?, GitRepository::WHAT, &repository.id)
}

pub async fn find(conn: &mut Conn, id: &Id) -> Result<GitRepository> {
    found(find_opt(conn, id).await?, id.as_str())
}

pub async fn find_opt(conn: &mut Conn, id: &Id) -> Result<Option<GitRepository>> {
    fetch_opt(conn, query(select!("WHERE id = $1")).bind(id.as_str())).await
}

pub async fn by_stack(conn: &mut Conn, stack: &Id) -> Result<Option<GitRepository>> {
    fetch_opt(conn, query(select!("WHERE stack_id = $1")).bind(stack.as_str())).await
}

/// The rows of one repository of a forge: those with that [`normalized_url`].
pub async fn list_by_url(conn: &mut Conn, provider: &str, key: &str) -> Result<Vec<GitRepository>> {
    // A node of an older version leaves the key empty.
    let query = query(select!("WHERE provider = $1 AND url_key IN ($2, '') ORDER BY id"));
    let mut rows: Vec<GitRepository> = fetch_all(conn, query.bind(provider).bind(key.to_owned())).await?;
    rows.retain(|row| normalized_url(&row.url) == key);
    Ok(rows)
}

/// Gives rows of older versions what [`list_by_url`] finds them by, and answers how many there were.
pub async fn key_urls(conn: &mut Conn) -> Result<u64> {
    let rows: Vec<GitRepository> = fetch_all(conn, query(select!("WHERE url_key = '' ORDER BY id"))).await?;
    let mut count = 0;
    for row in rows {
        let query = query("UPDATE git_repositories SET url_key = $1 WHERE id = $2 AND url = $3")
            .bind(normalized_url(&row.url))
            .bind(row.id.as_str())
            .bind(row.url.as_str());
        count += execute(conn, query).await?;
    }
    Ok(count)
}

/// All repositories of a forge.
pub async fn list_by_provider(conn: &mut Conn, provider: &str) -> Result<Vec<GitRepository>> {
    fetch_all(conn, query(select!("WHERE provider = $1 ORDER BY id")).bind(provider)).await
}

/// All of them.
pub async fn list(conn: &mut Conn) -> Result<Vec<GitRepository>> {
    fetch_all(conn, query(select!("ORDER BY id"))).await
}

/// Remembers the commit that was deployed last, so that a missed delivery can be noticed.
pub async fn set_synced(conn: &mut Conn, id: &Id, commit: &str, now: UnixMs) -> Result<()> {
    let query =
        query("UPDATE git_repositories SET last_synced_commit = $1, last_synced_at = $2 WHERE id = $3")
            .bind(commit)
            .bind(now)
            .bind(id.as_str());
    hit(execute(conn, query).await?, GitRepository::WHAT, id)
}

/// Replaces the sealed credentials and nothing else.
pub async fn set_credentials(conn: &mut Conn, id: &Id, sealed: &str) -> Result<()> {
    let query = query("UPDATE git_repositories SET credentials = $1 WHERE id = $2")
        .bind(sealed.to_owned())
        .bind(id.as_str());
    hit(execute(conn, query).await?, GitRepository::WHAT, id)
}

/// Remembers why the forge could not be shown what has become of a commit; `None` once it was. True if that is news.
pub async fn set_commit_status_error(conn: &mut Conn, id: &Id, error: Option<&str>) -> Result<bool> {
    let query = query(
        "UPDATE git_repositories SET commit_status_error = $1 \
         WHERE id = $2 AND COALESCE(commit_status_error, '') <> COALESCE($1, '')",
    )
    .bind(plain_opt(error))
    .bind(id.as_str());
    Ok(execute(conn, query).await? > 0)
}

/// Remembers the webhook that was registered at the forge; `None` once there is none.
pub async fn set_hook(conn: &mut Conn, id: &Id, hook: Option<&str>) -> Result<()> {
    let query = query("UPDATE git_repositories SET hook_id = $1, hook_error = NULL WHERE id = $2")
        .bind(hook.map(str::to_owned))
        .bind(id.as_str());
    hit(execute(conn, query).await?, GitRepository::WHAT, id)
}

/// Remembers how telling the forge of a changed webhook has ended. False if the one that was known there is none any more.
pub async fn set_hook_told(
    conn: &mut Conn,
    id: &Id,
    known: &str,
    told: std::result::Result<&str, &str>,
) -> Result<bool> {
    let query = query(
        "UPDATE git_repositories SET hook_id = COALESCE($1, hook_id), hook_error = $2 \
         WHERE id = $3 AND hook_id = $4",
    )
    .bind(told.ok().map(str::to_owned))
    .bind(plain_opt(told.err()))
    .bind(id.as_str())
    .bind(known.to_owned());
    Ok(execute(conn, query).await? > 0)
}

pub async fn delete(conn: &mut Conn, id: &Id) -> Result<()> {
    let query = query("DELETE FROM git_repositories WHERE id = $1").bind(id.as_str());
    hit(execute(conn, query).await?, GitRepository::WHAT, id)
}
