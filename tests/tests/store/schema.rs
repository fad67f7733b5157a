//! Opening a database: fresh, again, by two at once, and one that is too new.

use std::collections::BTreeSet;

use sqlx::Row as _;
use windlass::{
    error::Error,
    store::{Db, DbConfig},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    opening_again_keeps_what_is_there,
    a_newer_schema_is_refused_with_words,
    a_changed_migration_is_refused_with_words,
    many_nodes_open_an_empty_database_at_once,
    every_table_of_the_seeds_has_its_columns,
);

async fn opening_again_keeps_what_is_there(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let again = test.another().await;
    let mut conn = again.read().await.unwrap();
    let stack = windlass::store::stacks::find(&mut conn, "web").await.unwrap();
    assert_eq!(stack, sample.stack);
}

async fn run_sql(db: &Db, sql: &'static str) {
    db.write(move |tx| {
        Box::pin(
            async move { sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ()).map_err(Error::internal) },
        )
    })
    .await
    .unwrap();
}

async fn a_newer_schema_is_refused_with_words(test: TestDb) {
    let newer =
        "INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (9999, 'later', '', 1)";
    run_sql(&test.db, newer).await;
    let refused = Db::open(&DbConfig::new(&test.url)).await.err();
    assert!(matches!(&refused, Some(Error::Conflict(text)) if text.contains("newer")), "{refused:?}");
}

async fn a_changed_migration_is_refused_with_words(test: TestDb) {
    run_sql(&test.db, "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1").await;
    let refused = Db::open(&DbConfig::new(&test.url)).await.err();
    assert!(matches!(&refused, Some(Error::Conflict(text)) if text.contains("another text")), "{refused:?}");
}

async fn many_nodes_open_an_empty_database_at_once(test: TestDb) {
    // The test's own handle has migrated already: start over.
    let url = match test.db.engine() {
        "sqlite" => format!("{}-second", test.url),
        _ => windlass_tests::postgres::shared().unwrap().database().unwrap(),
    };
    let config = DbConfig { max_connections: 4, ..DbConfig::new(url) };
    let opened = futures_util::future::join_all((0..5).map(|_| Db::open(&config))).await;
    for db in opened {
        db.unwrap();
    }
}

/// Seed 0, 2 and 4, in snake case.
const SEEDS: [(&str, &str); 10] = [
    (
        "cicd_jobs",
        "id provider_id external_id name description parameters trigger_token trigger_url job_url created_at updated_at \
         creator_id team_id status",
    ),
    (
        "cicd_providers",
        "id type name url port auth_type credentials tenant_id team_id creator_id is_active created_at updated_at",
    ),
    (
        "deployment_cicd_mappings",
        "id deployment_id cicd_job_id parameters build_number build_url created_at updated_at",
    ),
    (
        "git_repositories",
        "id stack_id url branch auth_type credentials webhook_secret webhook_url provider auto_sync last_synced_at \
         last_synced_commit created_at updated_at",
    ),
    (
        "build_configs",
        "id stack_id repository_id build_type dockerfile_path compose_path pre_build_commands post_build_commands \
         timeout auto_deploy_on_push auto_deploy_branches health_check_path health_check_timeout \
         rollback_on_failure created_at updated_at",
    ),
    ("build_args", "build_config_id name value"),
    ("env_vars", "build_config_id name value secret"),
    (
        "deployments",
        "id stack_id build_config_id repository_id commit_sha commit_message commit_author branch tag status started_at \
         completed_at duration build_logs deployment_logs error triggered_by triggered_by_user \
         previous_deployment_id project_id service_id image_tag reason created_at",
    ),
    (
        "builds",
        "id project_id service_id git_url git_ref context_path dockerfile image_tag status log_path started_at \
         finished_at created_at",
    ),
    (
        "webhook_events",
        "id repository_id provider event_type payload headers signature verified processed deployment_id received_at \
         processed_at error",
    ),
];

async fn every_table_of_the_seeds_has_its_columns(test: TestDb) {
    let mut conn = test.db.read().await.unwrap();
    for (table, columns) in SEEDS {
        let sql = match test.db.engine() {
            "sqlite" => "SELECT name FROM pragma_table_xinfo($1)",
            _ => {
                "SELECT CAST(column_name AS TEXT) AS name FROM information_schema.columns WHERE table_name = $1"
            }
        };
        let rows = sqlx::query(sql).bind(table).fetch_all(&mut *conn).await.unwrap();
        let there: BTreeSet<String> = rows.iter().map(|row| row.get("name")).collect();
        let missing: Vec<&str> =
            columns.split_whitespace().filter(|column| !there.contains(*column)).collect();
        assert!(missing.is_empty(), "{table} lacks {missing:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_sqlite_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    // Characters that a URL would read as something else.
    let path = folder.path().join("new folder/50%25 #1.db");
    let db = Db::open(&DbConfig::new(format!("sqlite:{}", path.display()))).await.unwrap();
    sample::store(&db, "web").await;
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
    assert!(path.exists());
}

#[tokio::test]
async fn sqlite_waits_for_the_disk_at_every_commit() {
    let test = TestDb::sqlite().await;
    let settings = test
        .db
        .write(|tx| {
            Box::pin(async move {
                let mut settings = Vec::new();
                for pragma in ["PRAGMA synchronous", "PRAGMA foreign_keys"] {
                    let row = sqlx::query(pragma).fetch_one(&mut **tx).await.map_err(Error::internal)?;
                    settings.push(row.get::<i64, _>(0));
                }
                let row =
                    sqlx::query("PRAGMA journal_mode").fetch_one(&mut **tx).await.map_err(Error::internal)?;
                Ok((settings, row.get::<String, _>(0)))
            })
        })
        .await
        .unwrap();
    assert_eq!(settings, (vec![2, 1], "wal".to_owned()));
}
