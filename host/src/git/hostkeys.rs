//! ssh host keys: trusted on first use, pinned from then on, in a file of OpenSSH's format.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use git2::{CertificateCheckStatus, ErrorClass, ErrorCode, cert::Cert};
use sha2::{Digest as _, Sha256};

use crate::domain::code::{HostPurpose, KnownHost};

/// The pinned keys. Operators may put lines there before a server is first contacted; hashed host names are not read.
pub struct HostKeys {
    path: PathBuf,
    purpose: HostPurpose,
    /// Reading and adding is one step.
    turn: Mutex<()>,
}

impl HostKeys {
    pub fn new(path: PathBuf, purpose: HostPurpose) -> Self {
        Self { path, purpose, turn: Mutex::new(()) }
    }

    /// What its hosts are talked to for.
    pub fn purpose(&self) -> HostPurpose {
        self.purpose
    }

    /// Judges what a server shows. Certificates of https are libgit2's business, which checks them against this machine's
    /// authorities.
    pub(super) fn judge(
        &self,
        host: Option<&str>,
        cert: &Cert<'_>,
        log: &dyn Fn(&str),
    ) -> Result<CertificateCheckStatus, git2::Error> {
        let Some(key) = cert.as_hostkey() else {
            return Ok(CertificateCheckStatus::CertificatePassthrough);
        };
        let (Some(host), Some(key)) = (host, key.hostkey()) else {
            return Err(refusal("the server shows no host key that could be checked".into()));
        };
        self.check(host, key, log).map(|()| CertificateCheckStatus::CertificateOk)
    }

    fn check(&self, host: &str, key: &[u8], log: &dyn Fn(&str)) -> Result<(), git2::Error> {
        let kind = kind(key).ok_or_else(|| refusal("the server's host key makes no sense".into()))?;
        let encoded = STANDARD.encode(key);
        let shown = format!("{kind} {}", fingerprint(key));
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            self.read().map_err(|error| refusal(format!("the file known_hosts cannot be read: {error}")))?;
        let pinned: Vec<(&str, &str)> = known.lines().filter_map(|line| entry(line, host)).collect();
        if pinned.iter().any(|(_, pinned)| *pinned == encoded) {
            return Ok(());
        }
        if !pinned.is_empty() {
            return Err(refusal(format!(
                "the host key of {host} is not the pinned one (it shows {shown}): either the server got a new key or somebody \
                 is in between; if the key is right, an administrator has the pinned one forgotten: `windlass git forget '{host}'`"
            )));
        }
        // A line that an operator did not end is not to run into ours.
        let gap = if known.is_empty() || known.ends_with('\n') { "" } else { "\n" };
        append(&self.path, &format!("{gap}{host} {kind} {encoded}\n"))
            .map_err(|error| refusal(format!("the file known_hosts cannot be written: {error}")))?;
        log(&format!("Trusting the host key of {host} from now on: {shown}"));
        Ok(())
    }

    /// All pinned keys, in the file's order.
    ///
    /// # Errors
    /// Those of reading the file; one that is not there yet has none.
    pub fn list(&self) -> std::io::Result<Vec<KnownHost>> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.read()?.lines().flat_map(|line| known_hosts(line, self.purpose)).collect())
    }

    /// Takes a host out of every line, and answers whether there was one. The file is replaced as a whole: a crash leaves the
    /// old one. OpenSSH pins the keys of targets without asking for our turn: one that it adds in between is lost, and pinned
    /// again when it is next seen.
    ///
    /// # Errors
    /// Those of reading and writing the file.
    pub fn forget(&self, host: &str) -> std::io::Result<bool> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let after: String = before.lines().filter_map(|line| without(line, host)).collect();
        if after.lines().eq(before.lines()) {
            return Ok(false);
        }
        let fresh = self.path.with_extension("fresh");
        let _ = fs::remove_file(&fresh);
        append(&fresh, &after)?;
        fs::rename(&fresh, &self.path)?;
        Ok(true)
    }

    fn read(&self) -> std::io::Result<String> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }
}

/// Only for us to read.
pub(super) fn append(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn refusal(why: String) -> git2::Error {
    git2::Error::new(ErrorCode::Certificate, ErrorClass::Ssh, why)
}

/// Hosts, kind and key of a line. Comments and marked lines (`@revoked`) are nobody's, nor are hashed names.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let mut words = line.split_whitespace();
    let hosts = words.next().filter(|word| !word.starts_with(['#', '@', '|']))?;
    Some((hosts, words.next()?, words.next()?))
}

/// Kind and key of a line that speaks of this host.
fn entry<'a>(line: &'a str, host: &str) -> Option<(&'a str, &'a str)> {
    let (hosts, kind, key) = parts(line)?;
    hosts.split(',').any(|known| known.eq_ignore_ascii_case(host)).then_some((kind, key))
}

fn known_hosts(line: &str, purpose: HostPurpose) -> impl Iterator<Item = KnownHost> {
    parts(line).into_iter().flat_map(move |(hosts, kind, key)| {
        hosts.split(',').map(move |host| KnownHost {
            purpose,
            host: host.to_ascii_lowercase(),
            kind: kind.to_owned(),
            fingerprint: STANDARD.decode(key).map(|key| fingerprint(&key)).unwrap_or_default(),
        })
    })
}

/// The line with its end, without this host; none if it speaks of no other.
fn without(line: &str, host: &str) -> Option<String> {
    let Some((_, rest)) = entry(line, host).and_then(|_| line.trim_start().split_once(char::is_whitespace))
    else {
        return Some(format!("{line}\n"));
    };
    let (hosts, _, _) = parts(line)?;
    let others: Vec<&str> = hosts.split(',').filter(|known| !known.eq_ignore_ascii_case(host)).collect();
    (!others.is_empty()).then(|| format!("{} {rest}\n", others.join(",")))
}

/// As `ssh-keygen -l` prints it.
fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD.encode(Sha256::digest(key)).trim_end_matches('='))
}

/// A key starts with its own kind, as a length and as many bytes.
fn kind(key: &[u8]) -> Option<&str> {
    let (length, rest) = key.split_first_chunk::<4>()?;
    let kind = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    std::str::from_utf8(kind).ok().filter(|kind| kind.bytes().all(|b| b.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn key(body: &[u8]) -> Vec<u8> {
        [&11_u32.to_be_bytes()[..], b"ssh-ed25519", body].concat()
    }

    #[test]
    fn the_first_key_is_pinned_and_another_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let keys = HostKeys::new(folder.path().join("known_hosts"), HostPurpose::Git);
        let said = Mutex::new(Vec::new());
        let log = |line: &str| said.lock().unwrap().push(line.to_string());
        keys.check("h", &key(b"a"), &log).unwrap();
        keys.check("h", &key(b"a"), &log).unwrap();
        keys.check("[h]:22", &key(b"b"), &log).unwrap();
        assert_eq!(said.lock().unwrap().len(), 2);
        let error = keys.check("H", &key(b"b"), &log).unwrap_err();
        assert!(error.message().contains("is not the pinned one"), "{error}");
    }

    #[test]
    fn a_host_that_is_forgotten_may_show_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        let [a, b] = [key(b"a"), key(b"b")];
        let encoded = STANDARD.encode(&a);
        let line = "# ours\nx,H ssh-ed25519";
        fs::write(&path, format!("{line} {encoded} comment\n@revoked h ssh-ed25519 {encoded}")).unwrap();
        let keys = HostKeys::new(path.clone(), HostPurpose::Git);
        keys.check("[h]:22", &b, &|_| ()).unwrap();
        let hosts =
            |keys: &HostKeys| keys.list().unwrap().into_iter().map(|one| one.host).collect::<Vec<_>>();
        assert_eq!(hosts(&keys), ["x", "h", "[h]:22"]);
        assert_eq!(keys.list().unwrap()[0].fingerprint, fingerprint(&a));
        assert!(keys.check("h", &b, &|_| ()).is_err());
        assert!(keys.forget("h").unwrap());
        assert!(!keys.forget("h").unwrap());
        assert_eq!(hosts(&keys), ["x", "[h]:22"]);
        assert!(fs::read_to_string(&path).unwrap().starts_with("# ours\nx ssh-ed25519"));
        keys.check("h", &b, &|_| ()).unwrap();
        keys.check("x", &a, &|_| ()).unwrap();
        assert!(keys.forget("X").unwrap());
        assert_eq!(hosts(&keys), ["[h]:22", "h"]);
    }

    #[test]
    fn lines_an_operator_wrote_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, format!("# ours\nx,h ssh-ed25519 {} comment\n", STANDARD.encode(key(b"a"))))
            .unwrap();
        let keys = HostKeys::new(path, HostPurpose::Git);
        assert!(keys.check("h", &key(b"a"), &|_| ()).is_ok());
        assert!(keys.check("h", &key(b"b"), &|_| ()).is_err());
    }
}
