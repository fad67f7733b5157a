//! From what git says about a ref to a [`Change`].

use super::words::{is_commit, is_no_commit};
use super::{Change, ChangeKind, malformed};
use crate::Failure;

/// One updated ref as git and most forges say it: the full name, and the commits before and after, where zeros mean
/// that there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefUpdate<'a> {
    /// `refs/heads/main` or `refs/tags/v1`.
    pub name: &'a str,
    /// Empty or zeros if the ref is new, or if it is not known.
    pub before: &'a str,
    /// Empty or zeros if the ref is gone.
    pub after: &'a str,
    /// Said in so many words that the ref is gone.
    pub deleted: bool,
}

impl RefUpdate<'_> {
    /// The change without its commits and paths.
    ///
    /// # Errors
    /// [`malformed`] if a commit id is none, or if there is none although the ref is not gone.
    pub fn change(self) -> Result<Change, Failure> {
        let (before, after) = (commit("before", self.before)?, commit("after", self.after)?);
        let gone = self.deleted || is_no_commit(self.after) && !self.after.is_empty();
        if !gone && after.is_none() {
            return Err(malformed(format!(
                "`after` is missing: it has to be the commit that `{}` points to now.",
                self.name
            )));
        }
        let (kind, name) = kind_and_name(self.name, gone)?;
        Ok(Change { before, after: after.filter(|_| !gone), ..Change::new(kind, name) })
    }
}

fn kind_and_name(full: &str, gone: bool) -> Result<(ChangeKind, &str), Failure> {
    let (branch, tag) = (full.strip_prefix("refs/heads/"), full.strip_prefix("refs/tags/"));
    let (kind, name) = match (branch, tag, gone) {
        (Some(name), _, false) => (ChangeKind::BranchPushed, name),
        (Some(name), _, true) => (ChangeKind::BranchDeleted, name),
        (_, Some(name), false) => (ChangeKind::TagPushed, name),
        (_, Some(name), true) => (ChangeKind::TagDeleted, name),
        (None, None, false) => (ChangeKind::Other("ref-pushed".to_owned()), full),
        (None, None, true) => (ChangeKind::Other("ref-deleted".to_owned()), full),
    };
    if name.is_empty() {
        return Err(malformed(format!("`ref` is `{full}`, which names no branch or tag.")));
    }
    Ok((kind, name))
}

fn commit(field: &str, sha: &str) -> Result<Option<String>, Failure> {
    if is_no_commit(sha) {
        return Ok(None);
    }
    let sha = sha.to_ascii_lowercase();
    if is_commit(&sha) {
        return Ok(Some(sha));
    }
    let shown: String = sha.chars().take(80).collect();
    Err(malformed(format!(
        "`{field}` is `{shown}`, but has to be a full commit id of 40 or 64 hexadecimal digits."
    )))
}

impl Change {
    /// A change of the branch or tag `name` without commits; add what is known.
    pub fn new(kind: ChangeKind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            before: None,
            after: None,
            head: None,
            skip_ci: false,
            paths: Vec::new(),
            extras: Vec::new(),
        }
    }

    /// The commit before.
    #[must_use]
    pub fn before(mut self, sha: &str) -> Self {
        self.before = Some(sha.to_owned());
        self
    }

    /// The commit after.
    #[must_use]
    pub fn after(mut self, sha: &str) -> Self {
        self.after = Some(sha.to_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEROS: &str = "0000000000000000000000000000000000000000";
    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn an_update_of_a_branch_is_a_push_from_one_commit_to_another() {
        let change = RefUpdate { name: "refs/heads/feature/x", before: A, after: B, deleted: false }.change();
        assert_eq!(change, Ok(Change::new(ChangeKind::BranchPushed, "feature/x").before(A).after(B)));
    }

    #[test]
    fn zeros_mean_that_there_is_no_commit() {
        let new = RefUpdate { name: "refs/tags/v1", before: ZEROS, after: B, deleted: false }.change();
        assert_eq!(new, Ok(Change::new(ChangeKind::TagPushed, "v1").after(B)));
        let gone = RefUpdate { name: "refs/heads/x", before: A, after: ZEROS, deleted: false }.change();
        assert_eq!(gone, Ok(Change::new(ChangeKind::BranchDeleted, "x").before(A)));
    }

    #[test]
    fn a_ref_that_is_neither_branch_nor_tag_keeps_its_full_name() {
        let change = RefUpdate { name: "refs/notes/commits", after: B, ..RefUpdate::default() }.change();
        assert_eq!(
            change,
            Ok(Change::new(ChangeKind::Other("ref-pushed".to_owned()), "refs/notes/commits").after(B))
        );
    }

    #[test]
    fn a_short_commit_id_and_a_missing_one_are_malformed() {
        for (after, word) in [("abc1234", "40 or 64"), ("", "missing"), ("HEAD", "40 or 64")] {
            let failure = RefUpdate { name: "refs/heads/main", after, ..RefUpdate::default() }
                .change()
                .expect_err("it is bad");
            assert_eq!(failure.code, "malformed-payload");
            assert!(failure.message.contains(word), "{}", failure.message);
        }
    }
}
