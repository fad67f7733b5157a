use super::*;

fn id(text: &str) -> Id {
    Id::from_text(text)
}

fn rights(grants: &[(&str, Option<&str>, Role)]) -> Rights {
    let grants = grants
        .iter()
        .map(|(team, project, role)| Grant { team: id(team), project: project.map(id), role: *role })
        .collect();
    Rights { user: id("me"), is_admin: false, grants, limit: Limit::default() }
}

fn of(team: &str, project: Option<&str>) -> Owner {
    Owner::Team { team: id(team), project: project.map(id) }
}

#[test]
fn a_policy_is_a_role_and_a_subject() {
    assert_eq!(
        Policy::parse("deployer:stack"),
        Some(Policy { role: Role::Deployer, subject: Subject::Stack })
    );
    for odd in ["", "deployer", "deployer:", ":stack", "root:stack", "deployer:stacks", "Deployer:stack"] {
        assert_eq!(Policy::parse(odd), None, "{odd}");
    }
    assert!(Subject::Stack.is_named_by("service") && Subject::Task.is_named_by("job"));
    assert!(!Subject::Any.is_named_by("any"));
}

#[test]
fn the_strongest_role_counts_and_a_project_s_role_ends_at_the_project() {
    let rights = rights(&[("a", None, Role::Viewer), ("a", Some("p"), Role::Deployer)]);
    assert_eq!(rights.role_on(&of("a", Some("p"))), Some(Role::Deployer));
    assert_eq!(rights.role_on(&of("a", Some("q"))), Some(Role::Viewer));
    assert_eq!(rights.role_on(&of("a", None)), Some(Role::Viewer));
    assert_eq!(rights.role_on(&of("b", Some("p"))), None);
}

#[test]
fn a_limited_token_never_does_more_than_its_owner_nor_than_its_limit() {
    let mut limited = rights(&[("a", None, Role::Developer), ("b", None, Role::Admin)]);
    limited.limit = Limit { role: Some(Role::Deployer), team: Some(id("a")), project: Some(id("p")) };
    assert_eq!(limited.role_on(&of("a", Some("p"))), Some(Role::Developer));
    assert_eq!(limited.role_on(&of("a", Some("q"))), None);
    assert_eq!(limited.role_on(&of("a", None)), None);
    assert_eq!(limited.role_on(&of("b", Some("p"))), None);
    limited.is_admin = true;
    assert_eq!(limited.role_on(&of("a", Some("p"))), Some(Role::Deployer));
    assert_eq!(limited.role_on(&Owner::Installation), None);
    limited.limit = Limit { role: Some(Role::Viewer), ..Limit::default() };
    assert_eq!(limited.role_on(&Owner::Installation), Some(Role::Viewer));
    assert!(!limited.is_server_admin() && !limited.has_anywhere(Role::Admin));
}

#[test]
fn projects_that_one_administers_end_where_the_token_does() {
    let mut rights = rights(&[
        ("a", None, Role::Viewer),
        ("a", Some("p"), Role::Admin),
        ("b", Some("q"), Role::Admin),
        ("b", Some("r"), Role::Deployer),
    ]);
    let of = |rights: &Rights| rights.admin_projects().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(of(&rights), ["p", "q"]);
    rights.limit.team = Some(id("a"));
    assert_eq!(of(&rights), ["p"]);
    rights.limit = Limit { project: Some(id("q")), ..Limit::default() };
    assert_eq!(of(&rights), ["q"]);
    rights.limit.project = Some(id("r"));
    assert_eq!(of(&rights), [""; 0]);
    rights.grants.push(Grant { team: id("b"), project: None, role: Role::Admin });
    assert_eq!(of(&rights), ["r"]);
    rights.limit.role = Some(Role::Deployer);
    assert_eq!(of(&rights), [""; 0]);
}

#[test]
fn what_is_one_s_own_is_nobody_else_s() {
    let rights = rights(&[("a", None, Role::Admin)]);
    assert_eq!(rights.role_on(&Owner::Person(id("me"))), Some(Role::Admin));
    assert_eq!(rights.role_on(&Owner::Person(id("you"))), None);
    assert_eq!(rights.role_on(&Owner::Installation), None);
    assert_eq!(rights.role_on(&Owner::Everyone), Some(Role::Viewer));
    assert!(rights.has_anywhere(Role::Admin));
}
