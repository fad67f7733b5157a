//! One request: from the client to a target of the release that is its turn, and the answer back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue, SET_COOKIE};
use http::request::Parts;
use http::{Method, Request, Response, Version};
use hyper::body::Incoming;

use super::access::Entry;
use super::account::{Account, Client};
use super::body::{Body, Relayed};
use super::headers;
use super::live::{LiveRelease, LiveRoute};
use super::page::Refusal;
use super::state::Router;
use super::tunnel;
use super::upstream::{Line, Outgoing, Upstream};
use crate::domain::route::Sticky;
use crate::domain::route::choice::{by_header, owner, place_in_turn, place_of, without_port};

/// How often a request is decided anew because the table changed under it.
const CHANGES: usize = 8;

/// What is decided about a request.
pub(super) struct Choice {
    pub route: Arc<LiveRoute>,
    release: usize,
    target: Arc<Upstream>,
    pub account: Account,
    /// The place of a new client, to be told to it.
    pub seat: Option<u8>,
}

impl Choice {
    fn release(&self) -> &LiveRelease {
        &self.route.releases[self.release]
    }
}

pub async fn serve(router: Arc<Router>, client: Client, request: Request<Incoming>) -> Response<Body> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let host = host(&parts);
    let accept = parts.headers.get(ACCEPT).cloned();
    let mut entry = router.access.as_ref().map(|_| Box::new(entry(&parts, client, host.as_ref())));
    if let Some(answer) = challenge(&router, &parts) {
        return answer;
    }
    let answer = match host {
        Some(host) if parts.method != Method::CONNECT => {
            answer(&router, client, (parts, body), host, arrived, &mut entry).await
        }
        _ => Err(Refusal::Malformed),
    };
    answer.unwrap_or_else(|refusal| {
        if matches!(refusal, Refusal::Malformed | Refusal::NoRoute { .. }) {
            router.unrouted.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(log), Some(mut entry)) = (&router.access, entry) {
            // Nobody was asked, so nobody's account has it.
            entry.status = refusal.status().as_u16();
            entry.total_us = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
            log.write(*entry);
        }
        refusal.response(accept.as_ref())
    })
}

/// What an ACME server is to find, whatever the host is and before any redirect.
fn challenge(router: &Router, parts: &Parts) -> Option<Response<Body>> {
    let token = parts.uri.path().strip_prefix("/.well-known/acme-challenge/")?;
    let live = router.live.load();
    let known = live.document.challenges.iter().find(|challenge| challenge.token == token)?;
    Some(Response::new(Body::Text(Some(Bytes::from(known.answer.clone())))))
}

async fn answer(
    router: &Router,
    client: Client,
    (parts, body): (Parts, Incoming),
    host: HeaderValue,
    arrived: Instant,
    entry: &mut Option<Box<Entry>>,
) -> Result<Response<Body>, Refusal> {
    let asked =
        Asked { client, parts: &parts, host: host.to_str().map_err(|_| Refusal::Malformed)?, arrived };
    let upgrade = headers::upgrade(&parts);
    let (choice, line) = reach(router, &asked, upgrade.is_some(), entry).await?;
    let mut request = Request::from_parts(parts, body);
    let downstream = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    headers::to_target(&mut request, host, client, router.trust_forwarded);
    let mut request = request.map(Outgoing::of);
    if let (Some(protocol), Some(downstream)) = (upgrade, downstream) {
        headers::ask_for_upgrade(&mut request, protocol);
        return tunnel::open(router, choice, line, request, downstream).await;
    }
    relay(choice, line, request).await
}

/// What a request is decided by.
struct Asked<'r> {
    client: Client,
    parts: &'r Parts,
    host: &'r str,
    arrived: Instant,
}

/// A connection to a target of the release whose turn it is. `fresh` is for one that carried nothing before.
async fn reach(
    router: &Router,
    asked: &Asked<'_>,
    fresh: bool,
    entry: &mut Option<Box<Entry>>,
) -> Result<(Choice, Line), Refusal> {
    for _ in 0..CHANGES {
        let (mut choice, version) = choose(router, asked).await?;
        let idle = if fresh { None } else { choice.target.take_idle().await };
        let line = match idle {
            Some(line) => Ok(line),
            None => connect(&mut choice).await,
        };
        // The release was replaced, and its targets stopped, while this request was on its way there: nothing was sent, so
        // it goes to whoever serves now.
        if line.is_err() && router.live.load().document.version != version {
            continue;
        }
        if let (Some(log), Some(mut entry)) = (&router.access, entry.take()) {
            entry.route.clone_from(&choice.route.route.name);
            entry.release.clone_from(&choice.release().release.name);
            choice.account.log_to(log.clone(), entry);
        }
        return match line {
            Ok(line) => Ok((choice, line)),
            Err(refusal) => Err(refused(choice.account, refusal)),
        };
    }
    Err(Refusal::NothingServes { route: asked.host.to_string() })
}

/// The release whose turn it is, with a target. Waits while the route's requests are held.
async fn choose(router: &Router, asked: &Asked<'_>) -> Result<(Choice, u64), Refusal> {
    for _ in 0..CHANGES {
        let (route, version) = settled(router, asked).await?;
        let name = || route.route.name.clone();
        let (release, seat, is_new) =
            release(&route, asked).ok_or_else(|| Refusal::NothingServes { route: name() })?;
        let mut account = Account::open(route.releases[release].release.clone());
        let target = route.releases[release].target(seat).cloned();
        if let Some(target) = &target {
            account.at(target);
        }
        // If the table changed before this request was counted, whoever drains the target may not have seen it.
        if router.live.load().document.version != version {
            continue;
        }
        let Some(target) = target else {
            return Err(refused(account, Refusal::Unhealthy { route: name() }));
        };
        return Ok((Choice { seat: seat.filter(|_| is_new), route, release, target, account }, version));
    }
    Err(Refusal::NothingServes { route: asked.host.to_string() })
}

/// The route, as soon as its requests are not held any more, and the version of its table.
async fn settled(router: &Router, asked: &Asked<'_>) -> Result<(Arc<LiveRoute>, u64), Refusal> {
    let (host, uri) = (asked.host, &asked.parts.uri);
    let find = || {
        let live = router.live.load();
        let route = live.index.find(host, uri.path()).and_then(|at| live.routes.get(at).cloned());
        route.map(|route| (route, live.document.version))
    };
    let missing = || Refusal::NoRoute { host: host.to_string() };
    let (first, version) = find().ok_or_else(missing)?;
    if first.route.redirect_https && !asked.client.tls {
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        return Err(Refusal::PlainHttp { location: format!("https://{}{path}", without_port(host)) });
    }
    let Some(hold) = &first.route.hold else { return Ok((first, version)) };
    let name = first.route.name.clone();
    let _seat = Waiting::enter(&first.waiting, hold.queue)
        .ok_or_else(|| Refusal::QueueFull { route: name.clone() })?;
    loop {
        // Subscribed before the look, so that no change is missed between the two.
        let mut changes = router.changes.subscribe();
        let (route, version) = find().ok_or_else(missing)?;
        let Some(hold) = &route.route.hold else { return Ok((route, version)) };
        let left = Duration::from_millis(hold.deadline_ms).saturating_sub(asked.arrived.elapsed());
        if left.is_zero() || tokio::time::timeout(left, changes.changed()).await.is_err() {
            return Err(Refusal::HeldTooLong { route: name });
        }
    }
}

/// A place in the queue of a route whose requests are held.
struct Waiting<'r>(&'r std::sync::atomic::AtomicU32);

impl<'r> Waiting<'r> {
    fn enter(count: &'r std::sync::atomic::AtomicU32, most: u32) -> Option<Self> {
        let entered = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |waiting| {
            (waiting < most).then_some(waiting + 1)
        });
        entered.ok().map(|_| Self(count))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The release, the place of a client that stays with it, and whether that client is new.
fn release(route: &LiveRoute, asked: &Asked<'_>) -> Option<(usize, Option<u8>, bool)> {
    let headers = &asked.parts.headers;
    let ordered = by_header(&route.route.headers, |name| headers.get(name).map(HeaderValue::as_bytes));
    if let Some(name) = ordered {
        let at = route.route.releases.iter().position(|share| share.release == name)?;
        return Some((at, None, false));
    }
    let next = || place_in_turn(route.turn.fetch_add(1, Ordering::Relaxed));
    let (place, stays, is_new) = match &route.route.sticky {
        None => (next(), false, false),
        Some(Sticky::Address) => {
            (place_of(asked.client.address.to_canonical().to_string().as_bytes()), true, false)
        }
        Some(Sticky::Header { name }) => match headers.get(name) {
            Some(value) => (place_of(value.as_bytes()), true, false),
            None => (next(), false, false),
        },
        Some(Sticky::Cookie { name, .. }) => {
            let known = headers::cookie(headers, name).and_then(|value| value.parse::<u8>().ok());
            match known.filter(|place| u64::from(*place) < crate::domain::route::choice::PLACES) {
                Some(place) => (place, true, false),
                None => (next(), true, true),
            }
        }
    };
    let at = owner(&route.route.releases, place)?;
    Some((at, stays.then_some(place), is_new))
}

async fn relay(
    mut choice: Choice,
    line: Line,
    request: Request<Outgoing>,
) -> Result<Response<Body>, Refusal> {
    let limit = Duration::from_millis(choice.route.route.timeouts.response_ms);
    let (cut, quiet) = (choice.account.cut(), request.body().quiet());
    let late = async {
        match quiet {
            // An upload may take as long as it likes; the answer is waited for from its end.
            Some(quiet) => quiet.lasts(limit).await,
            None => tokio::time::sleep(limit).await,
        }
    };
    let name = choice.route.route.name.clone();
    let sent = tokio::select! {
        biased;
        sent = send(&mut choice, line, request) => sent,
        () = late => Err(Refusal::NoAnswer { route: name }),
        () = cut => Err(Refusal::Broken { route: name }),
    };
    let Choice { route, mut account, target, seat, .. } = choice;
    match sent {
        Ok((response, line)) => {
            account.answered(response.status().as_u16());
            let idle = Duration::from_millis(route.route.timeouts.idle_ms);
            Ok(passed_on(response, seat_cookie(&route, seat), |incoming| {
                Relayed::new(incoming, Some((line, target)), account, idle)
            }))
        }
        Err(refusal) => Err(refused(account, refusal)),
    }
}

/// The release's own failure: it is counted with it.
pub(super) fn refused(mut account: Account, refusal: Refusal) -> Refusal {
    account.answered(refusal.status().as_u16());
    account.complete();
    refusal
}

/// Sends the request, over another connection if this one was closed just now and the request may be sent twice.
async fn send(
    choice: &mut Choice,
    mut line: Line,
    mut request: Request<Outgoing>,
) -> Result<(Response<Incoming>, Line), Refusal> {
    // Nobody but this request can tell whether it may be sent twice: it has no body, and its method promises so.
    let repeatable = request.body().is_empty() && request.method().is_idempotent();
    loop {
        let was_used = line.used;
        let again = (was_used && repeatable).then(|| copy(&request));
        match line.send(request).await {
            Ok(response) => return Ok((response, line)),
            Err(mut error) => match (error.take_message(), again) {
                (Some(unsent), _) if was_used => request = unsent,
                (None, Some(copy)) => request = copy,
                _ => return Err(Refusal::Broken { route: choice.route.route.name.clone() }),
            },
        }
        // A new connection, so this happens once.
        line = connect(choice).await?;
    }
}

/// A connection to the target, or to the next one of the release that takes it: nothing has been sent yet.
async fn connect(choice: &mut Choice) -> Result<Line, Refusal> {
    let patience = Duration::from_millis(choice.route.route.timeouts.connect_ms);
    let first = choice.target.clone();
    let targets = &choice.route.releases[choice.release].targets;
    let others = targets.iter().filter(|target| target.address != first.address && target.is_healthy());
    for target in std::iter::once(&first).chain(others) {
        match target.connect(patience).await {
            Ok(line) => {
                choice.account.at(target);
                choice.target = target.clone();
                return Ok(line);
            }
            Err(error) => {
                tracing::debug!(target = %target.address, %error, "[@router:proxy] cannot be connected to");
            }
        }
    }
    Err(Refusal::Unreachable { route: choice.route.route.name.clone() })
}

fn copy(request: &Request<Outgoing>) -> Request<Outgoing> {
    let mut copy = Request::new(Outgoing::default());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// The answer as the client gets it.
pub(super) fn passed_on(
    response: Response<Incoming>,
    cookie: Option<HeaderValue>,
    relayed: impl FnOnce(Incoming) -> Relayed,
) -> Response<Body> {
    let (mut parts, incoming) = response.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    parts.headers.extend(cookie.map(|value| (SET_COOKIE, value)));
    Response::from_parts(parts, Body::Relayed(Box::new(relayed(incoming))))
}

/// Tells a new client its place.
pub(super) fn seat_cookie(route: &LiveRoute, seat: Option<u8>) -> Option<HeaderValue> {
    let (Some(seat), Some(Sticky::Cookie { name, max_age_secs })) = (seat, &route.route.sticky) else {
        return None;
    };
    let text = format!("{name}={seat}; Path=/; Max-Age={max_age_secs}; HttpOnly; SameSite=Lax");
    HeaderValue::try_from(text).ok()
}

/// The host that is asked for. HTTP/2 has it in the address, HTTP/1.1 in a header.
fn host(parts: &Parts) -> Option<HeaderValue> {
    match parts.uri.authority() {
        Some(authority) => {
            let host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
            HeaderValue::try_from(host).ok()
        }
        None => parts.headers.get(HOST).filter(|host| !host.is_empty()).cloned(),
    }
}

fn entry(parts: &Parts, client: Client, host: Option<&HeaderValue>) -> Entry {
    Entry {
        time: String::new(),
        client: client.address.to_canonical(),
        tls: client.tls,
        protocol: format!("{:?}", parts.version),
        method: parts.method.to_string(),
        host: host.and_then(|host| host.to_str().ok()).unwrap_or_default().to_string(),
        path: parts.uri.path().to_string(),
        route: String::new(),
        release: String::new(),
        target: None,
        status: 0,
        bytes: 0,
        head_us: 0,
        total_us: 0,
        ended: "complete",
    }
}
