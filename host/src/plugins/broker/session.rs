//! The requests of one call: counted, bounded in time, sent hop by hop, and their responses without secrets.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use tokio::runtime::Handle;

use super::client::{Answer, BODY_BYTES, Outgoing};
use super::connection::{Connection, Secret};
use super::headers;
use super::inject::{self, Injection};
use super::mail::Mail;
use super::mint::Minted;
use super::path::Target;
use super::policy::{self, Audience};
use super::refusal::Refusal;
use super::scrub::Scrubber;
use super::{Broker, Outbound, stand_in};
use crate::domain::plugin::CredentialSlot;

/// Most requests of one call, redirects and mints included.
const REQUESTS: u32 = 32;
/// Most redirects of one request.
const REDIRECTS: u32 = 10;

/// What a guest asks for: `windlass:host/http.request`.
#[derive(Debug, Clone)]
pub(in crate::plugins) struct Request {
    pub(in crate::plugins) method: String,
    pub(in crate::plugins) path: String,
    pub(in crate::plugins) headers: Vec<(String, String)>,
    pub(in crate::plugins) body: Vec<u8>,
    pub(in crate::plugins) credential: Option<String>,
    pub(in crate::plugins) idempotency_key: Option<String>,
    pub(in crate::plugins) timeout: Option<Duration>,
}

/// What a guest gets: `windlass:host/http.response`.
#[derive(Debug, Clone)]
pub(in crate::plugins) struct Response {
    pub(in crate::plugins) status: u16,
    pub(in crate::plugins) headers: Vec<(String, String)>,
    pub(in crate::plugins) body: Vec<u8>,
}

/// One call's way out. Requests through `wasi:http` may overlap, so it is shared.
#[derive(Clone)]
pub(in crate::plugins) struct Session(Arc<Inner>);

struct Inner {
    broker: Broker,
    outbound: Outbound,
    deadline: Instant,
    sent: AtomicU32,
    known: Mutex<Known>,
}

/// The secrets of the call so far.
struct Known {
    minted: Vec<Secret>,
    scrubber: Arc<Scrubber>,
}

/// A slot and the secret in it.
struct Credential {
    slot: CredentialSlot,
    injection: Injection,
    secret: Secret,
}

impl Session {
    pub(in crate::plugins) fn new(broker: Broker, outbound: Outbound, deadline: Instant) -> Self {
        let scrubber = Arc::new(Scrubber::new(outbound.connection.secrets()));
        let known = Mutex::new(Known { minted: Vec::new(), scrubber });
        Self(Arc::new(Inner { broker, outbound, deadline, sent: AtomicU32::new(0), known }))
    }

    /// Text without this call's secrets.
    pub(in crate::plugins) fn scrubbed(&self, text: &str) -> String {
        self.0.scrubber().text(text)
    }

    /// Sends a request and waits for its response, at most until the call's deadline.
    pub(in crate::plugins) async fn send(&self, request: Request) -> Result<Response, Refusal> {
        let started = Instant::now();
        let own = request.timeout.map_or(self.0.deadline, |timeout| started + timeout);
        let until = own.min(self.0.deadline).into();
        let sent = tokio::time::timeout_at(until, self.0.exchange(request)).await;
        let result = sent.unwrap_or_else(|_| Err(Refusal::timeout(started.elapsed())));
        result.map_err(|refusal| Refusal { said: self.scrubbed(&refusal.said), ..refusal })
    }

    /// Sends a mail to the connection's server, at most until the call's deadline.
    pub(in crate::plugins) async fn mail(&self, mail: Mail) -> Result<(), Refusal> {
        let started = Instant::now();
        let sent = tokio::time::timeout_at(self.0.deadline.into(), self.0.mail(mail)).await;
        let result = sent.unwrap_or_else(|_| Err(Refusal::timeout(started.elapsed())));
        result.map_err(|refusal| Refusal { said: self.scrubbed(&refusal.said), ..refusal })
    }

    /// The same on a thread that may block.
    pub(in crate::plugins) fn send_blocking(&self, request: Request) -> Result<Response, Refusal> {
        let handle = Handle::try_current()
            .map_err(|_| Refusal::other("runtime", "requests can only be sent while the server runs"))?;
        handle.block_on(self.send(request))
    }

    /// The token that is minted for a slot, for the host's own use: no guest is there to see it.
    pub(in crate::plugins) async fn token(&self, slot: &str) -> Result<Secret, Refusal> {
        let connection = &self.0.outbound.connection;
        let minted = match self.0.credential(Some(slot))? {
            Some(Credential { slot, injection: Injection::Minted(recipe), secret }) => {
                self.0.broker.token(connection, &slot, &recipe, &secret, None).await?.minted
            }
            _ => {
                return Err(Refusal::denied(
                    "credential",
                    format!("nothing is minted for the slot `{slot}`"),
                ));
            }
        };
        minted.token().ok_or_else(|| Refusal::denied("credential", "what is minted is no token"))
    }

    /// Has the newest refresh token for a slot stored where the connection's secrets are.
    pub(in crate::plugins) async fn keep_newest(&self, slot: &str) -> Result<(), Refusal> {
        let connection = &self.0.outbound.connection;
        if let Some(Credential { slot, injection: Injection::Minted(_), secret }) =
            self.0.credential(Some(slot))?
        {
            self.0.broker.keep_newest(connection, &slot, &secret).await;
        }
        Ok(())
    }
}

impl Inner {
    /// Only a whole value is ever put in, so a poisoned lock is as good as a sound one.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scrubber(&self) -> Arc<Scrubber> {
        self.known().scrubber.clone()
    }

    async fn exchange(&self, request: Request) -> Result<Response, Refusal> {
        let credential = self.credential(request.credential.as_deref())?;
        let connection = self.outbound.connection.clone();
        if connection.is_mail() {
            let said = "the connection is a mail server, which takes mails and no requests";
            return Err(Refusal::denied("connection", said));
        }
        let mut outgoing = self.outgoing(request)?;
        complete(&mut outgoing, &connection);
        let mut audience = self.authorise(&outgoing)?;
        let mut redirects = 0;
        loop {
            let answer = self.hop(&connection, audience, &outgoing, credential.as_ref()).await?;
            let Some(location) = redirect(&answer) else {
                return Ok(self.response(answer));
            };
            redirects += 1;
            if redirects > REDIRECTS {
                return Err(Refusal::other(
                    "redirects",
                    format!("more than {REDIRECTS} redirects one after another"),
                ));
            }
            let refused = |why: String| Refusal::denied("redirect", format!("a redirect was refused: {why}"));
            outgoing.target = outgoing.target.redirected(&location).map_err(refused)?;
            follow(answer.status, &mut outgoing);
            complete(&mut outgoing, &connection);
            audience = self.authorise(&outgoing).map_err(|refusal| refused(refusal.said))?;
        }
    }

    async fn mail(&self, mail: Mail) -> Result<(), Refusal> {
        let connection = &self.outbound.connection;
        if !connection.is_mail() {
            let said = "the connection's base URL has to begin with smtps:// or smtp:// for mails";
            return Err(Refusal::denied("connection", said));
        }
        policy::authorise_mail(connection, &self.outbound.permissions)?;
        let login = self.credential(mail.credential.as_deref())?.map(|credential| credential.secret);
        self.spend()?;
        self.broker.mail(connection, &mail, login.as_ref()).await
    }

    /// Sends one hop, with its credential if it goes to the connection's own origin.
    async fn hop(
        &self,
        connection: &Arc<Connection>,
        audience: Audience,
        outgoing: &Outgoing,
        credential: Option<&Credential>,
    ) -> Result<Answer, Refusal> {
        let mut stale: Option<Arc<Minted>> = None;
        loop {
            self.spend()?;
            if let Some(trial) = connection.trial() {
                return stand_in::answer(trial, outgoing);
            }
            let mut hop = outgoing.clone();
            let mut used = None;
            if audience == Audience::Own {
                inject::fill(connection.placeholders(), &mut hop);
            }
            if let (Audience::Own, Some(credential)) = (audience, credential) {
                used = self.apply(connection, credential, &mut hop, stale.as_ref()).await?;
            }
            let answer = self.broker.exchange(connection, audience, hop).await?;
            if audience == Audience::Own {
                connection.tell_budget(&answer.headers);
            }
            match used {
                // A token can be revoked before its time, and the request was not served: once more with a new one.
                Some(minted) if minted.is_refused(answer.status) && stale.is_none() => stale = Some(minted),
                _ => return Ok(answer),
            }
        }
    }

    /// Puts the credential in. A token that was not minted just now is returned: the other side may have forgotten it.
    async fn apply(
        &self,
        connection: &Arc<Connection>,
        credential: &Credential,
        hop: &mut Outgoing,
        stale: Option<&Arc<Minted>>,
    ) -> Result<Option<Arc<Minted>>, Refusal> {
        let Injection::Minted(recipe) = &credential.injection else {
            let previous = connection.secret_of(&format!("{}-previous", credential.slot.name));
            return credential.injection.apply(&credential.secret, previous, hop).map(|()| None);
        };
        recipe.accompany(&credential.secret, hop)?;
        if !recipe.is_needed_for(&hop.method) {
            return Ok(None);
        }
        let token =
            self.broker.token(connection, &credential.slot, recipe, &credential.secret, stale).await?;
        if token.is_fresh {
            self.spend()?;
        }
        self.know(token.minted.secrets());
        token.minted.apply(hop)?;
        Ok((!token.is_fresh).then_some(token.minted))
    }

    fn know(&self, secrets: impl Iterator<Item = Secret>) {
        let mut known = self.known();
        let before = known.minted.len();
        for secret in secrets {
            if !known.minted.contains(&secret) {
                known.minted.push(secret);
            }
        }
        if known.minted.len() > before {
            let all = self.outbound.connection.secrets().chain(&known.minted);
            known.scrubber = Arc::new(Scrubber::new(all));
        }
    }

    fn spend(&self) -> Result<(), Refusal> {
        match self.sent.fetch_add(1, Ordering::Relaxed) {
            sent if sent < REQUESTS => Ok(()),
            _ => {
                self.sent.store(REQUESTS, Ordering::Relaxed);
                Err(Refusal::budget(REQUESTS))
            }
        }
    }

    fn authorise(&self, outgoing: &Outgoing) -> Result<Audience, Refusal> {
        let Outbound { connection, permissions, .. } = &self.outbound;
        policy::authorise(connection, permissions, outgoing.method.as_str(), &outgoing.target)
    }

    fn credential(&self, slot: Option<&str>) -> Result<Option<Credential>, Refusal> {
        let Some(name) = slot else {
            return Ok(None);
        };
        let Some(slot) = self.outbound.slots.iter().find(|slot| slot.name == name) else {
            return Err(Refusal::denied("credential", "the manifest has no credential slot of that name"));
        };
        let Some(secret) = self.outbound.connection.secret_of(name) else {
            let said = format!("the connection has no secret for the slot `{name}`. Please enter one");
            return Err(Refusal::denied("credential", said));
        };
        let injection = Injection::of(slot).map_err(|why| Refusal::denied("credential", why))?;
        Ok(Some(Credential { slot: slot.clone(), injection, secret: secret.clone() }))
    }

    /// Checks what the guest wrote.
    fn outgoing(&self, request: Request) -> Result<Outgoing, Refusal> {
        let is_method = (1..=16).contains(&request.method.len())
            && request.method.bytes().all(|byte| byte.is_ascii_uppercase())
            && !matches!(request.method.as_str(), "CONNECT" | "TRACE");
        let method = Method::from_bytes(request.method.as_bytes()).ok().filter(|_| is_method);
        let method = method.ok_or_else(|| {
            Refusal::denied(
                "method",
                "the method is none in capitals, or is CONNECT or TRACE, which are never sent",
            )
        })?;
        if request.body.len() > BODY_BYTES {
            return Err(Refusal::denied("body", format!("the body is larger than {BODY_BYTES} bytes")));
        }
        let connection = &self.outbound.connection;
        let target = Target::parse(&request.path, connection.origin(), connection.base_path())
            .map_err(|why| Refusal::denied("path", why))?;
        let injections: Vec<Injection> =
            self.outbound.slots.iter().filter_map(|slot| Injection::of(slot).ok()).collect();
        let reserved: Vec<&str> = injections.iter().flat_map(Injection::headers).collect();
        let mut headers = headers::checked(&request.headers, &reserved)?;
        if let Some(key) = &request.idempotency_key {
            if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                let said = "an idempotency key has 1 to 255 printable ASCII characters without blanks";
                return Err(Refusal::denied("headers", said));
            }
            // Other methods are idempotent by themselves (RFC 9110, section 9.2.2).
            if matches!(method, Method::POST | Method::PATCH)
                && let Ok(key) = HeaderValue::from_str(key)
            {
                headers.insert("idempotency-key", key);
            }
        }
        Ok(Outgoing { method, target, headers, body: Bytes::from(request.body) })
    }

    fn response(&self, answer: Answer) -> Response {
        // Another call on this connection may have minted what this one is shown.
        let minted = self.broker.tokens.of(&self.outbound.connection);
        self.know(minted.iter().flat_map(|minted| minted.secrets()));
        let scrubber = self.scrubber();
        let (body, is_changed) = scrubber.bytes(answer.body);
        let mut headers = scrubber.headers(headers::visible(&answer.headers));
        if is_changed {
            headers.retain(|(name, _)| name != "content-length");
        }
        Response { status: answer.status.as_u16(), headers, body }
    }
}

/// The headers that the host is responsible for, for the origin that the request goes to now.
pub(super) fn complete(outgoing: &mut Outgoing, connection: &Connection) {
    // What was parsed as a URL's host and port is good as a header.
    if let Ok(host) = HeaderValue::from_str(&outgoing.target.origin.authority()) {
        outgoing.headers.insert(header::HOST, host);
    }
    outgoing.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    outgoing.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let agent = concat!("windlass/", env!("CARGO_PKG_VERSION"));
    outgoing.headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(agent));
    outgoing.headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
    if outgoing.target.origin != *connection.origin() {
        // The key is between the plugin and the connection's origin.
        outgoing.headers.remove("idempotency-key");
    }
}

/// Where the answer sends the request on to.
fn redirect(answer: &Answer) -> Option<String> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(header::LOCATION)?;
    Some(String::from_utf8_lossy(location.as_bytes()).into_owned())
}

/// The method after a redirect (RFC 9110, section 15.4): 303 asks for the other place with GET; 301 and 302 make a GET
/// of a POST, as everybody does; 307 and 308 repeat the request as it is.
fn follow(status: StatusCode, outgoing: &mut Outgoing) {
    let becomes_get = match status.as_u16() {
        303 => outgoing.method != Method::HEAD,
        301 | 302 => outgoing.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        outgoing.method = Method::GET;
        outgoing.body = Bytes::new();
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CONTENT_LOCATION,
        ] {
            outgoing.headers.remove(name);
        }
        outgoing.headers.remove("idempotency-key");
    }
}
