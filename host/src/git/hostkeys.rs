//! ssh host keys: trusted on first use, pinned from then on, in a file of OpenSSH's format.

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use git2::{CertificateCheckStatus, ErrorClass, ErrorCode, cert::Cert};
use sha2::{Digest as _, Sha256};

/// The pinned keys. Operators may put lines there before a server is first contacted; hashed host names are not read.
pub(super) struct HostKeys {
    path: PathBuf,
    /// Reading and adding is one step.
    turn: Mutex<()>,
}

impl HostKeys {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, turn: Mutex::new(()) }
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
        let fingerprint = STANDARD.encode(Sha256::digest(key));
        let shown = format!("{kind} SHA256:{}", fingerprint.trim_end_matches('='));
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(refusal(format!("the file known_hosts cannot be read: {error}"))),
        };
        let pinned: Vec<(&str, &str)> = known.lines().filter_map(|line| entry(line, host)).collect();
        if pinned.iter().any(|(_, pinned)| *pinned == encoded) {
            return Ok(());
        }
        if !pinned.is_empty() {
            return Err(refusal(format!(
                "the host key of {host} is not the pinned one (it shows {shown}): either the server got a new key or somebody \
                 is in between; if the key is right, remove the lines of {host} from the file known_hosts in Windlass' git folder"
            )));
        }
        self.pin(&format!("{host} {kind} {encoded}\n"))
            .map_err(|error| refusal(format!("the file known_hosts cannot be written: {error}")))?;
        log(&format!("Trusting the host key of {host} from now on: {shown}"));
        Ok(())
    }

    fn pin(&self, line: &str) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }
}

fn refusal(why: String) -> git2::Error {
    git2::Error::new(ErrorCode::Certificate, ErrorClass::Ssh, why)
}

/// Kind and key of a line that speaks of this host.
fn entry<'a>(line: &'a str, host: &str) -> Option<(&'a str, &'a str)> {
    let mut words = line.split_whitespace();
    let hosts = words.next().filter(|word| !word.starts_with(['#', '@']))?;
    hosts.split(',').any(|known| known.eq_ignore_ascii_case(host)).then_some(())?;
    Some((words.next()?, words.next()?))
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
        let keys = HostKeys::new(folder.path().join("known_hosts"));
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
    fn lines_an_operator_wrote_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        fs::write(&path, format!("# ours\nx,h ssh-ed25519 {} comment\n", STANDARD.encode(key(b"a"))))
            .unwrap();
        let keys = HostKeys::new(path);
        assert!(keys.check("h", &key(b"a"), &|_| ()).is_ok());
        assert!(keys.check("h", &key(b"b"), &|_| ()).is_err());
    }
}
