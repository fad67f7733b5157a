//! `wasi:http/outgoing-handler` in terms of the broker: the same request, checked and sent the same way.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Request as WasiRequest, Response as WasiResponse};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::plugins::broker::{Refusal, RefusalKind, Request, Response, Session};
use crate::plugins::metrics::Metrics;

/// The host of URLs that are meant relative to the connection's base URL. The name never resolves (RFC 2606).
const CONNECTION: &str = "connection.invalid";
/// Headers by which a guest says what `windlass:host/http.request` has fields for.
const CREDENTIAL: &str = "x-windlass-credential";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Most bytes of a request's body, as with `windlass:host/http`.
const BODY_BYTES: usize = 8 << 20;

type Ending = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(WasiResponse<WasiBody>, Ending), Error>> + Send>;

/// One call's way out, if it has any.
pub(super) struct Door {
    plugin: Arc<str>,
    session: Option<Session>,
    metrics: Metrics,
}

impl Door {
    pub(super) fn new(plugin: Arc<str>, session: Option<Session>, metrics: Metrics) -> Self {
        Self { plugin, session, metrics }
    }
}

impl WasiHttpHooks for Door {
    fn send_request(
        &mut self,
        request: WasiRequest<WasiBody>,
        options: Option<RequestOptions>,
        _ended: Ending,
    ) -> Sending {
        let (plugin, session, metrics) = (self.plugin.clone(), self.session.clone(), self.metrics.clone());
        Box::new(async move {
            let result = match session {
                Some(session) => sent(&session, request, options).await,
                None => Err(Refusal::no_connection()),
            };
            metrics.record_request(&plugin, result.as_ref().err());
            let response = result.map_err(error_to)?;
            let ending: Ending = Box::new(async { Ok(()) });
            Ok((response_to(response)?, ending))
        })
    }

    /// The broker says which headers are not the guest's to set, and sets them itself.
    fn set_host_header(&mut self) -> bool {
        false
    }
}

async fn sent(
    session: &Session,
    request: WasiRequest<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Response, Refusal> {
    let (mut head, body) = request.into_parts();
    let written = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match head.uri.authority() {
        Some(authority) if authority.as_str() == CONNECTION => written.to_owned(),
        _ => head.uri.to_string(),
    };
    let credential = taken(&mut head.headers, CREDENTIAL);
    let idempotency_key = taken(&mut head.headers, IDEMPOTENCY_KEY);
    // The client frames the message anew.
    head.headers.remove(::http::header::CONTENT_LENGTH);
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    // A guest that never finishes its body would be waited for without end.
    let until = session.deadline().into();
    let body = tokio::time::timeout_at(until, Limited::new(body, BODY_BYTES).collect())
        .await
        .map_err(|_| Refusal::unfinished_body(RefusalKind::Timeout))?
        .map_err(|_| Refusal::unfinished_body(RefusalKind::Denied))?
        .to_bytes();
    let timeout = options.and_then(|options| shortest(&options));
    let request = Request {
        method: head.method.as_str().to_owned(),
        path,
        headers: headers.collect(),
        body: body.to_vec(),
        credential,
        idempotency_key,
        timeout,
    };
    session.send(request).await
}

fn taken(headers: &mut HeaderMap, name: &str) -> Option<String> {
    let value: HeaderValue = headers.remove(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn shortest(options: &RequestOptions) -> Option<Duration> {
    [options.connect_timeout, options.first_byte_timeout].into_iter().flatten().max()
}

fn response_to(response: Response) -> Result<WasiResponse<WasiBody>, Error> {
    let body = Full::new(Bytes::from(response.body)).map_err(|never| match never {}).boxed_unsync();
    let mut answer = WasiResponse::builder().status(response.status);
    for (name, value) in response.headers {
        answer = answer.header(name, value);
    }
    answer.body(body).map_err(|_| Error::HttpProtocolError)
}

fn error_to(refusal: Refusal) -> Error {
    match refusal.kind {
        RefusalKind::Denied => Error::HttpRequestDenied,
        RefusalKind::AddressRefused => Error::DestinationIpProhibited,
        RefusalKind::Timeout => Error::ConnectionReadTimeout,
        RefusalKind::TooLarge => Error::HttpResponseBodySize(None),
        RefusalKind::Connect => Error::ConnectionTerminated,
        RefusalKind::Tls => Error::TlsCertificateError,
        RefusalKind::Budget => Error::ConnectionLimitReached,
        RefusalKind::Other => Error::InternalError(Some(refusal.said)),
    }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
