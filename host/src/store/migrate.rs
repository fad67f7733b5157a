//! Brings a database to this binary's schema, or refuses one that a newer binary has changed.

use sha2::{Digest, Sha256};
use sqlx::{Row as _, any::AnyRow};

use super::{Conn, Tx, faults::fault, now, rows::query};
use crate::{
    domain::backup::Migrated,
    error::{Error, Result},
};

struct Migration {
    version: i64,
    name: &'static str,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "init", text: include_str!("../../../migrations/0001_init.sql") },
    Migration { version: 2, name: "plugins", text: include_str!("../../../migrations/0002_plugins.sql") },
    Migration {
        version: 3,
        name: "plugin_calls",
        text: include_str!("../../../migrations/0003_plugin_calls.sql"),
    },
    Migration { version: 4, name: "approvals", text: include_str!("../../../migrations/0004_approvals.sql") },
    Migration { version: 5, name: "traffic", text: include_str!("../../../migrations/0005_traffic.sql") },
    Migration {
        version: 6,
        name: "rotation_and_components",
        text: include_str!("../../../migrations/0006_rotation_and_components.sql"),
    },
    Migration { version: 7, name: "pipelines", text: include_str!("../../../migrations/0007_pipelines.sql") },
    Migration { version: 9, name: "inbox", text: include_str!("../../../migrations/0009_inbox.sql") },
    Migration { version: 10, name: "people", text: include_str!("../../../migrations/0010_people.sql") },
    Migration { version: 11, name: "record", text: include_str!("../../../migrations/0011_record.sql") },
    Migration {
        version: 12,
        name: "ci_service",
        text: include_str!("../../../migrations/0012_ci_service.sql"),
    },
    Migration { version: 13, name: "triggers", text: include_str!("../../../migrations/0013_triggers.sql") },
    Migration { version: 15, name: "traffic", text: include_str!("../../../migrations/0015_traffic.sql") },
    Migration { version: 17, name: "targets", text: include_str!("../../../migrations/0017_targets.sql") },
    Migration { version: 18, name: "ci_watch", text: include_str!("../../../migrations/0018_ci_watch.sql") },
    Migration {
        version: 19,
        name: "notifications",
        text: include_str!("../../../migrations/0019_notifications.sql"),
    },
    Migration { version: 20, name: "watch", text: include_str!("../../../migrations/0020_watch.sql") },
    Migration { version: 21, name: "builds", text: include_str!("../../../migrations/0021_builds.sql") },
    Migration { version: 22, name: "previews", text: include_str!("../../../migrations/0022_previews.sql") },
    Migration { version: 23, name: "backups", text: include_str!("../../../migrations/0023_backups.sql") },
    Migration {
        version: 24,
        name: "team_providers",
        text: include_str!("../../../migrations/0024_team_providers.sql"),
    },
    Migration { version: 25, name: "forge", text: include_str!("../../../migrations/0025_forge.sql") },
    Migration {
        version: 26,
        name: "logs_and_tags",
        text: include_str!("../../../migrations/0026_logs_and_tags.sql"),
    },
    Migration { version: 27, name: "record", text: include_str!("../../../migrations/0027_record.sql") },
    Migration { version: 30, name: "record", text: include_str!("../../../migrations/0030_record.sql") },
    Migration { version: 32, name: "at_forge", text: include_str!("../../../migrations/0032_at_forge.sql") },
    Migration {
        version: 33,
        name: "job_watch",
        text: include_str!("../../../migrations/0033_job_watch.sql"),
    },
    Migration { version: 34, name: "tenants", text: include_str!("../../../migrations/0034_tenants.sql") },
    Migration {
        version: 37,
        name: "past_events",
        text: include_str!("../../../migrations/0037_past_events.sql"),
    },
    Migration {
        version: 38,
        name: "repository_urls",
        text: include_str!("../../../migrations/0038_repository_urls.sql"),
    },
];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (
    version BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)";

/// Applies what is missing, all of it or nothing. Row 0 is nobody's migration: raising it makes two nodes that start
/// at the same time wait for each other.
pub(super) async fn run(tx: &mut Tx) -> Result<()> {
    sqlx::raw_sql(TABLE).execute(&mut **tx).await.map_err(fault)?;
    query("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (0, 'lock', '', 0) ON CONFLICT DO NOTHING")
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    query("UPDATE schema_migrations SET applied_at = applied_at + 1 WHERE version = 0")
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    let mut last = 0;
    for done in applied(tx).await? {
        check(&done)?;
        last = done.version;
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > last) {
        apply(tx, migration).await?;
    }
    Ok(())
}

/// What was applied, in order.
pub(super) async fn applied(conn: &mut Conn) -> Result<Vec<Migrated>> {
    let rows =
        query("SELECT version, name, checksum FROM schema_migrations WHERE version > 0 ORDER BY version")
            .fetch_all(conn)
            .await
            .map_err(fault)?;
    let migrated = |row: &AnyRow| {
        Ok(Migrated {
            version: row.try_get("version").map_err(fault)?,
            name: row.try_get("name").map_err(fault)?,
            checksum: row.try_get("checksum").map_err(fault)?,
        })
    };
    rows.iter().map(migrated).collect()
}

/// Makes the schema that a backup's database had, in an empty database.
pub(super) async fn run_these(tx: &mut Tx, wanted: &[Migrated]) -> Result<()> {
    sqlx::raw_sql(TABLE).execute(&mut **tx).await.map_err(fault)?;
    for migration in MIGRATIONS.iter().filter(|known| wanted.iter().any(|one| one.version == known.version)) {
        apply(tx, migration).await?;
    }
    Ok(())
}

/// Whether this program can make the schema of a backup.
pub(super) fn check_all(migrations: &[Migrated]) -> Result<()> {
    for one in migrations {
        let Some(known) = MIGRATIONS.iter().find(|known| known.version == one.version) else {
            return Err(Error::conflict(format!(
                "the backup has schema {} ({}), which is newer than this program knows (its own is {}); restore it with the \
                 version of Windlass that made it, or a newer one",
                one.version,
                one.name,
                newest()
            )));
        };
        if digest(known.text) != one.checksum {
            return Err(Error::conflict(format!(
                "migration {} ({}) of the backup had another text than this program holds; restore it with the version of \
                 Windlass that made it",
                one.version, one.name
            )));
        }
    }
    Ok(())
}

/// Refuses a database that is not at exactly this program's schema, without changing it.
pub(super) async fn check_current(conn: &mut Conn) -> Result<()> {
    let applied = applied(conn).await.map_err(|_| {
        Error::conflict("the database is none of Windlass', or no server has ever been started with it")
    })?;
    let last = applied.last().map_or(0, |last| last.version);
    if last < newest() {
        return Err(Error::conflict(format!(
            "the database has schema {last} and this program's is {}; use the program of the version that the server runs, or \
             start a server of this version first",
            newest()
        )));
    }
    applied.iter().try_for_each(check)
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

fn check(applied: &Migrated) -> Result<()> {
    let Migrated { version, name, checksum } = applied;
    let Some(known) = MIGRATIONS.iter().find(|migration| migration.version == *version) else {
        return Err(Error::conflict(format!(
            "the database has schema {version} ({name}), which is newer than this binary knows; start the newer \
             version again, or restore the backup that was made before the upgrade"
        )));
    };
    if digest(known.text) != *checksum {
        return Err(Error::conflict(format!(
            "migration {version} ({name}) was applied with another text than this binary holds; this binary and the \
             database do not belong together"
        )));
    }
    Ok(())
}

async fn apply(tx: &mut Tx, migration: &Migration) -> Result<()> {
    sqlx::raw_sql(migration.text).execute(&mut **tx).await.map_err(|error| {
        Error::internal(format!("migration {} ({}) failed: {error}", migration.version, migration.name))
    })?;
    query("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES ($1, $2, $3, $4)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(digest(migration.text))
        .bind(now())
        .execute(&mut **tx)
        .await
        .map_err(fault)?;
    tracing::info!(version = migration.version, name = migration.name, "applied a migration");
    Ok(())
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
