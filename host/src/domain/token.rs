//! API tokens. Only their hash is stored.

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: Id,
    pub seq: i64,
    pub name: String,
    /// The first characters, so that a person recognises it in a list.
    pub prefix: String,
    /// sha256 in hex.
    pub hash: String,
    pub created_at: UnixMs,
    pub last_used_at: Option<UnixMs>,
    pub expires_at: Option<UnixMs>,
    pub revoked_at: Option<UnixMs>,
}

impl Token {
    pub fn is_valid(&self, now: UnixMs) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}
