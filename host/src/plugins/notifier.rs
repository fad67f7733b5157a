//! The adapter for notifiers. A notifier only says what to send; sending is the broker's.

use super::answer::{count, whole};
use super::bindings::notifier::NotifierPre;
use super::bindings::notifier::exports::windlass::notifier::renderer as wit;
use super::call::{CallError, nonsense};
use super::{Plugins, Target, text};
use crate::domain::notification::{Notification, NotifyRequest, Severity};
use crate::domain::plugin::PluginKind;
use crate::error::Result;

const REQUESTS: usize = 16;
const HEADERS: usize = 64;
const BODY_BYTES: usize = 1 << 20;

impl Plugins {
    /// The requests that tell about an event; none if it is not worth telling.
    pub async fn notifier_render(
        &self,
        name: &str,
        target: &Target,
        event: &Notification,
    ) -> Result<Vec<NotifyRequest>> {
        let event = event_to(event);
        self.call_target(
            (name, PluginKind::Notifier, None),
            "render",
            target,
            move |store, pre, connection| {
                let guest = NotifierPre::new(pre.clone())?.instantiate(&mut *store)?;
                let requests =
                    guest.windlass_notifier_renderer().call_render(store, connection, &event)??;
                count("requests for one event", requests.len(), REQUESTS)?;
                requests.into_iter().map(request_from).collect()
            },
        )
        .await
    }
}

fn event_to(event: &Notification) -> wit::Event {
    wit::Event {
        id: event.id.clone(),
        kind: event.kind.clone(),
        at: u64::try_from(event.at).unwrap_or(0),
        severity: match event.severity {
            Severity::Info => wit::Severity::Info,
            Severity::Success => wit::Severity::Success,
            Severity::Warning => wit::Severity::Warning,
            Severity::Error => wit::Severity::Error,
        },
        title: event.title.clone(),
        text: event.text.clone(),
        stack: event.stack.clone(),
        url: event.url.clone(),
        data: event.data.to_string(),
        extras: Vec::new(),
    }
}

/// Bounds only; whether it may be sent is decided where it is sent.
fn request_from(request: wit::Request) -> Result<NotifyRequest, CallError> {
    let is_method = |method: &str| {
        (1..=16).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase())
    };
    if !is_method(&request.method) {
        return Err(nonsense(format!("the method `{}`", text::line(&request.method, 32))));
    }
    count("headers of a request", request.headers.len(), HEADERS)?;
    count("bytes in the body of a request", request.body.len(), BODY_BYTES)?;
    let header = |(name, value): (String, String)| {
        Ok::<_, CallError>((whole("header's name", name)?, whole("header", value)?))
    };
    Ok(NotifyRequest {
        method: request.method,
        path: whole("path", request.path)?,
        headers: request.headers.into_iter().map(header).collect::<Result<_, _>>()?,
        body: request.body,
        credential: request.credential.map(|slot| whole("credential slot", slot)).transpose()?,
    })
}
