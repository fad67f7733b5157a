//! Where a repository is and how we may read it.

use std::{
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU32, Ordering},
};

use git2::{Cred, CredentialType};

use crate::domain::{
    Id,
    remote::{Remote, Scheme},
    repository::{check_url, redact_url},
};
use crate::error::Result;

/// A repository with everything that is needed to fetch it.
#[derive(Clone, Debug)]
pub struct RepoAccess {
    /// Names the mirror.
    pub id: Id,
    pub url: String,
    pub auth: GitAuth,
}

/// Credentials, in the clear only while in use. They never touch the disk: ssh keys are handed over from memory.
#[derive(Clone, Hash, PartialEq, Eq)]
pub enum GitAuth {
    None,
    HttpToken {
        /// Most servers take any name beside a token.
        username: Option<String>,
        token: String,
    },
    SshKey {
        /// Where the URL names no user; `git` if both are silent.
        username: Option<String>,
        private_key: String,
        passphrase: Option<String>,
    },
}

impl std::fmt::Debug for GitAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::HttpToken { .. } => "HttpToken(…)",
            Self::SshKey { .. } => "SshKey(…)",
        })
    }
}

impl RepoAccess {
    /// # Errors
    /// `Invalid` if the URL is not one we take.
    pub(super) fn check(&self) -> Result<()> {
        check_url(&self.url)
    }

    pub(super) fn shown(&self) -> String {
        redact_url(&self.url)
    }

    /// Tells two ways of access apart without keeping a secret.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        self.url.hash(&mut hasher);
        self.auth.hash(&mut hasher);
        hasher.finish()
    }

    /// Leaves the credentials out of a message, should a server or library have put them there.
    pub(super) fn scrub(&self, message: &str) -> String {
        let mut text = message.replace(&self.url, &self.shown());
        let secrets = match &self.auth {
            GitAuth::None => [None, None],
            GitAuth::HttpToken { token, .. } => [Some(token), None],
            GitAuth::SshKey { private_key, passphrase, .. } => [Some(private_key), passphrase.as_ref()],
        };
        for secret in secrets.into_iter().flatten().filter(|secret| secret.len() >= 4) {
            text = text.replace(secret.as_str(), "…");
        }
        text
    }

    /// `host` and port as a known_hosts file has them; none for transports without host keys.
    pub(super) fn ssh_host(&self) -> Option<String> {
        let remote = Remote::parse(&self.url).ok()?;
        let host = remote.host.to_ascii_lowercase();
        match (remote.scheme, remote.port) {
            (Scheme::Ssh | Scheme::Scp, 22) => Some(host),
            (Scheme::Ssh, port) => Some(format!("[{host}]:{port}")),
            _ => None,
        }
    }
}

/// Answers libgit2's questions for credentials; each kind once, since a refused credential does not get better.
pub(super) struct Answers<'a> {
    access: &'a RepoAccess,
    given: AtomicU32,
}

impl<'a> Answers<'a> {
    pub(super) fn new(access: &'a RepoAccess) -> Self {
        Self { access, given: AtomicU32::new(0) }
    }

    pub(super) fn answer(
        &self,
        from_url: Option<&str>,
        allowed: CredentialType,
    ) -> Result<Cred, git2::Error> {
        let user = |own: &Option<String>| {
            from_url.map(str::to_string).or_else(|| own.clone()).unwrap_or_else(|| "git".into())
        };
        let kind = match &self.access.auth {
            GitAuth::SshKey { .. } if allowed.contains(CredentialType::SSH_MEMORY) => {
                CredentialType::SSH_MEMORY
            }
            GitAuth::HttpToken { .. } if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                CredentialType::USER_PASS_PLAINTEXT
            }
            _ if allowed.contains(CredentialType::USERNAME) => CredentialType::USERNAME,
            GitAuth::None => return Err(refusal("it asks for credentials, and none are stored")),
            GitAuth::SshKey { .. } => return Err(refusal("it does not take an ssh key")),
            GitAuth::HttpToken { .. } => return Err(refusal("it does not take a token")),
        };
        if self.given.fetch_or(kind.bits(), Ordering::Relaxed) & kind.bits() != 0 {
            return Err(refusal("it does not accept the stored credentials"));
        }
        match &self.access.auth {
            _ if kind == CredentialType::USERNAME => Cred::username(&match &self.access.auth {
                GitAuth::SshKey { username, .. } => user(username),
                _ => user(&None),
            }),
            GitAuth::HttpToken { username, token } => Cred::userpass_plaintext(&user(username), token),
            GitAuth::SshKey { username, private_key, passphrase } => {
                // Keys pasted into a form often lose the line end that their parsers insist on.
                let key = format!("{}\n", private_key.trim().replace("\r\n", "\n"));
                Cred::ssh_key_from_memory(&user(username), None, &key, passphrase.as_deref())
            }
            GitAuth::None => Err(refusal("it asks for credentials, and none are stored")),
        }
    }
}

fn refusal(why: &str) -> git2::Error {
    git2::Error::new(git2::ErrorCode::Auth, git2::ErrorClass::Callback, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_belong_to_host_and_port() {
        for (url, host) in [
            ("git@Forge.example:a/b.git", Some("forge.example")),
            ("ssh://git@forge.example/a", Some("forge.example")),
            ("ssh://git@forge.example:22/a", Some("forge.example")),
            ("ssh://forge.example:2222/a", Some("[forge.example]:2222")),
            ("ssh://git@[::1]:2222/a", Some("[[::1]]:2222")),
            ("https://forge.example/a", None),
        ] {
            let access = RepoAccess { id: Id::from_text("x"), url: url.into(), auth: GitAuth::None };
            assert_eq!(access.ssh_host().as_deref(), host, "{url}");
        }
    }

    #[test]
    fn secrets_stay_out_of_messages() {
        let auth = GitAuth::HttpToken { username: None, token: "hunter22".into() };
        let access = RepoAccess { id: Id::from_text("x"), url: "https://u@h/x".into(), auth };
        assert_eq!(access.scrub("failed https://u@h/x with hunter22"), "failed https://…@h/x with …");
        assert!(!format!("{access:?}").contains("hunter22"));
    }
}
