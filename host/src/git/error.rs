//! libgit2's errors in our words: what happened, and what to do about it.

use git2::{ErrorClass, ErrorCode};

use super::RepoAccess;
use crate::error::Error;
use crate::network::{Class, Trouble};

/// What stands in the way to a server. A relay knows it, and libgit2 only sees the consequences.
#[derive(Debug, Clone)]
pub(super) enum Obstacle {
    /// It cannot be connected to, or breaks off.
    Away(String),
    /// Its host leads where nothing is fetched from.
    Refused(Class),
    /// Its certificate is not valid, and why.
    Certificate(String),
    /// It redirects in a way that is not followed; a sentence that begins with the URL.
    Redirect(&'static str),
    /// The same of a server that it redirects to.
    Behind(Box<Obstacle>),
}

impl Obstacle {
    /// Why a host is not connected to.
    pub(super) fn at(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unknown(why) => Self::Away(why),
            Trouble::Refused(class) => Self::Refused(class),
        }
    }

    /// In words, for whoever sees to the repository. The server behind a redirect is not named: who cannot see into a network
    /// should not get to know names in it.
    pub(super) fn explain(&self, access: &RepoAccess) -> Error {
        let shown = access.shown();
        match self {
            Self::Away(why) => away(access, why),
            Self::Refused(class) => refused(&format!("the host of {shown}"), *class),
            Self::Certificate(why) => uncertified(&shown, why),
            Self::Redirect(how) => Error::failed(format!("{shown} {how}")),
            Self::Behind(obstacle) => {
                let other = format!("the server that {shown} redirects to");
                match &**obstacle {
                    Self::Away(why) => Error::unavailable(format!("{other} cannot be reached: {why}")),
                    Self::Refused(class) => refused(&other, *class),
                    Self::Certificate(why) => uncertified(&other, why),
                    Self::Redirect(_) | Self::Behind(_) => obstacle.explain(access),
                }
            }
        }
    }
}

/// The class is told and the address is not: a name of the internal network and where it leads are not everybody's to know.
fn refused(host: &str, class: Class) -> Error {
    Error::invalid("repository.url", class.refusal(host, "repositories"))
}

fn uncertified(server: &str, why: &str) -> Error {
    Error::failed(format!(
        "the certificate of {server} is not valid: {why}; for a certificate of your own, add its authority to this \
         machine's trusted certificates and restart this server"
    ))
}

/// What went wrong while talking to a server.
pub(super) fn explain(access: &RepoAccess, error: &git2::Error) -> Error {
    let shown = access.shown();
    let why = access.scrub(error.message().trim());
    let is = |words: &[&str]| words.iter().any(|word| why.contains(word));
    if matches!(error.code(), ErrorCode::Auth) || is(&["status code: 401", "authentication required"]) {
        return Error::failed(format!(
            "the git server of {shown} refuses us: {why}; store a token or ssh key that may read the repository"
        ));
    }
    if is(&["status code: 403"]) {
        return Error::failed(format!(
            "the git server of {shown} forbids reading it with the stored credentials"
        ));
    }
    if is(&["status code: 404", "not found", "not exported", "does not appear to be a git repository"])
        && !is(&["resolve"])
    {
        return Error::failed(format!(
            "there is no repository at {shown}, or it is not visible with the stored credentials ({why})"
        ));
    }
    match error.class() {
        ErrorClass::Ssh if is(&["private key", "key file", "passphrase", "Unable to extract public key"]) => {
            Error::failed(format!(
                "the ssh key for {shown} cannot be used ({why}); check the key and its passphrase"
            ))
        }
        ErrorClass::Net | ErrorClass::Os | ErrorClass::Http | ErrorClass::Ssh => away(access, &why),
        _ if error.code() == ErrorCode::Timeout => {
            Error::unavailable(format!("the git server of {shown} has gone silent: {why}"))
        }
        _ => Error::failed(format!("fetching {shown} failed: {why}")),
    }
}

/// The server cannot be connected to.
fn away(access: &RepoAccess, why: &str) -> Error {
    Error::unavailable(format!("the git server of {} cannot be reached: {why}", access.shown()))
}

/// Whether the mirror itself is at fault rather than the server.
pub(super) fn is_damage(error: &git2::Error) -> bool {
    matches!(
        error.class(),
        ErrorClass::Odb
            | ErrorClass::Zlib
            | ErrorClass::Indexer
            | ErrorClass::Reference
            | ErrorClass::Object
            | ErrorClass::Repository
            | ErrorClass::Config
            | ErrorClass::Filesystem
            | ErrorClass::Tree
            | ErrorClass::Sha1
    ) || matches!(error.code(), ErrorCode::HashsumMismatch | ErrorCode::Locked)
}

/// What went wrong while reading a mirror.
pub(super) fn reading(error: git2::Error) -> Error {
    Error::internal(format!("reading a mirror: {} ({:?})", error.message(), error.class()))
}
