//! No list query reads a whole table. PostgreSQL remembers the text of every statement a connection has prepared, and
//! the text is the same for both databases: so it is collected there, and both planners are asked about each.

use sqlx::{AssertSqlSafe, Row as _};
use windlass::{
    domain::{
        access::Reach,
        backup::BackupStatus,
        event::EventKind,
        notification::Notification,
        page::PageRequest,
        recording::{CallFilter, Outcome, Retention},
        webhook::ReasonCode,
    },
    store::{
        Conn, Db, approvals, artifacts, at_forge,
        audit::{self, AuditFilter},
        backups, badges, build_args, build_configs, builds, ci_builds, cicd_jobs, cicd_providers,
        commit_fates, deployment_cicd_mappings, deployments, events, figures, git_heads, git_looks,
        invitations, key_rotations, memberships, new_id, notification_channels, notification_deliveries,
        oidc_identities, plugin_calls, previews, projects, protections, registries, releases, repositories,
        rollout_steps, routes, schedules, sealed, stack_ci, stacks, targets, task_stats, tasks, teams,
        templates, tenants, tokens, users, webhook_events,
    },
};
use windlass_tests::{database::TestDb, sample};

/// Every function that reads, and the queue's writing ones that search.
async fn read_everything(conn: &mut Conn) {
    let (id, page) = (new_id(), PageRequest::first(10));
    projects::find_opt(conn, "1").await.unwrap();
    projects::by_name(conn, "x").await.unwrap();
    projects::list(conn, page, &Reach::EVERYTHING).await.unwrap();
    stacks::find_opt(conn, "1").await.unwrap();
    stacks::list(conn, page, &Reach::EVERYTHING).await.unwrap();
    stacks::list_by_project(conn, &id, page).await.unwrap();
    stacks::list_routed(conn).await.unwrap();
    stacks::list_by_target(conn, "x").await.unwrap();
    targets::by_name(conn, "x").await.unwrap();
    targets::list(conn).await.unwrap();
    repositories::find_opt(conn, &id).await.unwrap();
    repositories::by_stack(conn, &id).await.unwrap();
    repositories::list_by_provider(conn, "x").await.unwrap();
    repositories::list_by_url(conn, "x", "y").await.unwrap();
    build_configs::find_opt(conn, &id).await.unwrap();
    build_configs::by_stack(conn, &id).await.unwrap();
    build_args::list(conn, &id).await.unwrap();
    build_args::list_variables(conn, &id).await.unwrap();
    registries::find(conn, "1").await.unwrap_err();
    registries::find(conn, "x").await.unwrap_err();
    registries::by_address(conn, "x").await.unwrap();
    registries::all(conn).await.unwrap();
    registries::list(conn, page).await.unwrap();
    artifacts::by_path(conn, &id, "x").await.unwrap();
    artifacts::list(conn, &id).await.unwrap();
    artifacts::exists(conn, &id).await.unwrap();
    builds::find_opt(conn, "1").await.unwrap();
    builds::find_opt(conn, "x").await.unwrap();
    builds::list_by_stack(conn, &id, page).await.unwrap();
    builds::list_nonterminal(conn).await.unwrap();
    builds::log_kept(conn, &id).await.unwrap();
    ci_builds::log_kept(conn, &id).await.unwrap();
    deployments::logs(conn, &id).await.unwrap();
    builds::list_open(conn, &id, "main").await.unwrap();
    deployments::find_opt(conn, "1").await.unwrap();
    deployments::list(conn, page, &Reach::EVERYTHING).await.unwrap();
    deployments::list_by_stack(conn, &id, page).await.unwrap();
    deployments::latest_by_stack(conn, &id).await.unwrap();
    deployments::last_successful_before(conn, &id, 5, None).await.unwrap();
    deployments::latest_of_release(conn, &id, &id).await.unwrap();
    deployments::list_nonterminal(conn).await.unwrap();
    deployments::latest_push(conn, &id, "main").await.unwrap();
    deployments::push_of(conn, &id).await.unwrap();
    deployments::latest_of_commit(conn, &id, "x").await.unwrap();
    commit_fates::list(conn, &id, &["x"]).await.unwrap();
    at_forge::told(conn, &id).await.unwrap();
    at_forge::placed(conn, &id).await.unwrap();
    deployments::list_open_at_forge(conn, &id).await.unwrap();
    deployments::latest_successful(conn, &id).await.unwrap();
    releases::find_opt(conn, "1").await.unwrap();
    releases::list_by_stack(conn, &id, page).await.unwrap();
    rollout_steps::list(conn, &id).await.unwrap();
    approvals::list(conn, &id).await.unwrap();
    rollout_steps::list_open(conn, &id).await.unwrap();
    rollout_steps::next_n(conn, &id).await.unwrap();
    routes::get(conn, &id).await.unwrap();
    git_heads::list(conn, &id).await.unwrap();
    git_heads::find_opt(conn, &id, "main").await.unwrap();
    git_looks::find_opt(conn, &id).await.unwrap();
    schedules::list_by_stack(conn, &id).await.unwrap();
    schedules::list_by_job(conn, &id).await.unwrap();
    schedules::list_due(conn, 5).await.unwrap();
    deployments::latest_status(conn, &id, Some("main")).await.unwrap();
    deployments::latest_ended(conn, &id).await.unwrap();
    badges::key_of(conn, &id).await.unwrap();
    badges::stack_of(conn, "x").await.unwrap();
    figures::ended_by_day(conn, 5, &Reach::EVERYTHING).await.unwrap();
    figures::lead_times(conn, 5, &Reach::EVERYTHING).await.unwrap();
    figures::restore_times(conn, 5, &Reach::EVERYTHING).await.unwrap();
    figures::troubled(conn, 5, &Reach::EVERYTHING).await.unwrap();
    oidc_identities::user_of(conn, "x", "y").await.unwrap();
    task_stats::oldest_open(conn).await.unwrap();
    read_records(conn, page, &id).await;
}

/// What was told, who did what, and what providers do.
async fn read_records(conn: &mut Conn, page: PageRequest, id: &windlass::domain::Id) {
    webhook_events::find_opt(conn, "1").await.unwrap();
    webhook_events::list(conn, page, None, &Reach::EVERYTHING).await.unwrap();
    webhook_events::list(conn, page, Some(id), &Reach::EVERYTHING).await.unwrap();
    events::list_after(conn, 0, 10, None, &Reach::EVERYTHING).await.unwrap();
    events::list_after(conn, 0, 10, Some(id), &Reach::EVERYTHING).await.unwrap();
    for reach in [Reach::EVERYTHING, Reach::of_token(id)] {
        for kind in [None, Some(EventKind::StackChanged)] {
            for (stack, subjects) in [(None, vec![]), (Some(id), vec![]), (Some(id), vec![id.clone()])] {
                let filter = events::EventFilter { stack: stack.cloned(), subjects, kind };
                events::list(conn, page, &filter, &reach).await.unwrap();
            }
        }
    }
    audit::list_after(conn, 0, 10).await.unwrap();
    for chosen in 0..6 {
        let [actor, action, subject, team, project] =
            std::array::from_fn(|at| if at == chosen { "x".to_owned() } else { String::new() });
        let filter = AuditFilter { actor, action, subject, team, project, ..AuditFilter::default() };
        audit::list(conn, page, &filter, &Reach::EVERYTHING).await.unwrap();
    }
    protections::find_opt(conn, id).await.unwrap();
    protections::in_force(conn, id).await.unwrap();
    audit::checkpoints(conn, 0, 10).await.unwrap();
    audit::latest_checkpoint(conn).await.unwrap();
    backups::list(conn, 10).await.unwrap();
    backups::latest(conn, BackupStatus::Failed).await.unwrap();
    backups::find_opt(conn, id).await.unwrap();
    backups::last_scheduled(conn).await.unwrap();
    key_rotations::latest(conn).await.unwrap();
    key_rotations::find_opt(conn, id).await.unwrap();
    for place in sealed::PLACES {
        sealed::list(conn, place, &(String::new(), -1), 10).await.unwrap();
    }
    events::latest_seq(conn).await.unwrap();
    tokens::by_hash(conn, "x").await.unwrap();
    tokens::list(conn, page, None).await.unwrap();
    tokens::find_opt(conn, "x").await.unwrap();
    users::find_opt(conn, "x").await.unwrap();
    teams::find_opt(conn, "x").await.unwrap();
    tenants::find(conn, "x").await.unwrap_err();
    tenants::list(conn).await.unwrap();
    memberships::of_user(conn, id).await.unwrap();
    memberships::of_team(conn, id).await.unwrap();
    invitations::by_hash(conn, "x").await.unwrap();
    invitations::of_team(conn, id).await.unwrap();
    tasks::find_opt(conn, "x").await.unwrap();
    tasks::list(conn, None, 10).await.unwrap();
    tasks::list_unfinished(conn, 10).await.unwrap();
    tasks::list_by_subject(conn, id).await.unwrap();
    tasks::list_to_cancel(conn, "node").await.unwrap();
    tasks::next_run_at(conn, 0).await.unwrap();
    plugin_calls::find_opt(conn, "1").await.unwrap();
    plugin_calls::find_opt(conn, "x").await.unwrap();
    let filters = [
        CallFilter::default(),
        CallFilter { plugin: Some("x".into()), ..CallFilter::default() },
        CallFilter { outcome: Some(Outcome::Trap), ..CallFilter::default() },
        CallFilter { subject: Some(id.clone()), ..CallFilter::default() },
    ];
    for filter in &filters {
        plugin_calls::list(conn, page, filter).await.unwrap();
    }
    plugin_calls::digests(conn).await.unwrap();
    templates::find(conn, None, "x", None).await.unwrap();
    templates::list(conn, Some(id), page).await.unwrap();
    templates::versions(conn, None, "x", page).await.unwrap();
    cicd_providers::find_opt(conn, "1").await.unwrap();
    cicd_providers::list(conn, page, &Reach::EVERYTHING).await.unwrap();
    cicd_providers::list_by_type(conn, "x").await.unwrap();
    cicd_jobs::find_id(conn, "x").await.unwrap();
    cicd_jobs::find_external(conn, id, "x").await.unwrap();
    cicd_jobs::list_by_name(conn, id, "x").await.unwrap();
    cicd_jobs::list(conn, page, &Reach::EVERYTHING).await.unwrap();
    cicd_jobs::list_by_provider(conn, id, page).await.unwrap();
    ci_builds::find_external(conn, id, "x").await.unwrap();
    ci_builds::list_by_job(conn, id, page).await.unwrap();
    ci_builds::list_by_deployment(conn, id).await.unwrap();
    ci_builds::list_open(conn).await.unwrap();
    ci_builds::request_cancel(conn, id, 1, 1).await.unwrap();
    deployment_cicd_mappings::by_deployment(conn, id).await.unwrap();
    deployment_cicd_mappings::has(conn, id).await.unwrap();
    stack_ci::find_opt(conn, id).await.unwrap();
    previews::watch_opt(conn, id).await.unwrap();
    previews::any_due(conn, 0).await.unwrap();
    previews::list(conn, id).await.unwrap();
    previews::by_stack(conn, id).await.unwrap();
    stack_ci::by_provider(conn, id).await.unwrap();
    stack_ci::by_job(conn, id).await.unwrap();
    read_notifications(conn, page, id).await;
    task_stats::depth(conn).await.unwrap();
    task_stats::oldest_due(conn, 0).await.unwrap();
}

/// All but the rules in force, of which all are wanted.
async fn read_notifications(conn: &mut Conn, page: PageRequest, id: &windlass::domain::Id) {
    notification_channels::find_opt(conn, "1").await.unwrap();
    notification_channels::find_opt(conn, "x").await.unwrap();
    notification_channels::list_by_team(conn, id).await.unwrap();
    notification_channels::rule_opt(conn, id).await.unwrap();
    notification_channels::rules_of(conn, id).await.unwrap();
    notification_channels::trouble(conn, id, "x").await.unwrap();
    notification_deliveries::find_opt(conn, id).await.unwrap();
    notification_deliveries::join(conn, id, "x", &Notification::sample(), 0).await.unwrap();
    notification_deliveries::list(conn, id, page).await.unwrap();
    notification_deliveries::last(conn, id).await.unwrap();
    notification_deliveries::late(conn, 0).await.unwrap();
    notification_deliveries::count_open(conn).await.unwrap();
    notification_deliveries::prune(conn, 0, 1).await.unwrap();
    notification_deliveries::cursor(conn).await.unwrap();
}

/// The statements prepared on this connection, with how many parameters each has.
async fn collect(db: &Db) -> Vec<(String, i64)> {
    db.write(|tx| {
        Box::pin(async move {
            read_everything(tx).await;
            let lease = tasks::Lease { owner: "node".into(), boot: "boot".into(), until: 1 };
            windlass::queue::enqueue(tx, &sample::task("e")).await?;
            tasks::claim(tx, &lease, windlass::store::now(), 1).await?;
            tasks::rescue_expired(tx, 0).await?;
            tasks::rescue_own(tx, "node", "boot", 0).await?;
            tasks::prune(tx, 0, 1).await?;
            tasks::request_cancel_by_subject(tx, &new_id(), 0).await?;
            templates::insert(tx, sample::template("x")).await?;
            templates::delete(tx, None, "x").await?;
            events::prune(tx, 0, 1).await?;
            plugin_calls::repeat(tx, &new_id(), 1, 0).await?;
            plugin_calls::prune(tx, &Retention { before: 0, rows: 1, bytes: 1 }).await?;
            webhook_events::prune(tx, 0, 1).await?;
            artifacts::prune(tx, 0, 1).await?;
            previews::claim(tx, 0, 1, 1).await?;
            previews::hold(tx, &new_id(), 0, 1).await?;
            artifacts::replace(tx, &new_id(), &[]).await?;
            let rows = sqlx::query(
                "SELECT statement, CAST(COALESCE(array_length(parameter_types, 1), 0) AS BIGINT) AS n \
                 FROM pg_prepared_statements",
            )
            .fetch_all(&mut **tx)
            .await
            .unwrap();
            Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
        })
    })
    .await
    .unwrap()
}

fn is_about_tables(statement: &str) -> bool {
    ["SELECT", "UPDATE", "DELETE"].iter().any(|verb| statement.starts_with(verb))
        && !statement.contains("pg_")
}

#[tokio::test]
async fn no_list_query_scans_a_table() {
    let Some(postgres) = TestDb::postgres().await else { return };
    let sqlite = TestDb::sqlite().await;
    let statements: Vec<_> =
        collect(&postgres.db).await.into_iter().filter(|(text, _)| is_about_tables(text)).collect();
    assert!(statements.len() > 50, "only {} statements were seen", statements.len());
    let mut conn = sqlite.db.read().await.unwrap();
    // SQLite plans anew when it sees the values, and may then prefer another index.
    let with_values = statements.iter().map(|(statement, parameters)| fill_in(statement, *parameters));
    for statement in statements.iter().map(|(statement, _)| statement.clone()).chain(with_values) {
        let plan = plan_of_sqlite(&mut conn, &statement).await;
        for line in plan.lines() {
            let whole = line.starts_with("SCAN ")
                && !line.contains("USING INDEX")
                && !line.contains("USING COVERING")
                && !line.starts_with("SCAN v")
                // Projects, of which the view chooses those that a token sees.
                && line != "SCAN p"
                && !line.contains("CONSTANT ROW");
            // Of a page of each stack, the newest numbers are chosen.
            let sorted = line.contains("TEMP B-TREE FOR ORDER BY") && !plan.contains("MATERIALIZE visible");
            assert!(!whole && !sorted, "{statement}\n{plan}");
        }
        // Walking along another index and dropping what does not belong would be a scan by another name.
        if let Some(column) = first_condition(&statement) {
            assert!(plan.contains(&format!("({column}=?")), "no index finds {column}: {statement}\n{plan}");
        }
    }
    let mut conn = postgres.db.read().await.unwrap();
    for (n, (statement, parameters)) in statements.iter().enumerate() {
        let plan = plan_of_postgres(&mut conn, n, statement, *parameters).await;
        assert!(!plan.contains("Seq Scan"), "{statement}\n{plan}");
    }
    // A word of the enum that a partial index spells out: should it ever change, the index has to change with it.
    assert_eq!(ReasonCode::BadSignature.as_str(), "bad_signature");
    assert_eq!(ReasonCode::DuplicateOf.as_str(), "duplicate_of");
}

/// The statement with a number, larger than most, for each parameter.
fn fill_in(statement: &str, parameters: i64) -> String {
    (1..=parameters)
        .rev()
        .fold(statement.to_owned(), |text, n| text.replace(&format!("${n}"), "9000000000000000"))
}

/// The column of `WHERE column = $1`.
fn first_condition(statement: &str) -> Option<&str> {
    let (_, condition) = statement.split_once(" WHERE ")?;
    let (column, rest) = condition.split_once(" = ")?;
    (rest.starts_with("$1") && column.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')).then_some(column)
}

async fn plan_of_sqlite(conn: &mut Conn, statement: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = sqlx::query(AssertSqlSafe(explain)).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail") + "\n").collect()
}

/// With sequential scans made expensive, one is left only where no index helps.
async fn plan_of_postgres(conn: &mut Conn, n: usize, statement: &str, parameters: i64) -> String {
    let nulls = vec!["NULL"; usize::try_from(parameters).unwrap()].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
    let script = format!(
        "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan; PREPARE p{n} AS {statement}"
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut *conn).await.unwrap();
    let explain = format!("EXPLAIN EXECUTE p{n}{arguments}");
    let rows = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0) + "\n").collect()
}
