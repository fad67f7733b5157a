//! What the tests of a notifier begin with.

use serde_json::Value;

use crate::notifier::{Event, Notifier, Request, Severity};
use crate::{Connection, Failure};

/// A deployment of the stack `shop` that failed, with these words.
pub fn failed_deployment(title: &str, text: &str) -> Event {
    Event {
        id: "0199".to_owned(),
        kind: "deployment.failed".to_owned(),
        at: 1_769_860_800_123,
        severity: Severity::Error,
        title: title.to_owned(),
        text: text.to_owned(),
        stack: Some("shop".to_owned()),
        url: Some("https://windlass.example/deployments/7".to_owned()),
        data: "{}".to_owned(),
        extras: Vec::new(),
    }
}

/// What a notifier makes of an event, for a target with these settings.
///
/// # Errors
/// The notifier's own.
pub fn rendered<N: Notifier>(settings: &Value, event: Event) -> Result<Vec<Request>, Failure> {
    let target = Connection {
        base_url: "https://chat.example".to_owned(),
        settings: settings.to_string(),
        extras: Vec::new(),
    };
    N::render(target, event)
}

/// The one request that it makes.
///
/// # Panics
/// If it fails, or makes none or several.
pub fn only_request<N: Notifier>(settings: &Value, event: Event) -> Request {
    let mut requests = rendered::<N>(settings, event).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

/// A request's body as JSON.
///
/// # Panics
/// If it is none.
pub fn json_body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_else(|error| panic!("{error}: {request:?}"))
}
