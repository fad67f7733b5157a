//! Keyset pagination: a page is asked for by the key it follows, so its cost does not grow with its depth.

use serde::Serialize;

/// At most this many rows a page.
pub const MAX_LIMIT: i64 = 200;
pub const DEFAULT_LIMIT: i64 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Rows with a `seq` below this one, newest first. `None` starts at the newest.
    pub before: Option<i64>,
    pub limit: i64,
}

impl PageRequest {
    pub fn new(before: Option<i64>, limit: Option<i64>) -> Self {
        Self { before, limit: limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) }
    }

    pub fn first(limit: i64) -> Self {
        Self::new(None, Some(limit))
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Page<T, K = i64> {
    pub items: Vec<T>,
    /// Pass as `before` to get the next page; absent on the last one. It is the key that the rows are sorted by.
    pub next: Option<K>,
}

impl<T, K> Page<T, K> {
    /// `rows` has been asked for with `limit + 1`; the extra row only says that there is more.
    pub fn from_rows(mut rows: Vec<T>, limit: i64, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }
}
