//! Channels, rules, and what was told.

use serde_json::json;
use windlass::{
    domain::{
        Id,
        notification::Notification,
        notify::{Channel, Delivery, DeliveryStatus, Rule, Trouble},
        page::PageRequest,
        people::{DEFAULT_ID, DEFAULT_NAME, Team},
    },
    error::Error,
    store::{
        new_id, notification_channels as channels, notification_deliveries as deliveries, now, teams, tenants,
    },
};
use windlass_tests::{database::TestDb, on_both_databases, sample};

on_both_databases!(
    a_channel_is_found_by_number_and_its_name_is_the_teams,
    rules_in_force_are_those_of_channels_that_are_on,
    events_join_only_what_nobody_has_tried_to_send,
    what_waits_is_brought_forward_but_never_put_off,
    the_outbox_is_read_by_one_node_at_a_time,
    a_delivery_is_found_if_it_was_forgotten_and_removed_when_it_is_old,
);

fn channel(name: &str) -> Channel {
    Channel {
        id: new_id(),
        seq: 0,
        team_id: Id::from_text(DEFAULT_ID.to_owned()),
        name: name.into(),
        plugin: "webhook-notify".into(),
        url: "https://a.example".into(),
        settings: json!({ "events": [] }),
        credentials: Some("sealed".into()),
        previous_until: Some(7),
        private_network: true,
        certificates: None,
        enabled: true,
        created_at: now(),
        updated_at: now(),
    }
}

fn rule(channel: &Channel, stack: Option<&Id>) -> Rule {
    let plan = serde_json::from_value(json!({ "events": ["*"], "title": "{{title}}" })).unwrap();
    Rule {
        id: new_id(),
        seq: 0,
        channel_id: channel.id.clone(),
        stack_id: stack.cloned(),
        plan,
        created_at: 1,
        updated_at: 1,
    }
}

fn delivery(channel: &Channel, rule: &Rule, next_at: i64) -> Delivery {
    Delivery {
        id: new_id(),
        seq: 0,
        channel_id: channel.id.clone(),
        rule_id: Some(rule.id.clone()),
        topic: "stack".into(),
        told: vec![Notification::sample()],
        status: DeliveryStatus::Pending,
        attempts: 0,
        requests_sent: 0,
        last_status: None,
        reason: None,
        next_at,
        deadline_at: next_at + 1000,
        created_at: 5,
        finished_at: None,
    }
}

async fn stored(test: &TestDb, name: &str, stack: Option<&Id>) -> (Channel, Rule) {
    let channel = channel(name);
    let rule = rule(&channel, stack);
    test.db
        .write(move |tx| {
            Box::pin(async move {
                let team = Id::from_text(DEFAULT_ID.to_owned());
                if teams::find_opt(tx, DEFAULT_ID).await?.is_none() {
                    let tenant_id = tenants::ensure(tx, &team, DEFAULT_NAME, 1).await?;
                    let name = DEFAULT_NAME.to_owned();
                    teams::insert(tx, &Team { id: team, tenant_id, name, created_at: 1 }).await?;
                }
                let channel = channels::insert(tx, channel).await?;
                Ok((channel, channels::rule_insert(tx, rule).await?))
            })
        })
        .await
        .unwrap()
}

async fn put(test: &TestDb, new: Delivery) -> Delivery {
    test.db.write(move |tx| Box::pin(async move { deliveries::insert(tx, new).await })).await.unwrap()
}

async fn a_channel_is_found_by_number_and_its_name_is_the_teams(test: TestDb) {
    let (stored, _) = stored(&test, "chat", None).await;
    assert_eq!(stored.seq, 1);
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(channels::find(&mut conn, "1").await.unwrap(), stored);
    assert_eq!(channels::find(&mut conn, stored.id.as_str()).await.unwrap(), stored);
    assert_eq!(
        channels::list_by_team(&mut conn, &stored.team_id).await.unwrap(),
        std::slice::from_ref(&stored)
    );
    drop(conn);
    let twice = channel("chat");
    let twice = test.db.write(move |tx| Box::pin(async move { channels::insert(tx, twice).await })).await;
    assert!(matches!(&twice, Err(Error::Conflict(said)) if said.contains("chat")), "{twice:?}");
    let changed = Channel { name: "room".into(), enabled: false, credentials: None, ..stored.clone() };
    let again = changed.clone();
    test.db.write(move |tx| Box::pin(async move { channels::update(tx, &again).await })).await.unwrap();
    let now = channels::find(&mut test.db.read().await.unwrap(), "1").await.unwrap();
    assert_eq!(now, Channel { credentials: stored.credentials.clone(), ..changed.clone() });
    let forget = test
        .db
        .write(move |tx| Box::pin(async move { channels::set_credentials(tx, &stored.id, None).await }));
    forget.await.unwrap();
    let now = channels::find(&mut test.db.read().await.unwrap(), "1").await.unwrap();
    assert_eq!(now, changed);
}

async fn rules_in_force_are_those_of_channels_that_are_on(test: TestDb) {
    let sample = sample::store(&test.db, "web").await;
    let (chat, first) = stored(&test, "chat", Some(&sample.stack.id)).await;
    let (off, _) = stored(&test, "off", None).await;
    let off = Channel { enabled: false, ..off };
    test.db.write(move |tx| Box::pin(async move { channels::update(tx, &off).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    let in_force = channels::rules_in_force(&mut conn).await.unwrap();
    assert_eq!(in_force, [(first.clone(), chat.team_id.clone())]);
    assert_eq!(channels::rules_of(&mut conn, &chat.id).await.unwrap(), std::slice::from_ref(&first));
    drop(conn);
    let trouble = Trouble { since: 1, told_at: 2, times: 3 };
    let (id, kept) = (first.id.clone(), trouble.clone());
    let found = test
        .db
        .write(move |tx| {
            Box::pin(async move {
                channels::trouble_put(tx, &id, "deployment:1", Some(&Trouble { times: 1, ..kept.clone() }))
                    .await?;
                channels::trouble_put(tx, &id, "deployment:1", Some(&kept)).await?;
                let found = channels::trouble(tx, &id, "deployment:1").await?;
                channels::trouble_put(tx, &id, "deployment:1", None).await?;
                Ok((found, channels::trouble(tx, &id, "deployment:1").await?))
            })
        })
        .await
        .unwrap();
    assert_eq!(found, (Some(trouble), None));
}

async fn events_join_only_what_nobody_has_tried_to_send(test: TestDb) {
    let (channel, rule) = stored(&test, "chat", None).await;
    let open = put(&test, delivery(&channel, &rule, 100)).await;
    let join = async |topic: &'static str, at: i64| {
        let rule = rule.id.clone();
        let told = Notification { title: "joined".into(), ..Notification::sample() };
        test.db
            .write(move |tx| Box::pin(async move { deliveries::join(tx, &rule, topic, &told, at).await }))
            .await
            .unwrap()
    };
    assert!(join("stack", 50).await);
    assert!(!join("other", 50).await, "about something else");
    assert!(!join("stack", 100).await, "it is due");
    let id = open.id.clone();
    assert!(
        test.db.write(move |tx| Box::pin(async move { deliveries::begin(tx, &id).await })).await.unwrap()
    );
    assert!(!join("stack", 50).await, "it is being sent");
    let mut conn = test.db.read().await.unwrap();
    let row = deliveries::find(&mut conn, &channel.id, &open.seq.to_string()).await.unwrap();
    assert_eq!((row.told.len(), row.told[1].title.as_str(), row.attempts), (2, "joined", 1));
    assert_eq!(deliveries::last(&mut conn, &channel.id).await.unwrap(), Some(row));
}

async fn what_waits_is_brought_forward_but_never_put_off(test: TestDb) {
    let (channel, rule) = stored(&test, "chat", None).await;
    let late = put(&test, delivery(&channel, &rule, 100)).await;
    let soon = put(&test, delivery(&channel, &rule, 40)).await;
    let forward = async |topic: &'static str| {
        let rule = rule.id.clone();
        test.db
            .write(move |tx| Box::pin(async move { deliveries::bring_forward(tx, &rule, topic, 50).await }))
            .await
            .unwrap()
    };
    assert_eq!(forward("other").await, Vec::<Id>::new(), "about something else");
    assert_eq!(forward("stack").await, std::slice::from_ref(&late.id));
    assert_eq!(forward("stack").await, Vec::<Id>::new(), "it is as early already");
    let mut conn = test.db.read().await.unwrap();
    let at = async |id: &Id, conn: &mut _| deliveries::find_opt(conn, id).await.unwrap().unwrap().next_at;
    assert_eq!((at(&late.id, &mut conn).await, at(&soon.id, &mut conn).await), (50, 40));
}

async fn the_outbox_is_read_by_one_node_at_a_time(test: TestDb) {
    let mut conn = test.db.read().await.unwrap();
    let from = deliveries::cursor(&mut conn).await.unwrap();
    drop(conn);
    let advance = async || {
        test.db.write(move |tx| Box::pin(async move { deliveries::advance(tx, from, from + 5).await })).await
    };
    let (one, two) = tokio::join!(advance(), advance());
    let mut both = [one.unwrap(), two.unwrap()];
    both.sort_unstable();
    assert_eq!(both, [false, true]);
}

async fn a_delivery_is_found_if_it_was_forgotten_and_removed_when_it_is_old(test: TestDb) {
    let (channel, rule) = stored(&test, "chat", None).await;
    let forgotten = put(&test, delivery(&channel, &rule, 100)).await;
    let over = put(&test, delivery(&channel, &rule, 100)).await;
    let over = Delivery {
        status: DeliveryStatus::Dead,
        attempts: 3,
        last_status: Some(503),
        reason: Some("no\0answer".into()),
        finished_at: Some(9),
        ..over
    };
    let changed = over.clone();
    test.db.write(move |tx| Box::pin(async move { deliveries::update(tx, &changed).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(deliveries::late(&mut conn, 100).await.unwrap(), []);
    assert_eq!(deliveries::late(&mut conn, 101).await.unwrap(), std::slice::from_ref(&forgotten.id));
    assert_eq!(deliveries::count_open(&mut conn).await.unwrap(), 1);
    let page = deliveries::list(&mut conn, &channel.id, PageRequest::first(1)).await.unwrap();
    assert_eq!((page.items[0].reason.as_deref(), page.next), (Some("no\u{fffd}answer"), Some(2)));
    drop(conn);
    let pruned =
        test.db.write(|tx| Box::pin(async move { deliveries::prune(tx, 6, 10).await })).await.unwrap();
    assert_eq!(pruned, 1, "what has not ended stays");
    let (gone, rule) = (channel.id.clone(), rule.id.clone());
    test.db.write(move |tx| Box::pin(async move { channels::delete(tx, &gone).await })).await.unwrap();
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(deliveries::find_opt(&mut conn, &forgotten.id).await.unwrap(), None);
    assert_eq!(channels::rule_opt(&mut conn, &rule).await.unwrap(), None);
}
