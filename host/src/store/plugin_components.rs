//! Table `plugin_components`: what was installed through the API, for every node that shares the database.

use super::{
    Conn,
    faults::fault,
    packed,
    rows::{Row, execute, query},
};
use crate::{
    domain::UnixMs,
    error::{Error, Result},
};

/// A component ready to be written; packing it takes longer than others should wait for.
#[derive(Debug, Clone)]
pub struct PackedComponent {
    bytes: Vec<u8>,
    size: i64,
}

pub async fn pack(component: Vec<u8>) -> Result<PackedComponent> {
    let size = i64::try_from(component.len()).map_err(Error::internal)?;
    Ok(PackedComponent { bytes: packed::pack(component).await?, size })
}

/// What is there already stays, only that it counts as new.
pub async fn insert(conn: &mut Conn, digest: &str, component: &PackedComponent, now: UnixMs) -> Result<()> {
    let query = query(
        "INSERT INTO plugin_components (digest, component, size_bytes, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (digest) DO UPDATE SET created_at = excluded.created_at",
    )
    .bind(digest.to_owned())
    .bind(component.bytes.clone())
    .bind(component.size)
    .bind(now);
    execute(conn, query).await?;
    Ok(())
}

/// The component's bytes. They came through the database, so the caller compares their digest.
pub async fn find_opt(conn: &mut Conn, digest: &str) -> Result<Option<Vec<u8>>> {
    let row = query("SELECT component FROM plugin_components WHERE digest = $1")
        .bind(digest.to_owned())
        .fetch_optional(conn)
        .await
        .map_err(fault)?;
    row.map(|row| Row(&row).packed("component")).transpose()
}

/// Removes components stored before `before` that no plugin runs or may return to, and answers how many.
pub async fn prune(conn: &mut Conn, before: UnixMs) -> Result<u64> {
    let query = query(
        "DELETE FROM plugin_components WHERE created_at < $1 AND NOT EXISTS (SELECT 1 FROM plugins \
         WHERE plugins.digest = plugin_components.digest OR plugins.last_good_digest = plugin_components.digest)",
    )
    .bind(before);
    execute(conn, query).await
}
