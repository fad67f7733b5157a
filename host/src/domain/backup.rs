//! Backups: what is known of one, what is inside of its file, and when their lack needs somebody's attention.

use serde::{Deserialize, Serialize};

use super::{Id, UnixMs};

/// Of the file's inside. A program that finds a higher one does not touch the file.
pub const FORMAT: u32 = 1;
/// The last member of a backup.
pub const MANIFEST: &str = "manifest.json";
/// A backup that has not ended after so long will not, in ms.
pub const LONGEST_MS: UnixMs = 6 * 3600 * 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupStatus {
    Running,
    Successful,
    Failed,
}

impl BackupStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Successful => "successful",
            Self::Failed => "failed",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        [Self::Running, Self::Successful, Self::Failed].into_iter().find(|status| status.as_str() == word)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub id: Id,
    /// The due time of the schedule; none if somebody asked for it.
    pub due_at: Option<UnixMs>,
    /// Of its file.
    pub name: String,
    pub status: BackupStatus,
    /// Who can open it.
    pub recipients: i64,
    pub bytes: Option<i64>,
    pub rows: Option<i64>,
    pub error: Option<String>,
    pub started_at: UnixMs,
    pub finished_at: Option<UnixMs>,
}

impl Backup {
    /// It has no end yet and will have none.
    pub fn is_stuck(&self, now: UnixMs) -> bool {
        self.status == BackupStatus::Running && now - self.started_at > LONGEST_MS
    }
}

/// One migration that the backup's database had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    pub version: i64,
    pub name: String,
    pub checksum: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub path: String,
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    pub table: String,
    pub rows: u64,
}

/// What is inside of a backup, written as its last member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Of the Windlass that made it.
    pub version: String,
    /// `sqlite` or `postgres`; it makes no difference to the content.
    pub engine: String,
    pub created_at: UnixMs,
    pub migrations: Vec<Migrated>,
    pub tables: Vec<TableCount>,
    pub members: Vec<Member>,
}

impl Manifest {
    pub fn schema(&self) -> i64 {
        self.migrations.iter().map(|one| one.version).max().unwrap_or_default()
    }

    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|count| count.rows).sum()
    }
}

/// Where a part of a table's rows is, counted from 1.
pub fn rows_path(table: &str, part: u32) -> String {
    format!("tables/{table}/{part:06}.jsonl")
}

/// The table whose rows a member holds.
pub fn table_of(path: &str) -> Option<&str> {
    path.strip_prefix("tables/")?.split_once('/').map(|(table, _)| table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_says_whose_rows_it_holds() {
        assert_eq!(table_of(&rows_path("stacks", 7)), Some("stacks"));
        assert_eq!(table_of("data/secret.key"), None);
    }
}
