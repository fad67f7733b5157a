//! Points in time as the database holds them.

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type UnixMs = i64;
