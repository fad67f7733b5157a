//! Which pushes a stack deploys. Compiled once for a delivery, which may carry a thousand changes.

use regex::Regex;

use super::build_config::BuildSettings;
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
            default_branch: default_branch.to_owned(),
            paths: settings.path_filter()?,
        })
    }

    /// What a change of a ref means: `None` deploys it.
    pub fn reason_not_to_deploy(&self, change: &RefChange) -> Option<(ReasonCode, String)> {
        let name = change.name.escape_debug();
        let (reason, detail) = match &change.kind {
            ChangeKind::BranchPushed => return self.reason_against_push(change),
            ChangeKind::BranchDeleted => (ReasonCode::BranchDeleted, format!("branch `{name}` was deleted")),
            ChangeKind::TagPushed | ChangeKind::TagDeleted => {
                (ReasonCode::TagIgnored, format!("tag `{name}`: tags are not deployed"))
            }
            ChangeKind::Other(kind) => {
                (ReasonCode::UnsupportedEvent, format!("a change of kind `{}`", kind.escape_debug()))
            }
        };
        Some((reason, detail))
    }

    fn reason_against_push(&self, change: &RefChange) -> Option<(ReasonCode, String)> {
        let because = |reason, detail: String| Some((reason, detail));
        if let Err(error) = reference::check_name(&change.name) {
            return because(ReasonCode::InvalidRef, error.to_string());
        }
        let Some(after) = &change.after else {
            return because(
                ReasonCode::Malformed,
                "the delivery does not say which commit was pushed".into(),
            );
        };
        if let Err(error) = reference::check_commit(after) {
            return because(ReasonCode::InvalidRef, error.to_string());
        }
        if !self.is_on {
            return because(ReasonCode::AutoDeployOff, "autoDeployOnPush is off for this stack".into());
        }
        if !self.deploys_branch(&change.name) {
            return because(
                ReasonCode::BranchMismatch,
                format!("branch `{}`: {}", change.name, self.wanted()),
            );
        }
        if change.skip_ci {
            return because(ReasonCode::SkipCi, "the commit message asks not to be built".into());
        }
        // Where not every changed file is known, one of the others may be the reason to deploy.
        if change.all_paths && !self.paths.takes(&change.paths) {
            let files = change.paths.len();
            return because(
                ReasonCode::PathMismatch,
                format!("none of the {files} changed files matches autoDeployPaths"),
            );
        }
        None
    }

    /// Whether pushes of this branch may be deployed at all, whatever they change.
    pub fn wants(&self, branch: &str) -> bool {
        self.is_on && self.deploys_branch(branch)
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
