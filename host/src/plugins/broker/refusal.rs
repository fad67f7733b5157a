//! Why there is no response: one type for what the guest is told and what the metrics count.

use std::time::Duration;

use crate::network::Class;

/// No response, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// A word for the metrics and the log. Example: `permission`.
    pub reason: &'static str,
    /// For people; without any secret.
    pub said: String,
}

/// The cases of `windlass:host/http.error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    Denied,
    AddressRefused,
    Timeout,
    TooLarge,
    Connect,
    Tls,
    Budget,
    Other,
}

impl Refusal {
    /// The call has no other side to talk to.
    pub(in crate::plugins) fn no_connection() -> Self {
        Self::denied("connection", "this call has no connection, so there is nobody to send a request to")
    }

    /// The body of a request did not arrive from the guest whole.
    pub(in crate::plugins) fn unfinished_body(kind: RefusalKind) -> Self {
        Self { kind, reason: "body", said: "the request's body was not finished, or is too large".into() }
    }

    pub(super) fn denied(reason: &'static str, said: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Denied, reason, said: said.into() }
    }

    pub(super) fn address(host: &str, class: Class) -> Self {
        let said = format!("`{host}` leads to {}, an address that plugins may not reach", class.words());
        Self { kind: RefusalKind::AddressRefused, reason: "address", said }
    }

    pub(super) fn timeout(after: Duration) -> Self {
        let said = format!("no whole response within {} ms", after.as_millis());
        Self { kind: RefusalKind::Timeout, reason: "timeout", said }
    }

    pub(super) fn too_large(said: impl Into<String>) -> Self {
        Self { kind: RefusalKind::TooLarge, reason: "too-large", said: said.into() }
    }

    pub(super) fn connect(said: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Connect, reason: "connect", said: said.into() }
    }

    pub(super) fn tls(said: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Tls, reason: "tls", said: said.into() }
    }

    pub(super) fn budget(requests: u32) -> Self {
        let said = format!("the call has sent all the {requests} requests it may");
        Self { kind: RefusalKind::Budget, reason: "budget", said }
    }

    pub(super) fn other(reason: &'static str, said: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Other, reason, said: said.into() }
    }
}
