//! Table `releases`.

use super::{
    Conn, counters,
    faults::on_unique,
    rows::{
        Entity, Row, as_seq, below, execute, fetch_opt, fetch_page, found, hit, id_text, json, over, query,
    },
};
use crate::{
    domain::{
        Id,
        page::{Page, PageRequest},
        release::{Release, ReleaseState},
    },
    error::Result,
};

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, seq, stack_id, deployment_id, build_id, image_tag, image_digest, commit_sha, spec, \
             config_hash, plugin_digests, state, created_at FROM releases ",
            $tail
        )
    };
}

impl Entity for Release {
    const WHAT: &'static str = "release";

    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.id("id")?,
            seq: row.int("seq")?,
            stack_id: row.id("stack_id")?,
            deployment_id: row.id_opt("deployment_id")?,
            build_id: row.id_opt("build_id")?,
            image_tag: row.text("image_tag")?,
            image_digest: row.text("image_digest")?,
            commit_sha: row.text("commit_sha")?,
            spec: row.json("spec")?,
            config_hash: row.text("config_hash")?,
            plugin_digests: row.json("plugin_digests")?,
            state: row.word("state", ReleaseState::parse)?,
            created_at: row.int("created_at")?,
        })
    }
}

/// Stores it under the next number, whatever its `seq` says.
pub async fn insert(conn: &mut Conn, mut release: Release) -> Result<Release> {
    release.seq = counters::take(conn, "releases", 1).await?;
    let done = query(
        "INSERT INTO releases (id, seq, stack_id, deployment_id, build_id, image_tag, image_digest, commit_sha, \
         spec, config_hash, plugin_digests, state, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(release.id.as_str())
    .bind(release.seq)
    .bind(release.stack_id.as_str())
    .bind(id_text(release.deployment_id.as_ref()))
    .bind(id_text(release.build_id.as_ref()))
    .bind(release.image_tag.as_str())
    .bind(release.image_digest.as_str())
    .bind(release.commit_sha.as_str())
    .bind(json(&release.spec)?)
    .bind(release.config_hash.as_str())
    .bind(json(&release.plugin_digests)?)
    .bind(release.state.as_str())
    .bind(release.created_at)
    .execute(conn)
    .await;
    on_unique(done, || format!("the release {} already exists", release.id))?;
    Ok(release)
}

/// `key` is an id or a number.
pub async fn find(conn: &mut Conn, key: &str) -> Result<Release> {
    found(find_opt(conn, key).await?, key)
}

/// `key` is an id or a number.
pub async fn find_opt(conn: &mut Conn, key: &str) -> Result<Option<Release>> {
    match as_seq(key) {
        Some(seq) => fetch_opt(conn, query(select!("WHERE seq = $1")).bind(seq)).await,
        None => fetch_opt(conn, query(select!("WHERE id = $1")).bind(key)).await,
    }
}

/// Newest first.
pub async fn list_by_stack(conn: &mut Conn, stack: &Id, page: PageRequest) -> Result<Page<Release>> {
    let query = query(select!("WHERE stack_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"))
        .bind(stack.as_str())
        .bind(below(page))
        .bind(over(page));
    fetch_page(conn, page, query, |release: &Release| release.seq).await
}

pub async fn set_state(conn: &mut Conn, id: &Id, state: ReleaseState) -> Result<()> {
    let query = query("UPDATE releases SET state = $1 WHERE id = $2").bind(state.as_str()).bind(id.as_str());
    hit(execute(conn, query).await?, Release::WHAT, id)
}
