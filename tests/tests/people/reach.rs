//! The view that filters lists, and the rule that judges one row, say the same; on both databases.

use windlass::domain::Id;
use windlass::domain::access::{Grant, Limit, Owner, Reach, Rights, Role};
use windlass::domain::audit::Actor;
use windlass::domain::cicd::CicdProvider;
use windlass::domain::event::{EventKind, NewEvent};
use windlass::domain::page::PageRequest;
use windlass::domain::people::{Membership, Team, User};
use windlass::domain::project::Project;
use windlass::domain::token::{Token, TokenKind};
use windlass::store::audit::{self, AuditFilter, Call};
use windlass::store::events::{self, EventFilter};
use windlass::store::{
    Conn, Tx, cicd_providers, memberships, new_id, now, projects, stacks, teams, tenants, tokens, users,
};
use windlass_tests::database::TestDb;
use windlass_tests::{on_both_databases, sample};

on_both_databases!(lists_have_exactly_the_rows_that_the_rule_lets_one_see);

/// Two teams with two projects each.
async fn places(tx: &mut Tx) -> Vec<Project> {
    let tenant = tenants::ensure(tx, &new_id(), "default", now()).await.unwrap();
    let mut all = Vec::new();
    for name in ["a", "b"] {
        let team = Team { id: new_id(), tenant_id: tenant.clone(), name: name.into(), created_at: now() };
        teams::insert(tx, &team).await.unwrap();
        for n in 0..2 {
            let project = Project { team_id: team.id.clone(), ..sample::project(&format!("{name}{n}")) };
            all.push(projects::insert(tx, project).await.unwrap());
        }
    }
    all
}

/// What happens to a stack of each project, named as it is, in turn.
const HAPPENS: [EventKind; 3] =
    [EventKind::StackChanged, EventKind::DeploymentStatus, EventKind::StackChanged];

async fn happenings(tx: &mut Tx, places: &[Project]) {
    let mut all = Vec::new();
    for place in places {
        all.push(stacks::insert(tx, sample::stack(place, &place.name)).await.unwrap());
    }
    for kind in HAPPENS {
        for stack in &all {
            events::append(tx, NewEvent { kind, ..sample::event(Some(&stack.id)) }).await.unwrap();
        }
    }
}

/// The stacks of the past events that a token sees, newest first, page by page.
async fn past(conn: &mut Conn, token: &Id, kind: Option<EventKind>) -> Vec<String> {
    let filter = EventFilter { kind, ..EventFilter::default() };
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let request = PageRequest::new(before, Some(2));
        let page = events::list(conn, request, &filter, &Reach::of_token(token)).await.unwrap();
        all.extend(page.items.into_iter().filter_map(|event| event.stack));
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

/// Memberships of one person, by team and project.
fn grants(places: &[Project]) -> Vec<Vec<Grant>> {
    let team = |n: usize, role| Grant { team: places[n].team_id.clone(), project: None, role };
    let only = |n: usize, role| Grant { project: Some(places[n].id.clone()), ..team(n, role) };
    vec![
        vec![],
        vec![team(0, Role::Viewer)],
        vec![team(2, Role::Admin)],
        vec![only(1, Role::Deployer)],
        vec![only(0, Role::Viewer), only(3, Role::Admin)],
        vec![team(0, Role::Viewer), only(1, Role::Admin), only(2, Role::Developer)],
    ]
}

fn limits(places: &[Project]) -> Vec<Limit> {
    let (team, project) = (Some(places[0].team_id.clone()), Some(places[1].id.clone()));
    vec![
        Limit::default(),
        Limit { role: Some(Role::Viewer), ..Limit::default() },
        Limit { team: team.clone(), ..Limit::default() },
        Limit { project: project.clone(), ..Limit::default() },
        Limit { role: None, team, project },
    ]
}

fn user(tenant: &Id, n: usize, is_admin: bool) -> User {
    User {
        id: new_id(),
        tenant_id: tenant.clone(),
        name: format!("u{n}-{is_admin}"),
        is_admin,
        password_hash: None,
        totp_secret: None,
        totp_active: false,
        created_at: now(),
        last_login_at: None,
        disabled_at: None,
    }
}

fn token(owner: &Id, limit: &Limit) -> Token {
    let id = new_id();
    Token {
        hash: id.to_string(),
        id,
        seq: 0,
        name: "t".into(),
        prefix: "t".into(),
        created_at: now(),
        last_used_at: None,
        expires_at: None,
        revoked_at: None,
        user_id: Some(owner.clone()),
        kind: TokenKind::Api,
        limit: limit.clone(),
    }
}

/// An entry of the record about something of theirs.
async fn record(test: &TestDb, owner: Owner) {
    let call = Call::new("thing_update", "/things/1", "api", "192.0.2.1");
    call.identify(Actor::new("user", "ada"));
    let work = test.db.write(move |tx| {
        tx.is_about(owner);
        Box::pin(async { Ok(()) })
    });
    audit::during(call, work).await.unwrap();
}

/// A token sees the past of the stacks `seen`, the newest first, and of no others.
async fn assert_past(conn: &mut Conn, token: &Id, seen: &[&str], rights: &Rights) {
    let newest: Vec<&str> = seen.iter().rev().copied().collect();
    for kind in [None, Some(EventKind::StackChanged), Some(EventKind::BuildStatus)] {
        let times = HAPPENS.iter().filter(|happened| kind.is_none_or(|kind| kind == **happened)).count();
        assert_eq!(past(conn, token, kind).await, newest.repeat(times), "{rights:?}");
    }
}

async fn lists_have_exactly_the_rows_that_the_rule_lets_one_see(test: TestDb) {
    let cases = test
        .db
        .write(|tx| {
            Box::pin(async move {
                let places = places(tx).await;
                happenings(tx, &places).await;
                let tenant = tenants::ensure(tx, &new_id(), "default", now()).await.unwrap();
                let mut providers = Vec::new();
                for (n, team) in [Some(0), Some(2), None].into_iter().enumerate() {
                    let team_id = team.map(|at: usize| places[at].team_id.to_string());
                    let row = CicdProvider { team_id, ..sample::provider(&format!("ci{n}")) };
                    providers.push(cicd_providers::insert(tx, row).await?);
                }
                let mut cases = Vec::new();
                for (n, grants) in grants(&places).into_iter().enumerate() {
                    for is_admin in [false, true] {
                        let user = user(&tenant, n, is_admin);
                        users::insert(tx, &user).await?;
                        for grant in &grants {
                            let (id, user_id) = (new_id(), user.id.clone());
                            let user_name = user.name.clone();
                            let row =
                                Membership { id, user_id, user_name, grant: grant.clone(), created_at: 0 };
                            memberships::put(tx, &row).await?;
                        }
                        for limit in limits(&places) {
                            let token = tokens::insert(tx, token(&user.id, &limit)).await?;
                            let rights =
                                Rights { user: user.id.clone(), is_admin, grants: grants.clone(), limit };
                            cases.push((token.id, rights));
                        }
                    }
                }
                Ok((places, providers, cases))
            })
        })
        .await
        .unwrap();
    let (places, providers, cases) = cases;
    let (of_teams, of_records) = (cases.clone(), cases.clone());
    let whole = |at: usize| Owner::Team { team: places[at].team_id.clone(), project: None };
    let of_one = |row: &Project| Owner::Team { team: row.team_id.clone(), project: Some(row.id.clone()) };
    let mut recorded = vec![whole(0), whole(2), Owner::Installation];
    recorded.extend(places.iter().map(of_one));
    for owner in &recorded {
        record(&test, owner.clone()).await;
    }
    let mut conn = test.db.read().await.unwrap();
    assert_eq!(cases.len(), 6 * 2 * 5);
    for (token, rights) in cases {
        let page = projects::list(&mut conn, PageRequest::first(10), &Reach::of_token(&token)).await.unwrap();
        let mut listed: Vec<&str> = page.items.iter().map(|row| row.name.as_str()).collect();
        listed.reverse();
        let seen = places.iter().filter(|row| {
            let owner = Owner::Team { team: row.team_id.clone(), project: Some(row.id.clone()) };
            rights.role_on(&owner).is_some()
        });
        let seen: Vec<&str> = seen.map(|row| row.name.as_str()).collect();
        assert_eq!(listed, seen, "{rights:?}");
        assert_past(&mut conn, &token, &seen, &rights).await;
    }
    for (token, rights) in of_teams {
        let page =
            cicd_providers::list(&mut conn, PageRequest::first(10), &Reach::of_token(&token)).await.unwrap();
        let mut listed: Vec<&str> = page.items.iter().map(|row| row.name.as_str()).collect();
        listed.reverse();
        let seen = providers.iter().filter(|row| {
            let team = row.team_id.as_deref().map(Id::from_text);
            let owner = team.map_or(Owner::Installation, |team| Owner::Team { team, project: None });
            rights.role_on(&owner).is_some()
        });
        let seen: Vec<&str> = seen.map(|row| row.name.as_str()).collect();
        assert_eq!(listed, seen, "{rights:?}");
    }
    for (token, rights) in of_records {
        let (all, reach) = (AuditFilter::default(), Reach::of_token(&token));
        let page = audit::list(&mut conn, PageRequest::first(10), &all, &reach).await.unwrap();
        let mut listed: Vec<Owner> = page
            .items
            .into_iter()
            .map(|entry| Owner::Team { team: entry.team.unwrap(), project: entry.project })
            .collect();
        listed.reverse();
        let is_theirs =
            |owner: &&Owner| **owner != Owner::Installation && rights.role_on(owner) == Some(Role::Admin);
        let seen: Vec<Owner> = recorded.iter().filter(is_theirs).cloned().collect();
        assert_eq!(listed, seen, "{rights:?}");
        // The record narrows its list to the only team or project of somebody; that has to be all that they see.
        let (teams, projects) = (rights.admin_teams(), rights.admin_projects());
        let is_among = |owner: &Owner| match owner {
            Owner::Team { team, project } => {
                teams.contains(team) || project.as_ref().is_some_and(|project| projects.contains(project))
            }
            _ => false,
        };
        assert!(rights.is_admin || listed.iter().all(is_among), "{rights:?}");
    }
    let all = projects::list(&mut conn, PageRequest::first(10), &Reach::EVERYTHING).await.unwrap();
    assert_eq!(all.items.len(), 4);
}
