//! Everything of a database in another, empty one.

use std::sync::{Arc, Mutex};

use windlass::{
    domain::backup::Migrated,
    error::Error,
    store::{Db, DbConfig, Import, Rows, builds, deployments, stacks},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    all_rows_come_back_in_either_database,
    a_snapshot_does_not_see_what_is_written_after_it,
    an_older_schema_is_brought_up_and_a_newer_one_refused,
    a_database_with_something_in_it_is_left_alone,
    a_row_that_refers_to_nothing_is_refused_and_nothing_stays,
);

async fn everything(db: &Db) -> (Vec<Migrated>, Vec<Rows>) {
    let mut snapshot = db.snapshot().await.unwrap();
    let all = Arc::new(Mutex::new(Vec::new()));
    for table in snapshot.tables() {
        let add = |rows| {
            all.lock().unwrap().push(rows);
            async { Ok(()) }
        };
        snapshot.read(&table, add).await.unwrap();
    }
    let rows = std::mem::take(&mut *all.lock().unwrap());
    (snapshot.migrations.clone(), rows)
}

/// Two empty databases, one of each kind.
fn targets(test: &TestDb, folder: &tempfile::TempDir) -> Vec<DbConfig> {
    let mut urls = vec![format!("sqlite:{}", folder.path().join("new.db").display())];
    if test.db.engine() == "postgres" {
        urls.push(windlass_tests::postgres::shared().unwrap().database().unwrap());
    }
    urls.into_iter().map(DbConfig::new).collect()
}

async fn put(config: &DbConfig, migrations: &[Migrated], rows: &[Rows]) -> Result<(), Error> {
    let mut import = Import::begin(config, migrations).await?;
    for rows in rows {
        assert_eq!(import.rows(&rows.table, &rows.lines).await?, rows.count);
    }
    import.finish().await
}

fn lines(rows: &[Rows]) -> Vec<(String, String)> {
    let line = |rows: &Rows| {
        let text = String::from_utf8(rows.lines.clone()).unwrap();
        text.lines().map(|line| (rows.table.clone(), line.to_owned())).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = rows.iter().flat_map(line).collect();
    all.sort();
    all
}

async fn all_rows_come_back_in_either_database(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let stored = sample::store_deployments(&test.db, &sample.stack, 20).await;
    let (stack, of) = (sample.stack.clone(), stored[0].id.clone());
    let keep = test.db.write(move |tx| {
        Box::pin(async move {
            let (build, log) =
                (builds::insert(tx, sample::build(&stack, Some(&of))).await?, sample::log("x"));
            builds::set_log_kept(tx, &build.id, &log).await?;
            deployments::set_logs(tx, &of, Some(&log), Some(&log)).await
        })
    });
    keep.await.unwrap();
    let (migrations, rows) = everything(&test.db).await;
    let folder = tempfile::tempdir().unwrap();
    for config in targets(&test, &folder) {
        put(&config, &migrations, &rows).await.unwrap();
        let db = Db::open(&config).await.unwrap();
        assert_eq!(lines(&everything(&db).await.1), lines(&rows));
        // References hold again.
        let mut conn = db.read().await.unwrap();
        assert_eq!(stacks::find(&mut conn, "web").await.unwrap(), sample.stack);
        drop(conn);
        sample::store(&db, "another").await;
    }
}

async fn a_snapshot_does_not_see_what_is_written_after_it(test: TestDb) {
    sample::store(&test.db, "before").await;
    let mut snapshot = test.db.snapshot().await.unwrap();
    sample::store(&test.db, "after").await;
    let seen = Arc::new(Mutex::new(0));
    let count = |rows: Rows| {
        *seen.lock().unwrap() += rows.count;
        async { Ok(()) }
    };
    snapshot.read("stacks", count).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), 1);
}

async fn an_older_schema_is_brought_up_and_a_newer_one_refused(test: TestDb) {
    sample::store(&test.db, "web").await;
    let (mut migrations, mut rows) = everything(&test.db).await;
    let mut newer = migrations.clone();
    newer.push(Migrated { version: 9999, name: "later".into(), checksum: String::new() });
    // As it was before there were backups.
    let newest = migrations.last().unwrap().name.clone();
    migrations.truncate(migrations.iter().position(|one| one.name == "backups").unwrap());
    rows.retain(|rows| rows.table != "backups");
    for (table, columns) in LATER {
        for rows in rows.iter_mut().filter(|rows| rows.table == *table) {
            without(rows, columns);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    for config in targets(&test, &folder) {
        let refused = put(&config, &newer, &rows).await;
        assert!(matches!(&refused, Err(Error::Conflict(text)) if text.contains("newer")), "{refused:?}");
        put(&config, &migrations, &rows).await.unwrap();
        let db = Db::open(&config).await.unwrap();
        assert_eq!(everything(&db).await.0.last().unwrap().name, newest);
    }
}

/// Columns that migrations after that of the backups have added.
const LATER: &[(&str, &[&str])] = &[
    ("git_repositories", &["commit_status", "commit_status_error", "hook_id", "hook_error", "url_key"]),
    ("deployments", &["told", "forge_id", "forge_state"]),
    ("build_configs", &["auto_deploy_tags"]),
    ("builds", &["log_kept"]),
    ("ci_builds", &["log_kept"]),
    ("cicd_jobs", &["look_at"]),
    ("protections", &["covers_previews"]),
    ("audit_log", &["team_id", "project_id"]),
];

fn without(rows: &mut Rows, columns: &[&str]) {
    let text = String::from_utf8(std::mem::take(&mut rows.lines)).unwrap();
    for line in text.lines() {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for column in columns {
            row.remove(*column).unwrap();
        }
        serde_json::to_writer(&mut rows.lines, &row).unwrap();
        rows.lines.push(b'\n');
    }
}

async fn a_database_with_something_in_it_is_left_alone(test: TestDb) {
    let (migrations, _) = everything(&test.db).await;
    let refused = Import::begin(&DbConfig::new(&test.url), &migrations).await.err();
    assert!(matches!(&refused, Some(Error::Conflict(text)) if text.contains("not empty")), "{refused:?}");
}

async fn a_row_that_refers_to_nothing_is_refused_and_nothing_stays(test: TestDb) {
    sample::store(&test.db, "web").await;
    let (migrations, rows) = everything(&test.db).await;
    let without = |table: &str| -> Vec<Rows> {
        let others = rows.iter().filter(|rows| rows.table != table);
        others
            .map(|rows| Rows { table: rows.table.clone(), lines: rows.lines.clone(), count: rows.count })
            .collect()
    };
    let folder = tempfile::tempdir().unwrap();
    for config in targets(&test, &folder) {
        put(&config, &migrations, &without("projects")).await.unwrap_err();
        put(&config, &migrations, &rows).await.unwrap();
    }
}
