//! Tenants, teams, the people in them, and those who are invited.

use super::access::{Grant, Role};
use super::{Id, UnixMs};

/// Tenant, team and first administrator of every installation. Their ids are fixed, so that the rows of an
/// installation that never heard of teams belong to somebody.
pub const DEFAULT_ID: &str = "00000000-0000-7000-8000-000000000000";
pub const DEFAULT_NAME: &str = "default";

/// People and teams that have nothing to do with those of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: Id,
    pub name: String,
    /// How many teams and people are in it now.
    pub teams: i64,
    pub people: i64,
    pub created_at: UnixMs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    pub id: Id,
    pub tenant_id: Id,
    pub name: String,
    pub created_at: UnixMs,
}

#[derive(Clone, PartialEq, Eq)]
pub struct User {
    pub id: Id,
    pub tenant_id: Id,
    pub name: String,
    /// Administers the installation.
    pub is_admin: bool,
    /// Argon2id in PHC form; without one, the person cannot log in by password.
    pub password_hash: Option<String>,
    /// Sealed.
    pub totp_secret: Option<String>,
    /// The secret was confirmed by a code, so that log-ins need one.
    pub totp_active: bool,
    pub created_at: UnixMs,
    pub last_login_at: Option<UnixMs>,
    pub disabled_at: Option<UnixMs>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A person's role in a team, with the name that people know them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub id: Id,
    pub user_id: Id,
    pub user_name: String,
    pub grant: Grant,
    pub created_at: UnixMs,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub id: Id,
    pub team_id: Id,
    pub project_id: Option<Id>,
    pub role: Role,
    /// Whom it is for; nobody else can use it.
    pub user_name: String,
    /// sha256 in hex.
    pub hash: String,
    pub created_by: String,
    pub created_at: UnixMs,
    pub expires_at: UnixMs,
    pub used_at: Option<UnixMs>,
}

impl Invitation {
    pub fn is_open(&self, now: UnixMs) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }
}

/// Names of people, teams and projects: they appear in addresses, on the command line and in logs. They are shorter than an
/// id, so that none can be taken for one.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && text.len() <= 32 && text.chars().all(fits)
}
