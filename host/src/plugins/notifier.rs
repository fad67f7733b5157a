//! The adapter for notifiers. A notifier only says what to send; the host sends it, through the broker like any request.

use super::answer::{count, whole};
use super::bindings::notifier::exports::windlass::notifier::renderer as wit;
use super::broker::{MAIL, Mail, Refusal, RefusalKind, Request, Response};
use super::call::{CallError, nonsense};
use super::target::Interface;
use super::{Plugins, Target, text};
use crate::domain::notification::{Answer, Notification, NotifyRequest, Severity};
use crate::domain::plugin::PluginKind;
use crate::error::{Error, Result};

const RENDERER: Interface =
    Interface { kind: PluginKind::Notifier, ability: None, name: "windlass:notifier/renderer@0.1.0" };
const REQUESTS: usize = 16;
const HEADERS: usize = 64;
const BODY_BYTES: usize = 1 << 20;
/// Bytes of an answer that people are shown.
const EXCERPT: usize = 300;

impl Plugins {
    /// The requests that tell about an event; none if it is not worth telling.
    pub async fn notifier_render(
        &self,
        name: &str,
        target: &Target,
        event: &Notification,
    ) -> Result<Vec<NotifyRequest>> {
        let params = |on| (on, event_to(event));
        let read = |requests: Vec<wit::Request>| {
            count("requests for one event", requests.len(), REQUESTS)?;
            requests.into_iter().map(request_from).collect()
        };
        self.call_target(name, (RENDERER, "render"), target, params, read).await
    }

    /// Sends one request that `notifier_render` asked for, and answers with what came back, whatever it was. `key` is the
    /// same for each attempt: a receiver that knows idempotency keys takes a repetition for what it is.
    ///
    /// # Errors
    /// `Forbidden` if manifest, grant and connection do not allow it, or a mail server refused it; `Unavailable` if there is
    /// no answer.
    pub async fn notifier_send(
        &self,
        name: &str,
        target: &Target,
        request: &NotifyRequest,
        key: &str,
    ) -> Result<Answer> {
        let plugin = self.find(name, PluginKind::Notifier, "send")?;
        let connection = target.connected(&plugin.info.manifest.credentials);
        let session = self.runtime().session(plugin.outbound(connection));
        let refused = |refusal: Refusal| {
            let said = format!("A notification by plugin `{name}` was not sent: {}.", refusal.said);
            match refusal.kind {
                RefusalKind::Denied | RefusalKind::AddressRefused => Error::Forbidden(said),
                _ => Error::Unavailable(said),
            }
        };
        if request.method == MAIL {
            session.mail(mail(request, key)).await.map_err(refused)?;
            return Ok(Answer { status: 250, retry_after_secs: None, excerpt: String::new() });
        }
        let request = Request {
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
            credential: request.credential.clone(),
            idempotency_key: Some(key.to_owned()),
            timeout: None,
        };
        Ok(answer(&session.send(request).await.map_err(refused)?))
    }
}

fn mail(request: &NotifyRequest, key: &str) -> Mail {
    Mail {
        headers: request.headers.clone(),
        body: request.body.clone(),
        credential: request.credential.clone(),
        id: key.to_owned(),
    }
}

/// Secrets were taken out of it before.
fn answer(response: &Response) -> Answer {
    let retry_after = response.headers.iter().find(|(name, _)| name == "retry-after");
    Answer {
        status: response.status,
        retry_after_secs: retry_after.and_then(|(_, value)| value.trim().parse().ok()),
        excerpt: text::line(&String::from_utf8_lossy(&response.body), EXCERPT),
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
