//! What stands in repositories, and what git servers say.

use windlass::domain::build_config::BuildSettings;
use windlass::domain::code::{Cursor, HostPurpose};
use windlass::domain::dockerignore::Ignore;
use windlass::domain::push_rules::PushRules;
use windlass::domain::remote::Remote;
use windlass::domain::submodule;
use windlass::domain::webhook::{ChangeKind, RefChange};
use windlass::git::HostKeys;

use super::halves;

/// What nothing was said of stays in the context.
pub fn dockerignore(text: &str) {
    let (path, patterns) = halves(text);
    // Each folder on the way is compared with each pattern: as deep as repositories are.
    let path = &path.split('/').take(32).collect::<Vec<_>>().join("/");
    if let Ok(ignore) = Ignore::parse(".dockerignore", patterns) {
        let is_out = ignore.leaves_out(path);
        assert!(!is_out || patterns.lines().any(|line| !line.trim().is_empty()), "{text:?}");
        let _ = ignore.has_exceptions();
    }
}

/// A submodule's address is one that a repository may have, and its path inside of the checkout.
pub fn submodules(text: &str) {
    let (parent, file) = halves(text);
    let Ok(modules) = submodule::read(file) else { return };
    for module in &modules {
        if let Ok(url) = submodule::address(&modules, &module.path, parent) {
            assert!(Remote::parse(&url).is_ok(), "{text:?}: {url}");
            let _ = submodule::is_same_origin(parent, &url);
        }
    }
}

/// A push that is deployed is one of a ref and a commit that git may be asked for.
pub fn push_rules(text: &str) {
    let mut lines = text.lines();
    let (name, commit) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let patterns: Vec<String> = lines.map(str::to_owned).collect();
    let (branches, paths) = patterns.split_at(patterns.len() / 2);
    let settings = BuildSettings {
        auto_deploy_on_push: true,
        auto_deploy_branches: branches.to_vec(),
        auto_deploy_tags: branches.to_vec(),
        auto_deploy_paths: paths.to_vec(),
        ..BuildSettings::default()
    };
    let Ok(rules) = PushRules::new(&settings, "main") else { return };
    for kind in [ChangeKind::BranchPushed, ChangeKind::TagPushed, ChangeKind::Other(name.to_owned())] {
        let change = RefChange {
            kind,
            name: name.to_owned(),
            before: None,
            after: Some(commit.to_owned()),
            head: None,
            skip_ci: false,
            paths: paths.to_vec(),
            all_paths: true,
        };
        if rules.reason_not_to_deploy(&change).is_none() {
            assert!(windlass::domain::reference::check_name(name).is_ok(), "{text:?}");
            assert!(windlass::domain::reference::check_commit(commit).is_ok(), "{text:?}");
        }
    }
}

/// What was read and is written is read as the same.
pub fn cursor(text: &str) {
    if let Ok(cursor) = Cursor::parse(text) {
        assert_eq!(Cursor::parse(&cursor.text()).ok(), Some(cursor), "{text:?}");
    }
}

/// A host that is forgotten is not trusted any more, and nobody else is.
pub fn known_hosts(text: &str) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("known_hosts");
    std::fs::write(&path, text).unwrap();
    let keys = HostKeys::new(path, HostPurpose::Git);
    let listed = || keys.list().unwrap();
    let before = listed();
    let Some(first) = before.first() else { return };
    assert!(keys.forget(&first.host).unwrap(), "{text:?}");
    assert!(listed().iter().all(|one| one.host != first.host && before.contains(one)), "{text:?}");
}
