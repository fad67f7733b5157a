//! Which repositories have one mirror.

use std::{fs, path::Path};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Git, hostkeys::append};
use crate::{
    domain::{
        Id,
        remote::{Remote, Scheme},
    },
    error::{Error, Result},
};

const SALT_BYTES: usize = 32;
/// Of a mirror's name; two of so many bytes are never equal by chance.
const NAME_BYTES: usize = 16;

/// Known to this folder only: without it, nobody can tell by trying whether a name is that of certain credentials.
pub(super) struct Salt(Zeroizing<Vec<u8>>);

impl Salt {
    /// Reads it, or makes one. Where it was lost, mirrors get other names and are fetched anew.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let wrong = |error: std::io::Error| Error::internal(format!("{}: {error}", path.display()));
        if let Some(known) = fs::read(path).ok().map(Zeroizing::new).and_then(Self::read) {
            return Ok(known);
        }
        let mut salt = Zeroizing::new(vec![0; SALT_BYTES]);
        getrandom::fill(&mut salt).map_err(Error::internal)?;
        let fresh = path.with_extension(format!("fresh-{}", uuid::Uuid::now_v7().simple()));
        append(&fresh, &hex::encode(&*salt)).and_then(|()| fs::rename(&fresh, path)).map_err(wrong)?;
        Ok(Self(salt))
    }

    fn read(text: Zeroizing<Vec<u8>>) -> Option<Self> {
        let salt = Zeroizing::new(hex::decode(&*text).ok()?);
        (salt.len() == SALT_BYTES).then_some(Self(salt))
    }

    fn name(&self, parts: [&[u8]; 3]) -> Result<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(Error::internal)?;
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Ok(hex::encode(&mac.finalize().into_bytes()[..NAME_BYTES]))
    }
}

impl Git {
    /// Names the mirror that all repositories of a team have which are fetched from this address with these credentials. What
    /// is in it, each of them could have fetched by itself, so a mirror shows nothing to whom it may not: another team's
    /// repositories, and those with other credentials, have others.
    ///
    /// Of the address only the letters of the host and slashes at the end do not count: servers are free to have different
    /// repositories at `app` and at `App`.
    ///
    /// # Errors
    /// `Internal` only.
    pub fn mirror_of(&self, team: &Id, url: &str, credentials: &[u8]) -> Result<Id> {
        let place = match Remote::parse(url) {
            Ok(remote) => format!(
                "{}://{}@{}{}{}",
                remote.scheme.as_str(),
                remote.user.unwrap_or_default(),
                remote.authority(),
                // The path of `user@host:path` begins in a home folder.
                if remote.scheme == Scheme::Scp { ":" } else { "" },
                remote.path.trim_end_matches('/')
            ),
            Err(_) => url.to_owned(),
        };
        let name = self.inner.salt.name([team.as_str().as_bytes(), place.as_bytes(), credentials])?;
        Ok(Id::from_text(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

    use super::*;
    use crate::network::{Outgoing, Policy};

    #[test]
    fn one_team_one_address_and_one_way_to_log_in_have_one_mirror() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let outgoing = Outgoing::new(Policy::new(&[]));
            Git::open(folder.path().join("git"), outgoing).unwrap()
        };
        let git = open();
        let (owls, foxes) = (Id::from_text("owls"), Id::from_text("foxes"));
        let of = |team: &Id, url: &str, credentials: &[u8]| git.mirror_of(team, url, credentials).unwrap();
        let one = of(&owls, "https://git.example/Team/app.git", b"token");
        for same in ["https://Git.example:443/Team/app.git", "https://git.example/Team/app.git/"] {
            assert_eq!(of(&owls, same, b"token"), one, "{same}");
        }
        for other in [
            "https://git.example/team/app.git",
            "http://git.example/Team/app.git",
            "https://u@git.example/Team/app.git",
        ] {
            assert_ne!(of(&owls, other, b"token"), one, "{other}");
        }
        assert_ne!(of(&foxes, "https://git.example/Team/app.git", b"token"), one);
        assert_ne!(of(&owls, "https://git.example/Team/app.git", b"other"), one);
        assert_ne!(of(&owls, "git@git.example:a", b""), of(&owls, "ssh://git@git.example/a", b""));
        assert_eq!(open().mirror_of(&owls, "https://git.example/Team/app.git", b"token").unwrap(), one);
    }
}
