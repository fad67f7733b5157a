//! Submodules beneath a checkout, for builds that ask for them.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{Checkout, Git, GitAuth, Log, RepoAccess, checkout::Part};
use crate::{
    domain::{Id, submodule},
    error::{Error, Result},
};

/// Between the name of a mirror and what tells those of its submodules apart.
const BEHIND: &str = "-sub-";
/// Hex digits of that.
const DIGITS: usize = 16;

/// A part of the checkout whose submodules are missing.
struct Open {
    part: Part,
    /// Where it is, and from which address.
    folder: PathBuf,
    url: String,
    depth: usize,
}

impl Git {
    /// Like [`Git::checkout`], with the submodules, and theirs. Each is fetched by the rules of every repository; the
    /// credentials of `repo` are shown to its own server only. Of all that `.gitmodules` may say, nothing else counts.
    ///
    /// # Errors
    /// As [`Git::checkout`] and [`Git::fetch`]; `Failed` with the reason if a submodule is refused, if there are more than
    /// 32, or if they are nested more than 3 deep.
    pub async fn checkout_whole(
        &self,
        repo: &RepoAccess,
        sha: &str,
        build: &Id,
        cancel: &CancellationToken,
        log: Log,
    ) -> Result<Checkout> {
        let (checkout, part) = self.checkout_begun(&repo.id, sha, build, &log).await?;
        let folder = checkout.path().to_path_buf();
        let mut written = part.written;
        let (mut open, mut count) = (vec![Open { part, folder, url: repo.url.clone(), depth: 0 }], 0);
        while let Some(mut next) = open.pop() {
            let missing = std::mem::take(&mut next.part.submodules);
            count += missing.len();
            check_bounds(&missing, next.depth, count)?;
            let modules = match missing.is_empty() {
                true => continue,
                false => said(&next.part)?,
            };
            for (path, sha) in missing {
                let shown = readable(&path)?;
                let url = submodule::address(&modules, shown, &next.url)?;
                let access = beneath(repo, url);
                log(&format!("Submodule {shown}:"));
                self.fetch(&access, cancel, log.clone()).await?;
                let folder = next.folder.join(&path);
                let (folder, part) = self
                    .write(&access.id, &sha, written, &log, move || Ok(folder))
                    .await
                    .map_err(|error| missing_commit(error, shown, &access))?;
                written = part.written;
                open.push(Open { part, folder, url: access.url, depth: next.depth + 1 });
            }
        }
        Ok(checkout)
    }
}

fn check_bounds(missing: &[(PathBuf, String)], depth: usize, count: usize) -> Result<()> {
    if !missing.is_empty() && depth >= submodule::DEEPEST {
        let most = submodule::DEEPEST;
        return Err(Error::failed(format!("the commit's submodules are nested more than {most} deep")));
    }
    if count > submodule::MOST {
        let most = submodule::MOST;
        return Err(Error::failed(format!("the commit has more than {most} submodules, counting theirs")));
    }
    Ok(())
}

/// What `.gitmodules` says.
fn said(part: &Part) -> Result<Vec<submodule::Module>> {
    let bytes = part.modules.as_deref().unwrap_or_default();
    if bytes.len() > submodule::LONGEST_FILE {
        return Err(Error::TooLarge { what: "file .gitmodules", limit: submodule::LONGEST_FILE as u64 });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Error::failed(".gitmodules is not UTF-8 text"))?;
    submodule::read(text)
}

fn readable(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let shown = path.display().to_string();
        Error::failed(format!("the name of the submodule `{}` is not UTF-8 text", shown.escape_debug()))
    })
}

/// How a submodule is reached. Its mirror is beside that of the repository whose builds need it, so that no other stack
/// reads what these credentials have fetched.
fn beneath(repo: &RepoAccess, url: String) -> RepoAccess {
    let digest = hex::encode(Sha256::digest(&url));
    let auth = match submodule::is_same_origin(&repo.url, &url) {
        true => repo.auth.clone(),
        false => GitAuth::None,
    };
    RepoAccess { id: Id::from_text(format!("{}{BEHIND}{}", repo.id, &digest[..DIGITS])), url, auth }
}

/// The mirror of the repository that has a submodule, for the mirror of the submodule; itself for every other.
pub(super) fn owner(mirror: &Id) -> Id {
    match mirror.as_str().rsplit_once(BEHIND) {
        Some((owner, digits)) if digits.len() == DIGITS => Id::from_text(owner),
        _ => mirror.clone(),
    }
}

fn missing_commit(error: Error, path: &str, access: &RepoAccess) -> Error {
    match error {
        Error::NotFound { what: "commit", id } => Error::failed(format!(
            "the submodule `{path}` is at commit {id}, which no branch or tag of {} leads to; push it there",
            access.shown()
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_a_submodule_belongs_to_the_one_above_and_knows_its_credentials_only_at_home() {
        let auth = GitAuth::HttpToken { username: None, token: "secret".into() };
        let id = Id::from_text("0190b5b8-5b3c-7000-8000-000000000000");
        let repo = RepoAccess { id: id.clone(), url: "https://git.example/a".into(), auth: auth.clone() };
        let near = beneath(&repo, "https://git.example/b".into());
        let far = beneath(&repo, "https://other.example/b".into());
        assert_eq!((near.auth == auth, far.auth == GitAuth::None), (true, true));
        assert_ne!(near.id, far.id);
        assert!(near.id.as_str().len() <= 64);
        assert_eq!([owner(&near.id), owner(&far.id), owner(&id)], [id.clone(), id.clone(), id]);
    }
}
