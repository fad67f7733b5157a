//! Requests of the server itself to an address that somebody has written down, with the same checks as those of plugins:
//! resolved once, every address checked, the checked one dialled, no redirect followed, time and size bounded.

use std::time::Duration;

use bytes::Bytes;
use url::Url;

use super::client::{Client, Outgoing};
use super::path::{Origin, Target};
use super::refusal::Refusal;
use crate::network::Policy;

const PATIENCE: Duration = Duration::from_secs(10);

/// `policy` says where it may lead; `trusted` are further authorities in PEM.
pub(super) async fn fetch(
    client: &Client,
    request: http::Request<Vec<u8>>,
    policy: Policy,
    trusted: Option<&str>,
) -> Result<http::Response<Vec<u8>>, Refusal> {
    let (mut head, body) = request.into_parts();
    let unreadable = || Refusal::denied("path", "this is no address of a web server");
    let url = Url::parse(&head.uri.to_string()).map_err(|_| unreadable())?;
    let origin = Origin::of(&url).ok_or_else(unreadable)?;
    let host = origin.authority().parse().map_err(|_| unreadable())?;
    head.headers.insert(http::header::HOST, host);
    let target = Target { origin, path: url.path().to_owned(), query: url.query().map(str::to_owned) };
    let outgoing = Outgoing { method: head.method, target, headers: head.headers, body: Bytes::from(body) };
    let exchange = client.exchange(outgoing, policy, trusted);
    let answer = tokio::time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| Refusal::connect(format!("{url} did not answer within {} s", PATIENCE.as_secs())))??;
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
