//! From the database's errors to ours: what a caller can do about it decides the kind, never the text.

use sqlx::error::ErrorKind;

use crate::error::{Error, Result};

/// SQLite: busy, locked, disk full, cannot open, read-only, input/output. PostgreSQL: out of resources, shutting down,
/// serialization failure, deadlock. All of them may be gone in a moment.
const TRANSIENT: [&str; 6] = ["5", "6", "8", "10", "13", "14"];
const TRANSIENT_CLASSES: [&str; 4] = ["40", "53", "57", "55"];

pub(super) fn fault(error: sqlx::Error) -> Error {
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Error::unavailable(format!("the database does not answer: {error}")),
        sqlx::Error::Database(inner) => match inner.kind() {
            ErrorKind::UniqueViolation => {
                Error::conflict("something with the same name or key already exists")
            }
            ErrorKind::ForeignKeyViolation => Error::conflict(
                "something that this refers to does not exist, or something still refers to this",
            ),
            _ if is_transient(inner.code().as_deref().unwrap_or("")) => {
                Error::unavailable(format!("the database refuses for now: {inner}"))
            }
            _ => Error::internal(&error),
        },
        _ => Error::internal(&error),
    }
}

/// SQLite's extended codes keep the primary code in their low byte.
fn is_transient(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => TRANSIENT.contains(&(number & 0xff).to_string().as_str()),
        _ => TRANSIENT_CLASSES.iter().any(|class| code.starts_with(class)),
    }
}

/// Says what exists already instead of the general sentence.
pub(super) fn on_unique<T>(result: Result<T, sqlx::Error>, message: impl FnOnce() -> String) -> Result<T> {
    result.map_err(|error| match &error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => Error::conflict(message()),
        _ => fault(error),
    })
}

#[cfg(test)]
mod tests {
    use super::is_transient;

    #[test]
    fn busy_and_deadlock_are_worth_another_try_and_a_broken_check_is_not() {
        for code in ["5", "261", "517", "13", "40001", "40P01", "57P01", "53300"] {
            assert!(is_transient(code), "{code}");
        }
        for code in ["19", "275", "23514", "42P01", "1", ""] {
            assert!(!is_transient(code), "{code}");
        }
    }
}
