//! A project groups stacks.

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub id: Id,
    pub seq: i64,
    pub name: String,
    /// Whose it is, with all that belongs to it.
    pub team_id: Id,
    pub created_at: UnixMs,
    pub updated_at: UnixMs,
}
