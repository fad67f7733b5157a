use super::*;
use crate::domain::forge::PullRequestState;

const NOW: UnixMs = 1_000_000;

fn watch(most: u32) -> PreviewWatch {
    PreviewWatch {
        stack_id: Id::from_text("web"),
        settings: PreviewSettings { most, days: 1, ..PreviewSettings::default() },
        enabled: true,
        next_at: 0,
        ask_at: 0,
        asked_at: None,
        error: None,
    }
}

fn pull(number: u64, commit: char) -> PullRequest {
    PullRequest {
        number,
        title: "A change".into(),
        state: PullRequestState::Open,
        author: "octo".into(),
        head_branch: format!("change-{number}"),
        head_commit: commit.to_string().repeat(40),
        base_branch: "main".into(),
        from_fork: false,
        url: String::new(),
    }
}

/// Number and state, in the order of numbers.
fn states(rows: &[Preview]) -> Vec<(i64, &'static str)> {
    let mut all: Vec<_> = rows.iter().map(|row| (row.number, row.state.as_str())).collect();
    all.sort_unstable();
    all
}

fn live(rows: Vec<Preview>) -> Vec<Preview> {
    let shown = |row: Preview| match row.state {
        PreviewState::Live => Preview {
            stack_id: Some(Id::from_text(format!("stack-{}", row.number))),
            deployed: Some(row.commit.clone()),
            ..row
        },
        _ => row,
    };
    rows.into_iter().map(shown).collect()
}

#[test]
fn the_oldest_are_shown_first_and_what_is_shown_stays() {
    let watch = watch(2);
    let first = live(follow(&watch, "main", &[pull(9, 'a'), pull(5, 'a'), pull(7, 'a')], &[], NOW));
    assert_eq!(states(&first), [(5, "live"), (7, "live"), (9, "waiting")]);
    let all = [pull(9, 'a'), pull(7, 'b'), pull(5, 'a'), pull(3, 'a')];
    let second = follow(&watch, "main", &all, &first, NOW);
    assert_eq!(states(&second), [(3, "waiting"), (5, "live"), (7, "live"), (9, "waiting")]);
    let third = follow(&watch, "main", &[pull(9, 'a'), pull(7, 'b')], &second, NOW);
    assert_eq!(states(&third), [(3, "ending"), (5, "ending"), (7, "live"), (9, "live")]);
}

#[test]
fn forks_other_branches_and_hostile_names_get_none() {
    let fork = PullRequest { from_fork: true, ..pull(1, 'a') };
    let elsewhere = PullRequest { base_branch: "release".into(), ..pull(2, 'a') };
    let hostile = PullRequest { head_branch: "--upload-pack=x".into(), ..pull(3, 'a') };
    let odd = PullRequest { head_commit: "HEAD".into(), ..pull(4, 'a') };
    let rows = follow(&watch(5), "main", &[fork, elsewhere, hostile, odd], &[], NOW);
    assert_eq!(states(&rows), [(1, "fork")]);
}

#[test]
fn a_lease_ends_and_only_a_new_commit_begins_another() {
    let watch = watch(5);
    let rows = live(follow(&watch, "main", &[pull(1, 'a')], &[], NOW));
    assert_eq!(rows[0].expires_at, NOW + DAY_MS);
    let later = NOW + DAY_MS - 1;
    assert!(!is_over(&rows[0], later) && is_over(&rows[0], later + 1));
    let rows = follow(&watch, "main", &[pull(1, 'a')], &rows, later);
    assert_eq!(rows[0].expires_at, NOW + DAY_MS, "being looked at is no reason to stay");
    let over = [Preview { state: PreviewState::Expired, stack_id: None, ..rows[0].clone() }];
    assert_eq!(states(&follow(&watch, "main", &[pull(1, 'a')], &over, later)), [(1, "expired")]);
    let again = follow(&watch, "main", &[pull(1, 'b')], &over, later);
    assert_eq!((states(&again), again[0].expires_at), (vec![(1, "live")], later + DAY_MS));
}

#[test]
fn a_stack_that_somebody_deleted_does_not_come_back_by_itself() {
    let rows = live(follow(&watch(5), "main", &[pull(1, 'a')], &[], NOW));
    assert!(is_over(&Preview { stack_id: None, ..rows[0].clone() }, NOW));
    let unbuilt = Preview { stack_id: None, deployed: None, ..rows[0].clone() };
    assert!(!is_over(&unbuilt, NOW), "it only has not begun yet");
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_field() {
    let field = |settings: PreviewSettings| match settings.check() {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let host = |host: &str| PreviewSettings { host: host.into(), ..PreviewSettings::default() };
    assert_eq!(field(host("shop.example")), "host");
    assert_eq!(field(host("*.{number}.shop.example")), "host");
    assert_eq!(field(host("pr {number}.shop.example")), "host");
    assert_eq!(field(PreviewSettings { days: 0, ..host("") }), "days");
    assert_eq!(field(PreviewSettings { most: 101, ..host("") }), "most");
    assert!(host("pr-{number}.shop.example").check().is_ok());
    assert_eq!(host("pr-{number}.shop.example").traffic(7).hosts, ["pr-7.shop.example"]);
}

#[test]
fn a_preview_has_neither_the_ports_nor_the_volumes_of_its_parent() {
    let parent: RunSpec = serde_json::from_value(serde_json::json!({
        "replicas": 3, "ports": [{ "container": 80, "host": 8080, "address": "0.0.0.0" }],
        "volumes": [{ "name": "data", "path": "/data" }],
    }))
    .unwrap_or_default();
    let run = run_spec(&parent);
    assert_eq!((run.replicas, run.volumes.len(), parent.volumes.len()), (1, 0, 1));
    assert_eq!(
        (run.ports[0].container, run.ports[0].host, run.ports[0].address.as_str()),
        (80, None, "127.0.0.1")
    );
}

#[test]
fn a_preview_is_sent_to_no_registry_and_built_for_its_own_engine() {
    let platforms_of = |platforms: &[&str]| {
        let mut parent = BuildSettings::default();
        parent.options.push.push("registry.example/team/web".into());
        parent.options.platforms = platforms.iter().map(|&name| name.to_owned()).collect();
        if platforms.len() == 1 {
            parent.options.cache = Cache::Registry { image: "registry.example/team/web:cache".into() };
        }
        assert!(parent.check().is_ok(), "{platforms:?}");
        let build = build_settings(&parent);
        assert!(build.check().is_ok(), "{platforms:?}: a preview's stack is checked as any other");
        assert!(build.options.push.is_empty() && build.options.cache == Cache::Local);
        assert!(!build.auto_deploy_on_push);
        build.options.platforms
    };
    assert_eq!(platforms_of(&["linux/amd64", "linux/arm64"]), Vec::<String>::new());
    assert_eq!(platforms_of(&["linux/arm64"]), ["linux/arm64"]);
}
