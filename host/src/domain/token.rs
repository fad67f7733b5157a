//! API tokens. Only their hash is stored.

use super::access::Limit;
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
    /// Whose it is; nobody's token is good for nothing.
    pub user_id: Option<Id>,
    pub kind: TokenKind,
    pub limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Api,
    /// Made by logging in; ends by logging out.
    Session,
}

impl TokenKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Session => "session",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Api, Self::Session].into_iter().find(|kind| kind.as_str() == text)
    }
}

impl Token {
    pub fn is_valid(&self, now: UnixMs) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}
