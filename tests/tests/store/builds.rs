//! Registries, artifacts, and what a build keeps of them.

use windlass::{
    domain::{
        Id,
        artifact::Artifact,
        build_options::{BuildOptions, Cache},
        page::PageRequest,
        registry::Registry,
    },
    error::Error,
    store::{artifacts, build_configs, builds, new_id, now, registries, stacks},
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    registries_are_found_by_every_name_and_are_alone_with_it,
    artifacts_go_with_their_time_and_their_build,
    options_and_pushed_names_come_back_as_they_were,
);

fn registry(name: &str, address: &str) -> Registry {
    Registry {
        id: new_id(),
        seq: 0,
        name: name.into(),
        address: address.into(),
        username: "ada".into(),
        password: Some("sealed".into()),
        created_at: now(),
        updated_at: now(),
    }
}

async fn insert(test: &TestDb, row: Registry) -> Result<Registry, Error> {
    test.db.write(move |tx| Box::pin(async move { registries::insert(tx, row).await })).await
}

async fn registries_are_found_by_every_name_and_are_alone_with_it(test: TestDb) {
    let team = insert(&test, registry("team", "registry.example:5000")).await.unwrap();
    let hub = insert(&test, registry("hub", "docker.io")).await.unwrap();
    for (name, address) in [("team", "other.example"), ("other", "docker.io")] {
        let taken = insert(&test, registry(name, address)).await;
        assert!(matches!(&taken, Err(Error::Conflict(why)) if why.contains(address)), "{taken:?}");
    }
    let mut conn = test.db.read().await.unwrap();
    for key in [team.id.as_str(), "1", "team"] {
        assert_eq!(registries::find(&mut conn, key).await.unwrap(), team);
    }
    assert!(matches!(registries::find(&mut conn, "nobody").await, Err(Error::NotFound { .. })));
    assert_eq!(registries::by_address(&mut conn, "docker.io").await.unwrap(), Some(hub.clone()));
    assert_eq!(registries::by_address(&mut conn, "docker.io:443").await.unwrap(), None);
    assert_eq!(registries::all(&mut conn).await.unwrap(), [team.clone(), hub.clone()]);
    let page = registries::list(&mut conn, PageRequest::first(1)).await.unwrap();
    assert_eq!((page.items, page.next), (vec![hub.clone()], Some(2)));
    drop(conn);

    let changed = Registry { password: None, username: String::new(), ..team.clone() };
    let stored = changed.clone();
    test.db.write(move |tx| Box::pin(async move { registries::update(tx, &changed).await })).await.unwrap();
    let clash = Registry { address: "docker.io".into(), ..team.clone() };
    let clash = test.db.write(move |tx| Box::pin(async move { registries::update(tx, &clash).await })).await;
    assert!(matches!(clash, Err(Error::Conflict(_))), "{clash:?}");
    let id = hub.id.clone();
    test.db.write(move |tx| Box::pin(async move { registries::delete(tx, &id).await })).await.unwrap();
    let gone = test.db.write(move |tx| Box::pin(async move { registries::delete(tx, &hub.id).await })).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(registries::all(&mut conn).await.unwrap(), [stored]);
}

fn artifact(build: &Id, path: &str, expires_at: i64) -> Artifact {
    Artifact {
        id: new_id(),
        build_id: build.clone(),
        path: path.into(),
        size: 1 << 40,
        sha256: "0".repeat(64),
        created_at: 1,
        expires_at,
    }
}

async fn artifacts_go_with_their_time_and_their_build(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let row = sample::build(&sample.stack, None);
    let build =
        test.db.write(move |tx| Box::pin(async move { builds::insert(tx, row).await })).await.unwrap().id;
    let replace = async |rows: Vec<Artifact>| {
        let build = build.clone();
        let done =
            test.db.write(move |tx| Box::pin(async move { artifacts::replace(tx, &build, &rows).await }));
        done.await.unwrap()
    };
    let old = artifact(&build, "b.txt", 100);
    assert_eq!(replace(vec![old.clone()]).await, []);
    let (a, b) = (artifact(&build, "a.txt", 100), artifact(&build, "b.txt", 200));
    assert_eq!(replace(vec![b.clone(), a.clone()]).await, [old.id]);
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(artifacts::list(&mut conn, &build).await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!(artifacts::by_path(&mut conn, &build, &a.path).await.unwrap(), Some(a.clone()));
    drop(conn);
    let prune = |at| test.db.write(move |tx| Box::pin(artifacts::prune(tx, at, 10)));
    assert_eq!((prune(99).await.unwrap(), prune(100).await.unwrap()), (0, 1));
    let mut conn = test.db.read().await.unwrap();
    assert!(artifacts::exists(&mut conn, &b.id).await.unwrap());
    assert!(!artifacts::exists(&mut conn, &a.id).await.unwrap());
    drop(conn);
    test.db
        .write(move |tx| Box::pin(async move { stacks::delete(tx, &sample.stack.id).await }))
        .await
        .unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert!(!artifacts::exists(&mut conn, &b.id).await.unwrap(), "it goes with its stack's builds");
}

async fn options_and_pushed_names_come_back_as_they_were(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let mut config = sample::build_config(&sample.stack, None);
    let stored = config.clone();
    test.db.write(move |tx| Box::pin(async move { build_configs::insert(tx, &stored).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let found = build_configs::by_stack(&mut conn, &sample.stack.id).await.unwrap();
    assert_eq!(found, Some(config.clone()));
    drop(conn);
    config.settings.options = BuildOptions {
        image: Some("alpine:3".into()),
        commands: vec!["make \"it\"".into()],
        cache: Cache::Registry { image: "registry.example/web:cache".into() },
        memory_mb: Some(64),
        ..BuildOptions::default()
    };
    let stored = config.clone();
    test.db.write(move |tx| Box::pin(async move { build_configs::update(tx, &config).await })).await.unwrap();
    let row = sample::build(&sample.stack, None);
    let mut build =
        test.db.write(move |tx| Box::pin(async move { builds::insert(tx, row).await })).await.unwrap();
    assert_eq!(build.pushed, Vec::<String>::new());
    build.pushed = vec!["registry.example/web@sha256:0".into()];
    let pushed = build.clone();
    test.db.write(move |tx| Box::pin(async move { builds::update(tx, &build).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let found = build_configs::by_stack(&mut conn, &sample.stack.id).await.unwrap();
    assert_eq!(found, Some(stored));
    assert_eq!(builds::find(&mut conn, pushed.id.as_str()).await.unwrap().pushed, pushed.pushed);
}
