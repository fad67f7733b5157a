//! libgit2's errors in our words: what happened, and what to do about it.

use git2::{ErrorClass, ErrorCode};

use super::RepoAccess;
use crate::error::Error;

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
    if matches!(error.code(), ErrorCode::Certificate) && error.class() == ErrorClass::Ssl {
        return Error::failed(format!(
            "the certificate of {shown} is not valid ({why}); add its authority to this machine's trusted certificates"
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
    if is(&["redirect"]) {
        return Error::failed(format!(
            "{shown} redirects to another server, which is not followed; store the new address"
        ));
    }
    match error.class() {
        ErrorClass::Ssh if is(&["private key", "key file", "passphrase", "Unable to extract public key"]) => {
            Error::failed(format!(
                "the ssh key for {shown} cannot be used ({why}); check the key and its passphrase"
            ))
        }
        ErrorClass::Net | ErrorClass::Os | ErrorClass::Ssl | ErrorClass::Http | ErrorClass::Ssh => {
            away(access, &why)
        }
        _ if error.code() == ErrorCode::Timeout => {
            Error::unavailable(format!("the git server of {shown} has gone silent: {why}"))
        }
        _ => Error::failed(format!("fetching {shown} failed: {why}")),
    }
}

/// The server cannot be connected to.
pub(super) fn away(access: &RepoAccess, why: &str) -> Error {
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
