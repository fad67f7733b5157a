//! `wasi:http/outgoing-handler` in terms of the broker: the same request, checked and sent the same way.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::{HeaderMap, HeaderValue, Request as WasiRequest, Response as WasiResponse};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::plugins::broker::{Refusal, RefusalKind, Request, Response, Session};
use crate::plugins::metrics::Metrics;
use crate::plugins::recorder::{Answer, Transcript, answer_to, request_to};

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
#[derive(Clone)]
pub(in crate::plugins) struct Door {
    pub(in crate::plugins) plugin: Arc<str>,
    pub(in crate::plugins) session: Option<Session>,
    /// When the call has to end.
    pub(in crate::plugins) deadline: Instant,
    pub(in crate::plugins) metrics: Metrics,
    pub(in crate::plugins) transcript: Transcript,
}

impl Door {
    async fn send(&self, request: Request) -> Answer {
        let noted = request_to(&request);
        if self.transcript.is_replay() {
            return self.transcript.replayed(&noted);
        }
        let answer = match &self.session {
            Some(session) => session.send(request).await,
            None => Err(Refusal::no_connection()),
        };
        self.transcript.note_request(&noted, Some(&answer_to(answer.clone())));
        answer
    }
}

impl WasiHttpHooks for Door {
    fn send_request(
        &mut self,
        request: WasiRequest<WasiBody>,
        options: Option<RequestOptions>,
        _ended: Ending,
    ) -> Sending {
        let door = self.clone();
        Box::new(async move {
            let result = match read(request, options, door.deadline).await {
                Ok(request) => door.send(request).await,
                Err(refusal) => Err(refusal),
            };
            door.metrics.record_request(&door.plugin, result.as_ref().err());
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

async fn read(
    request: WasiRequest<WasiBody>,
    options: Option<RequestOptions>,
    deadline: Instant,
) -> Result<Request, Refusal> {
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
    let body = tokio::time::timeout_at(deadline.into(), Limited::new(body, BODY_BYTES).collect())
        .await
        .map_err(|_| Refusal::unfinished_body(RefusalKind::Timeout))?
        .map_err(|_| Refusal::unfinished_body(RefusalKind::Denied))?
        .to_bytes();
    let timeout = options.and_then(|options| shortest(&options));
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path,
        headers: headers.collect(),
        body: body.to_vec(),
        credential,
        idempotency_key,
        timeout,
    })
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
