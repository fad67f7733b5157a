//! Templates of pipelines.

use windlass::{
    domain::{Id, page::PageRequest, template::PipelineTemplate},
    error::Error,
    store::templates,
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_template_gets_a_new_version_each_time,
    templates_of_a_project_and_of_all_are_apart,
    a_template_goes_with_all_its_versions,
);

async fn save(test: &TestDb, name: &str, project: Option<&Id>) -> PipelineTemplate {
    let row = PipelineTemplate { project_id: project.cloned(), ..sample::template(name) };
    test.db.write(move |tx| Box::pin(async move { templates::insert(tx, row).await })).await.unwrap()
}

async fn find(
    test: &TestDb,
    name: &str,
    project: Option<&Id>,
    version: Option<i64>,
) -> Option<PipelineTemplate> {
    let mut conn = test.db.read().await.unwrap();
    templates::find(&mut conn, project, name, version).await.unwrap()
}

async fn listed(test: &TestDb, project: Option<&Id>) -> Vec<(String, i64)> {
    let mut conn = test.db.read().await.unwrap();
    let page = templates::list(&mut conn, project, PageRequest::first(10)).await.unwrap();
    page.items.into_iter().map(|row| (row.name, row.version)).collect()
}

async fn a_template_gets_a_new_version_each_time(test: TestDb) {
    let first = save(&test, "deploy", None).await;
    let second = save(&test, "deploy", None).await;
    save(&test, "other", None).await;
    assert_eq!((first.version, second.version), (1, 2));
    assert_eq!(find(&test, "deploy", None, None).await, Some(second.clone()));
    assert_eq!(find(&test, "deploy", None, Some(1)).await, Some(first));
    assert_eq!(find(&test, "deploy", None, Some(3)).await, None);
    assert_eq!(listed(&test, None).await, [("other".to_owned(), 1), ("deploy".to_owned(), 2)]);

    let mut conn = test.db.read().await.unwrap();
    let page = templates::versions(&mut conn, None, "deploy", PageRequest::first(1)).await.unwrap();
    assert_eq!((page.items, page.next), (vec![second], Some(2)));
    let page = templates::versions(&mut conn, None, "deploy", PageRequest::new(Some(2), None)).await.unwrap();
    assert_eq!((page.items.len(), page.next), (1, None));
}

async fn templates_of_a_project_and_of_all_are_apart(test: TestDb) {
    let project = sample::store(&test.db, "web").await.project.id;
    save(&test, "deploy", None).await;
    let own = save(&test, "deploy", Some(&project)).await;
    assert_eq!(own.version, 1);
    assert_eq!(find(&test, "deploy", Some(&project), None).await, Some(own));
    assert_eq!(listed(&test, Some(&project)).await.len(), 1);
    assert_eq!(listed(&test, None).await.len(), 1);
}

async fn a_template_goes_with_all_its_versions(test: TestDb) {
    save(&test, "deploy", None).await;
    save(&test, "deploy", None).await;
    let delete = || test.db.write(|tx| Box::pin(async move { templates::delete(tx, None, "deploy").await }));
    delete().await.unwrap();
    assert_eq!(find(&test, "deploy", None, None).await, None);
    assert!(matches!(delete().await, Err(Error::NotFound { .. })));
    // Its numbers begin anew.
    assert_eq!(save(&test, "deploy", None).await.version, 1);
}
