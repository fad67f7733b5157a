//! The record against both databases: an entry for every write of a known caller, in its transaction, and no way to change,
//! remove, swap or cut any of them unnoticed.

use serde_json::{Value, json};
use windlass::{
    app::{audit::Auditor, vault::Vault},
    config::MasterKey,
    domain::{
        Id,
        access::{Owner, Reach},
        audit::{Actor, AuditEntry},
        event::{EventKind, NewEvent},
        page::PageRequest,
    },
    error::{Error, Result},
    store::{
        Db,
        audit::{self, AuditFilter, Call},
        events,
    },
};
use windlass_tests::{database::TestDb, on_both_databases};

on_both_databases!(
    a_write_of_a_known_caller_has_one_entry_in_its_transaction,
    the_servers_own_writes_are_recorded_where_they_decide_something,
    writers_at_the_same_time_make_one_chain,
    any_change_of_any_entry_is_found,
    an_entry_is_about_the_one_team_whose_things_it_tells_of,
    an_entry_is_about_the_one_project_whose_things_it_tells_of,
    old_entries_go_and_the_chain_stays_verifiable,
    entries_are_found_by_who_what_and_when,
);

/// With a master key in a folder of its own.
async fn auditor(db: &Db) -> (Auditor, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(&MasterKey::DataFolder, folder.path()).unwrap();
    (Auditor::open(db, &vault).await.unwrap(), folder)
}

fn call(actor: &str, action: &str) -> std::sync::Arc<Call> {
    let call = Call::new(action, "/api/v1/things/1", "api", "192.0.2.1");
    call.identify(Actor::new("token", actor));
    call
}

/// A write that changes nothing but the record.
async fn touch(db: &Db, actor: &str, action: &str) -> Result<()> {
    audit::during(call(actor, action), db.write(|_| Box::pin(async { Ok(()) }))).await
}

async fn entries(auditor: &Auditor) -> Vec<AuditEntry> {
    auditor.after(0).await.unwrap()
}

async fn run(db: &Db, sql: &'static str) {
    db.write(move |tx| {
        Box::pin(
            async move { sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ()).map_err(Error::internal) },
        )
    })
    .await
    .unwrap();
}

async fn a_write_of_a_known_caller_has_one_entry_in_its_transaction(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    let one = call("ada", "thing_update");
    let work = test.db.write(|tx| {
        Box::pin(async move {
            tx.changed("thing", json!({ "size": 1, "same": true }), json!({ "size": 2, "same": true }));
            Ok(())
        })
    });
    audit::during(one.clone(), work).await.unwrap();
    // The same call writes again and has nothing more to tell.
    audit::during(one, test.db.write(|_| Box::pin(async { Ok(()) }))).await.unwrap();
    // What is not committed has not happened.
    let failing = test.db.write(|tx| {
        Box::pin(async move {
            tx.changed("thing", Value::Null, json!({}));
            Err::<(), _>(Error::conflict("no"))
        })
    });
    assert!(audit::during(call("ada", "thing_delete"), failing).await.is_err());
    // Nobody who is not known yet has an entry.
    let stranger = Call::new("thing_update", "/", "api", "192.0.2.1");
    audit::during(stranger, test.db.write(|_| Box::pin(async { Ok(()) }))).await.unwrap();
    let all = entries(&auditor).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    let entry = &all[0];
    assert_eq!((entry.seq, entry.actor.as_str(), entry.action.as_str()), (1, "ada", "thing_update"));
    let changes: Value = serde_json::from_str(&entry.changes).unwrap();
    assert_eq!(changes, json!([{ "what": "thing", "before": { "size": 1 }, "after": { "size": 2 } }]));
    assert!(auditor.verify().await.unwrap().intact);
}

async fn the_servers_own_writes_are_recorded_where_they_decide_something(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    for kind in [EventKind::DeploymentStep, EventKind::DeploymentStatus] {
        let new = NewEvent { kind, stack_id: None, subject_id: None, data: json!({ "status": "failed" }) };
        test.db.write(move |tx| Box::pin(async move { events::append(tx, new).await })).await.unwrap();
    }
    let all = entries(&auditor).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    assert_eq!((all[0].actor_kind.as_str(), all[0].action.as_str()), ("server", "deployment.status"));
}

async fn writers_at_the_same_time_make_one_chain(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    let other = test.another().await;
    other.seal_audit(key_of(&test.db, &_folder).await);
    let all = (0..40).map(|n| {
        let db = if n % 2 == 0 { &test.db } else { &other };
        touch(db, "ada", "thing_update")
    });
    for done in futures_util::future::join_all(all).await {
        done.unwrap();
    }
    let verified = auditor.verify().await.unwrap();
    assert_eq!((verified.problem, verified.last), (None, 40));
}

/// A second node has the same key, from the same seed.
async fn key_of(db: &Db, folder: &tempfile::TempDir) -> audit::AuditKeyBytes {
    let vault = Vault::open(&MasterKey::DataFolder, folder.path()).unwrap();
    let mut conn = db.read().await.unwrap();
    let sealed = audit::seed(&mut conn, "audit").await.unwrap().unwrap();
    let seed = vault.open_sealed("audit_keys/audit/seed", &sealed).unwrap();
    audit::AuditKeyBytes::new(seed[..32].try_into().unwrap())
}

/// What somebody with the database, but without the key, might do. Each is undone afterwards.
const TAMPERING: &[&str] = &[
    "UPDATE audit_log SET seq = 100 WHERE seq = 8",
    "DELETE FROM audit_log WHERE seq = 1",
    "DELETE FROM audit_log WHERE seq = 4",
    "DELETE FROM audit_log WHERE seq = 8",
    "DELETE FROM audit_log WHERE seq > 5",
    "DELETE FROM audit_log",
    // Two entries change places.
    "UPDATE audit_log SET seq = -1 WHERE seq = 3; UPDATE audit_log SET seq = 3 WHERE seq = 4; UPDATE audit_log SET seq = 4 WHERE seq = -1",
    // The end is cut off, and the head says so as well.
    "DELETE FROM audit_log WHERE seq = 8; UPDATE audit_head SET seq = 7, hash = (SELECT hash FROM audit_log WHERE seq = 7)",
    // The beginning is cut off, as if its time had been over.
    "UPDATE audit_head SET first = 3, base = (SELECT hash FROM audit_log WHERE seq = 2); DELETE FROM audit_log WHERE seq < 3",
    // All of it is gone, as if there had never been anything.
    "DELETE FROM audit_log; DELETE FROM audit_checkpoints; UPDATE audit_head SET first = 1, base = '', seq = 0, hash = '', mac = ''",
    "UPDATE audit_head SET mac = ''",
    "UPDATE audit_checkpoints SET hash = (SELECT hash FROM audit_log WHERE seq = 2)",
    "UPDATE audit_checkpoints SET at = at + 1",
    "INSERT INTO audit_log SELECT 9, at, actor_kind, actor, via, address, action, subject, outcome, why, changes, hash, hash, \
     team_id, project_id FROM audit_log WHERE seq = 8",
];

const EDITS: &[&str] = &[
    "UPDATE audit_log SET at = at + 1 WHERE seq = ",
    "UPDATE audit_log SET actor_kind = 'server' WHERE seq = ",
    "UPDATE audit_log SET actor = 'eve' WHERE seq = ",
    "UPDATE audit_log SET via = 'cli' WHERE seq = ",
    "UPDATE audit_log SET address = '' WHERE seq = ",
    "UPDATE audit_log SET action = 'nothing' WHERE seq = ",
    "UPDATE audit_log SET subject = 'nothing' WHERE seq = ",
    "UPDATE audit_log SET outcome = 'refused' WHERE seq = ",
    "UPDATE audit_log SET why = 'because' WHERE seq = ",
    "UPDATE audit_log SET changes = '{}' WHERE seq = ",
    "UPDATE audit_log SET team_id = COALESCE(team_id, '') || 'x' WHERE seq = ",
    "UPDATE audit_log SET project_id = COALESCE(project_id, '') || 'x' WHERE seq = ",
    "UPDATE audit_log SET previous = hash WHERE seq = ",
    "UPDATE audit_log SET hash = previous || 'a' WHERE seq = ",
];

const KEEP: &str =
    "CREATE TABLE log_copy AS SELECT * FROM audit_log; CREATE TABLE head_copy AS SELECT * FROM audit_head;
    CREATE TABLE checkpoints_copy AS SELECT * FROM audit_checkpoints";
const UNDO: &str = "DELETE FROM audit_log; DELETE FROM audit_head; DELETE FROM audit_checkpoints;
    INSERT INTO audit_log SELECT * FROM log_copy; INSERT INTO audit_head SELECT * FROM head_copy;
    INSERT INTO audit_checkpoints SELECT * FROM checkpoints_copy";

async fn any_change_of_any_entry_is_found(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    for n in 0..8 {
        touch(&test.db, if n % 2 == 0 { "ada" } else { "bob" }, "thing_update").await.unwrap();
        if n == 4 {
            auditor.checkpoint_if_due().await.unwrap();
        }
    }
    let verified = auditor.verify().await.unwrap();
    assert_eq!((verified.problem.clone(), verified.checkpoints), (None, 1));
    run(&test.db, KEEP).await;
    let edits = EDITS.iter().flat_map(|edit| (1..=8).map(move |seq| format!("{edit}{seq}")));
    let all: Vec<String> = TAMPERING.iter().map(ToString::to_string).chain(edits).collect();
    for sql in all {
        run(&test.db, Box::leak(sql.clone().into_boxed_str())).await;
        let found = auditor.verify().await.unwrap();
        assert!(!found.intact && found.problem.is_some(), "not found: {sql}");
        run(&test.db, UNDO).await;
        let again = auditor.verify().await.unwrap();
        assert_eq!(again, verified, "{sql} was not undone");
    }
}

/// Writes on behalf of a call that is about the first teams, with work that is about the others. `owls/web` is a project.
async fn about(db: &Db, named: &[&str], said: &'static [&str]) {
    let owner = |place: &str| {
        let (team, project) = place.split_once('/').map_or((place, None), |(team, name)| (team, Some(name)));
        Owner::Team { team: Id::from_text(team), project: project.map(Id::from_text) }
    };
    audit::during(call("ada", "thing_update"), async {
        named.iter().for_each(|team| audit::concerns(&owner(team)));
        let work = move |tx: &mut windlass::store::Tx| said.iter().for_each(|team| tx.is_about(owner(team)));
        db.write(move |tx| {
            work(tx);
            Box::pin(async { Ok(()) })
        })
        .await
    })
    .await
    .unwrap();
}

async fn an_entry_is_about_the_one_team_whose_things_it_tells_of(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    about(&test.db, &[], &[]).await;
    about(&test.db, &["owls"], &[]).await;
    about(&test.db, &["owls"], &["owls"]).await;
    about(&test.db, &[], &["foxes"]).await;
    about(&test.db, &["owls"], &["foxes"]).await;
    let teams: Vec<Option<String>> =
        entries(&auditor).await.into_iter().map(|entry| entry.team.map(|id| id.to_string())).collect();
    let owls = Some("owls".to_owned());
    assert_eq!(teams, [None, owls.clone(), owls, Some("foxes".to_owned()), None]);
    assert!(auditor.verify().await.unwrap().intact);
    let filter = AuditFilter { team: "owls".into(), ..AuditFilter::default() };
    let page = auditor.list(&filter, PageRequest::first(10), &Reach::EVERYTHING).await.unwrap();
    assert_eq!(page.items.into_iter().map(|entry| entry.seq).collect::<Vec<_>>(), [3, 2]);
    // To give an entry to another team, or to take it away from its own, is found as any other change.
    run(&test.db, "UPDATE audit_log SET team_id = NULL WHERE seq = 2").await;
    assert!(!auditor.verify().await.unwrap().intact);
}

async fn an_entry_is_about_the_one_project_whose_things_it_tells_of(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    about(&test.db, &["owls/web"], &["owls/web"]).await;
    about(&test.db, &["owls"], &["owls/web"]).await;
    about(&test.db, &["owls/web"], &["owls/shop"]).await;
    about(&test.db, &["owls/web"], &["foxes/web"]).await;
    about(&test.db, &[], &["owls/shop"]).await;
    let text = |id: Option<Id>| id.map(|id| id.to_string()).unwrap_or_default();
    let places: Vec<(String, String)> =
        entries(&auditor).await.into_iter().map(|entry| (text(entry.team), text(entry.project))).collect();
    let wanted = [("owls", "web"), ("owls", ""), ("owls", ""), ("", ""), ("owls", "shop")];
    assert_eq!(places, wanted.map(|(team, project)| (team.to_owned(), project.to_owned())));
    assert!(auditor.verify().await.unwrap().intact);
    let filter = AuditFilter { project: "web".into(), ..AuditFilter::default() };
    let page = auditor.list(&filter, PageRequest::first(10), &Reach::EVERYTHING).await.unwrap();
    assert_eq!(page.items.into_iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1]);
    // Another project's administrators are not let in by a change of the row, nor by taking the team for the project.
    run(&test.db, KEEP).await;
    for sql in [
        "UPDATE audit_log SET project_id = 'shop' WHERE seq = 1",
        "UPDATE audit_log SET project_id = 'web' WHERE seq = 2",
        "UPDATE audit_log SET team_id = NULL, project_id = 'owls' WHERE seq = 2",
    ] {
        run(&test.db, sql).await;
        assert!(!auditor.verify().await.unwrap().intact, "not found: {sql}");
        run(&test.db, UNDO).await;
    }
    assert!(auditor.verify().await.unwrap().intact);
}

async fn old_entries_go_and_the_chain_stays_verifiable(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    for _ in 0..6 {
        touch(&test.db, "ada", "thing_update").await.unwrap();
    }
    auditor.checkpoint_if_due().await.unwrap();
    assert_eq!(auditor.prune(0).await.unwrap(), 0);
    // The last entry stays, whatever its age: the next one follows it.
    assert_eq!(auditor.prune(i64::MAX).await.unwrap(), 5);
    touch(&test.db, "ada", "thing_update").await.unwrap();
    let verified = auditor.verify().await.unwrap();
    assert_eq!((verified.problem, verified.first, verified.last, verified.checkpoints), (None, 6, 7, 1));
    run(&test.db, "DELETE FROM audit_log WHERE seq = 6").await;
    assert!(!auditor.verify().await.unwrap().intact);
}

async fn entries_are_found_by_who_what_and_when(test: TestDb) {
    let (auditor, _folder) = auditor(&test.db).await;
    for (actor, action) in [("ada", "one"), ("bob", "one"), ("ada", "two")] {
        touch(&test.db, actor, action).await.unwrap();
    }
    let at = entries(&auditor).await[2].at;
    let found = async |filter: AuditFilter| -> Vec<i64> {
        let page = auditor.list(&filter, PageRequest::first(10), &Reach::EVERYTHING).await.unwrap();
        page.items.into_iter().map(|entry| entry.seq).collect()
    };
    let all = AuditFilter::default();
    assert_eq!(found(all.clone()).await, [3, 2, 1]);
    assert_eq!(found(AuditFilter { actor: "ada".into(), ..all.clone() }).await, [3, 1]);
    assert_eq!(found(AuditFilter { action: "one".into(), ..all.clone() }).await, [2, 1]);
    let both = AuditFilter { actor: "ada".into(), action: "one".into(), ..all.clone() };
    assert_eq!(found(both).await, [1]);
    assert_eq!(found(AuditFilter { subject: "/api/v1/things/1".into(), ..all.clone() }).await.len(), 3);
    assert_eq!(found(AuditFilter { outcome: "failed".into(), ..all.clone() }).await, [] as [i64; 0]);
    assert_eq!(found(AuditFilter { since: Some(at + 1), ..all.clone() }).await, [] as [i64; 0]);
    assert_eq!(found(AuditFilter { until: Some(at + 1), ..all }).await, [3, 2, 1]);
}
