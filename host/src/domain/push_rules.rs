//! Which pushes a stack deploys. Compiled once for a delivery, which may carry a thousand changes.

use regex::Regex;

use super::build_config::BuildSettings;
use super::head::TAGS;
use super::path_filter::PathFilter;
use super::reference;
use super::webhook::{ChangeKind, ReasonCode, RefChange};
use crate::error::Result;

/// What a stack's build configuration says about pushes.
#[derive(Debug)]
pub struct PushRules {
    is_on: bool,
    /// Empty: the default branch only.
    branches: Vec<Regex>,
    /// `None`: no tags.
    tags: Option<PathFilter>,
    default_branch: String,
    paths: PathFilter,
}

impl PushRules {
    /// # Errors
    /// `Invalid` for a pattern that is none; the configuration was stored by a version that took it.
    pub fn new(settings: &BuildSettings, default_branch: &str) -> Result<Self> {
        Ok(Self {
            is_on: settings.auto_deploy_on_push,
            branches: settings.branch_patterns()?,
            tags: settings.tag_filter()?,
            default_branch: default_branch.to_owned(),
            paths: settings.path_filter()?,
        })
    }

    /// What a change of a ref means: `None` deploys it.
    pub fn reason_not_to_deploy(&self, change: &RefChange) -> Option<(ReasonCode, String)> {
        let name = change.name.escape_debug();
        let (reason, detail) = match &change.kind {
            ChangeKind::BranchPushed | ChangeKind::TagPushed => return self.reason_against_push(change),
            ChangeKind::BranchDeleted => (ReasonCode::BranchDeleted, format!("branch `{name}` was deleted")),
            ChangeKind::TagDeleted => (ReasonCode::TagIgnored, format!("tag `{name}` was deleted")),
            ChangeKind::Other(kind) => {
                (ReasonCode::UnsupportedEvent, format!("a change of kind `{}`", kind.escape_debug()))
            }
        };
        Some((reason, detail))
    }

    fn reason_against_push(&self, change: &RefChange) -> Option<(ReasonCode, String)> {
        let because = |reason, detail: String| Some((reason, detail));
        if let Some(tag) = change.tag().filter(|tag| !self.deploys_tag(tag)) {
            let why = match &self.tags {
                None => "tags are not deployed, since autoDeployTags has no pattern",
                Some(_) => "no pattern of autoDeployTags takes it",
            };
            return because(ReasonCode::TagIgnored, format!("tag `{}`: {why}", tag.escape_debug()));
        }
        if let Err(error) = reference::check_name(&change.name) {
            return because(ReasonCode::InvalidRef, error.to_string());
        }
        let Some(commit) = change.commit() else {
            return because(
                ReasonCode::Malformed,
                "the delivery does not say which commit was pushed".into(),
            );
        };
        if let Err(error) = reference::check_commit(commit) {
            return because(ReasonCode::InvalidRef, error.to_string());
        }
        if !self.is_on {
            return because(ReasonCode::AutoDeployOff, "autoDeployOnPush is off for this stack".into());
        }
        if change.tag().is_none() && !self.deploys_branch(&change.name) {
            return because(
                ReasonCode::BranchMismatch,
                format!("branch `{}`: {}", change.name, self.wanted()),
            );
        }
        if change.skip_ci {
            return because(ReasonCode::SkipCi, "the commit message asks not to be built".into());
        }
        // Where not every changed file is known, one of the others may be the reason to deploy. A tag changes none.
        if change.tag().is_none() && change.all_paths && !self.paths.takes(&change.paths) {
            let files = change.paths.len();
            return because(
                ReasonCode::PathMismatch,
                format!("none of the {files} changed files matches autoDeployPaths"),
            );
        }
        None
    }

    /// Whether pushes of this branch, or of this tag after [`TAGS`], may be deployed at all, whatever they change.
    pub fn wants(&self, name: &str) -> bool {
        let is_one = match name.strip_prefix(TAGS) {
            Some(tag) => self.deploys_tag(tag),
            None => self.deploys_branch(name),
        };
        self.is_on && is_one
    }

    fn deploys_tag(&self, tag: &str) -> bool {
        self.tags.as_ref().is_some_and(|patterns| patterns.takes_one(tag))
    }

    fn deploys_branch(&self, branch: &str) -> bool {
        if self.branches.is_empty() {
            return branch == self.default_branch;
        }
        self.branches.iter().any(|pattern| pattern.is_match(branch))
    }

    fn wanted(&self) -> String {
        if self.branches.is_empty() {
            return format!("only `{}` is deployed", self.default_branch);
        }
        "no pattern of autoDeployBranches matches it".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::webhook::PushCommit;

    fn push(name: &str) -> RefChange {
        RefChange {
            kind: ChangeKind::BranchPushed,
            name: name.into(),
            before: None,
            after: Some("a".repeat(40)),
            head: None,
            skip_ci: false,
            paths: Vec::new(),
            all_paths: false,
        }
    }

    fn of(settings: BuildSettings) -> impl Fn(&RefChange) -> Option<ReasonCode> {
        let rules = PushRules::new(&settings, "main").expect("good settings");
        move |change| rules.reason_not_to_deploy(change).map(|(reason, _)| reason)
    }

    #[test]
    fn a_push_to_the_default_branch_deploys() {
        assert_eq!(of(BuildSettings::default())(&push("main")), None);
    }

    #[test]
    fn every_other_change_has_its_own_reason() {
        let reason = of(BuildSettings::default());
        assert_eq!(reason(&push("dev")), Some(ReasonCode::BranchMismatch));
        assert_eq!(reason(&push("-h")), Some(ReasonCode::InvalidRef));
        assert_eq!(reason(&RefChange { skip_ci: true, ..push("main") }), Some(ReasonCode::SkipCi));
        assert_eq!(
            reason(&RefChange { kind: ChangeKind::TagPushed, ..push("v1") }),
            Some(ReasonCode::TagIgnored)
        );
        assert_eq!(
            reason(&RefChange { kind: ChangeKind::BranchDeleted, after: None, ..push("main") }),
            Some(ReasonCode::BranchDeleted)
        );
        assert_eq!(reason(&RefChange { after: None, ..push("main") }), Some(ReasonCode::Malformed));
        assert_eq!(
            reason(&RefChange { after: Some("HEAD".into()), ..push("main") }),
            Some(ReasonCode::InvalidRef)
        );
        let off = of(BuildSettings { auto_deploy_on_push: false, ..BuildSettings::default() });
        assert_eq!(off(&push("main")), Some(ReasonCode::AutoDeployOff));
    }

    #[test]
    fn a_pattern_matches_the_whole_branch_name() {
        let reason =
            of(BuildSettings { auto_deploy_branches: vec!["release/.*|hot".into()], ..Default::default() });
        assert_eq!(reason(&push("release/1.2")), None);
        assert_eq!(reason(&push("hot")), None);
        for other in ["my-release/1.2", "hotter", "main"] {
            assert_eq!(reason(&push(other)), Some(ReasonCode::BranchMismatch), "{other}");
        }
    }

    #[test]
    fn a_tag_deploys_where_a_pattern_takes_it() {
        let tag = |name: &str| RefChange { kind: ChangeKind::TagPushed, ..push(name) };
        let settings = |tags: &[&str]| BuildSettings {
            auto_deploy_tags: tags.iter().map(|&text| text.to_owned()).collect(),
            auto_deploy_paths: vec!["src/**".into()],
            ..Default::default()
        };
        let reason = of(settings(&["v*", "!*-rc*"]));
        // What it changes does not matter, since it changes no file.
        assert_eq!(reason(&RefChange { all_paths: true, ..tag("v1.2") }), None);
        for other in ["v1-rc1", "w1", "v/1"] {
            assert_eq!(reason(&tag(other)), Some(ReasonCode::TagIgnored), "{other}");
        }
        assert_eq!(reason(&push("v1.2")), Some(ReasonCode::BranchMismatch));
        assert_eq!(reason(&RefChange { skip_ci: true, ..tag("v1") }), Some(ReasonCode::SkipCi));
        assert_eq!(reason(&RefChange { after: None, ..tag("v1") }), Some(ReasonCode::Malformed));
        let deleted = RefChange { kind: ChangeKind::TagDeleted, after: None, ..push("v1") };
        assert_eq!(reason(&deleted), Some(ReasonCode::TagIgnored));
        let rules = PushRules::new(&settings(&["v*"]), "main").expect("good settings");
        assert!(rules.wants("refs/tags/v1") && !rules.wants("refs/tags/w1") && !rules.wants("v1"));
        let off = BuildSettings { auto_deploy_on_push: false, ..settings(&["v*"]) };
        assert_eq!(of(off)(&tag("v1")), Some(ReasonCode::AutoDeployOff));
    }

    #[test]
    fn the_commit_of_an_annotated_tag_is_what_it_leads_to() {
        let head =
            PushCommit { sha: "b".repeat(40), message: String::new(), author: String::new(), at: None };
        let branch = RefChange { head: Some(head), ..push("main") };
        let tag = RefChange { kind: ChangeKind::TagPushed, ..branch.clone() };
        assert_eq!((branch.commit(), tag.commit()), (branch.after.as_deref(), Some("b".repeat(40).as_str())));
    }

    #[test]
    fn files_count_only_where_all_of_them_are_known() {
        let reason = of(BuildSettings { auto_deploy_paths: vec!["src/**".into()], ..Default::default() });
        let changed = |paths: &[&str], all_paths| RefChange {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            all_paths,
            ..push("main")
        };
        assert_eq!(reason(&changed(&["docs/a.md", "src/a.rs"], true)), None);
        assert_eq!(reason(&changed(&["docs/a.md"], true)), Some(ReasonCode::PathMismatch));
        assert_eq!(reason(&changed(&["docs/a.md"], false)), None);
        assert_eq!(reason(&changed(&[], false)), None);
    }
}
