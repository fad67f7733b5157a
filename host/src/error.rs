//! One error type, free of transport: `api` and `cli` decide what it looks like to a person.
//!
//! Say what happened, why, and what to do. `Internal` carries a detail for the log that is never shown to a client.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The thing does not exist, or the caller may not know that it does.
    #[error("{what} `{id}` does not exist")]
    NotFound { what: &'static str, id: String },
    /// The request or configuration is wrong; `field` says where as far as known.
    #[error("{message}")]
    Invalid { field: String, message: String },
    /// The request is fine but the current state forbids it.
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Unauthenticated(String),
    #[error("{0}")]
    Forbidden(String),
    /// Larger than the limit in bytes.
    #[error("the {what} is larger than {limit} bytes")]
    TooLarge { what: &'static str, limit: u64 },
    /// A part we depend on (Docker, a git server, the database) does not answer or refuses for now.
    #[error("{0}")]
    Unavailable(String),
    /// Too much in too short a time.
    #[error("{what} a minute are taken; try again in {retry_after_secs} s")]
    RateLimited { what: String, retry_after_secs: u64 },
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// Something outside did its work and failed: a Dockerfile, a health gate, a git server's refusal.
    #[error("{0}")]
    Failed(String),
    #[error("{what} took longer than {seconds} s and was stopped")]
    Timeout { what: String, seconds: u64 },
    #[error("{0} was cancelled")]
    Cancelled(String),
    #[error("an internal error occurred; the server's log has the details")]
    Internal(Detail),
}

/// What went wrong inside. It has no `Display`, so that it cannot end up in an answer by accident.
#[derive(Debug, Clone)]
pub struct Detail(pub String);

/// A plugin call that did not end well. Always names the plugin.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin `{plugin}` {kind}")]
pub struct PluginError {
    pub plugin: String,
    pub call: &'static str,
    pub kind: PluginErrorKind,
}

#[derive(Debug, Clone)]
pub enum PluginErrorKind {
    /// The plugin answered with a typed failure.
    Failure {
        code: String,
        message: String,
        disposition: Disposition,
        /// A request with an effect may have reached the other side: the call must not simply be made once more.
        request_sent: bool,
    },
    /// The guest trapped; the text is bounded and scrubbed.
    Trap(String),
    /// It used more CPU or wall time than it may.
    Timeout { milliseconds: u64 },
    /// It used more memory than it may.
    Memory { limit_bytes: u64 },
    /// The answer does not make sense: too large, not a known value, against the contract.
    Nonsense(String),
    /// The component could not be loaded.
    Load(String),
    /// No such plugin, or it does not export what is asked of it.
    Missing(String),
    /// The budget of the last minute is used up. `free_at` is in unix milliseconds.
    Budget { what: String, free_at: i64, free_in_ms: u64 },
    /// It faulted several times in a row and is left alone for a while.
    Suspended { reason: String, free_at: i64, free_in_ms: u64 },
}

/// What a plugin advises to do about its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Worth another try, after so many seconds if given.
    Retry(Option<u32>),
    Permanent,
    /// A person has to do something about the credential.
    AuthRequired,
    /// The other side asks for a pause of so many seconds, if it said how long.
    RateLimited(Option<u32>),
    Other(String),
}

impl Disposition {
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retry(_) | Self::RateLimited(_))
    }

    pub fn retry_after_secs(&self) -> Option<u32> {
        match self {
            Self::Retry(after) | Self::RateLimited(after) => *after,
            Self::Permanent | Self::AuthRequired | Self::Other(_) => None,
        }
    }
}

impl PluginErrorKind {
    /// The plugin answered with a failure that another try may not meet.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Failure { disposition, .. } if disposition.is_retryable())
    }

    /// The plugin's own doing: no answer, or one that makes no sense. A failure is an answer.
    pub fn is_fault(&self) -> bool {
        matches!(self, Self::Trap(_) | Self::Timeout { .. } | Self::Memory { .. } | Self::Nonsense(_))
    }

    /// It was not called at all, and may be called after this many milliseconds.
    pub fn pause_ms(&self) -> Option<u64> {
        match self {
            Self::Budget { free_in_ms, .. } | Self::Suspended { free_in_ms, .. } => Some(*free_in_ms),
            _ => None,
        }
    }
}

impl fmt::Display for PluginErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure { code, message, .. } => write!(f, "failed ({code}): {message}"),
            Self::Trap(text) => write!(f, "trapped: {text}"),
            Self::Timeout { milliseconds } => write!(f, "was stopped after {milliseconds} ms"),
            Self::Memory { limit_bytes } => {
                write!(f, "was stopped because it wanted more than {limit_bytes} bytes of memory")
            }
            Self::Nonsense(text) => write!(f, "gave an answer that makes no sense: {text}"),
            Self::Load(text) => write!(f, "could not be loaded: {text}"),
            Self::Missing(text) => write!(f, "is not available: {text}"),
            Self::Budget { what, free_at, free_in_ms } => write!(
                f,
                "was not called, because {what} of the last minute is used up; it is free again at {}, in {} s",
                clock(*free_at),
                free_in_ms.div_ceil(1000)
            ),
            Self::Suspended { reason, free_at, free_in_ms } => write!(
                f,
                "was not called, because it faulted several times in a row (it {reason}); it is tried again at {}, in {} s",
                clock(*free_at),
                free_in_ms.div_ceil(1000)
            ),
        }
    }
}

/// A time of day, in UTC.
fn clock(at: i64) -> String {
    chrono::DateTime::from_timestamp_millis(at)
        .map_or_else(|| "an unknown time".into(), |time| time.format("%H:%M:%S UTC").to_string())
}

impl Error {
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Self {
        Self::NotFound { what, id: id.into() }
    }

    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::Conflict(message.into())
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable(message.into())
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::Internal(Detail(detail.to_string()))
    }

    pub fn timeout(what: impl Into<String>, seconds: u64) -> Self {
        Self::Timeout { what: what.into(), seconds }
    }

    pub fn cancelled(what: impl Into<String>) -> Self {
        Self::Cancelled(what.into())
    }

    /// Stable word for programs; part of the API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Invalid { .. } => "invalid",
            Self::Conflict(_) => "conflict",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::TooLarge { .. } => "too_large",
            Self::Unavailable(_) => "unavailable",
            Self::RateLimited { .. } => "rate_limited",
            Self::Plugin(_) => "plugin",
            Self::Failed(_) => "failed",
            Self::Timeout { .. } => "timeout",
            Self::Cancelled(_) => "cancelled",
            Self::Internal(_) => "internal",
        }
    }

    /// Whether the same work may succeed when tried again a little later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Internal(_) => true,
            Self::Plugin(error) => error.kind.is_retryable() || error.kind.pause_ms().is_some(),
            _ => false,
        }
    }

    /// The message with the internal detail, for the log only.
    pub fn for_log(&self) -> String {
        match self {
            Self::Internal(Detail(detail)) => detail.clone(),
            other => other.to_string(),
        }
    }
}
