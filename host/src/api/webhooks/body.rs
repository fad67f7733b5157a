//! The body of a delivery: bounded by itself, and together with all others that are being read.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::app::App;
use crate::error::Error;

/// How long a delivery waits for room. Forges give up after ten seconds.
const ROOM_PATIENCE: Duration = Duration::from_secs(10);
/// How long a body may take, so that nobody keeps room by sending slowly.
const BODY_PATIENCE: Duration = Duration::from_secs(60);
/// Room is taken in pieces of so many KiB: most deliveries need one.
const PIECE_KIB: u32 = 16;

/// Reads the body, and takes room for what has come in so far: what somebody only announces takes none.
///
/// # Errors
/// `TooLarge` as soon as that is known, `Unavailable` if there is no room, `Invalid` for a body that ends too early.
pub(in crate::api) async fn read<'a>(
    app: &'a App,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, Option<SemaphorePermit<'a>>), Error> {
    let limit = app.config.webhooks.max_body_bytes;
    let too_large = || Error::TooLarge { what: "webhook delivery", limit: limit as u64 };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let deadline = Instant::now() + BODY_PATIENCE;
    let mut body = pin!(Limited::new(body, limit));
    let (mut bytes, mut room): (Vec<u8>, Option<SemaphorePermit<'a>>) = (Vec::new(), None);
    loop {
        let frame = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| Error::invalid("body", "the delivery took too long to come in"))?;
        let Some(frame) = frame else { return Ok((bytes.into(), room)) };
        let frame = frame.map_err(|error| {
            // The limit is the only reason of its own; everything else is a connection that ended too early.
            if error.is::<LengthLimitError>() {
                too_large()
            } else {
                Error::invalid("body", "the delivery ended before its body was complete")
            }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let has = room.as_ref().map_or(0, |room| room.num_permits() * 1024);
        if bytes.len() + data.len() > has {
            let more = take(app, bytes.len() + data.len() - has).await?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        bytes.extend_from_slice(&data);
    }
}

/// Waits until there is room for so many bytes.
async fn take(app: &App, bytes: usize) -> Result<SemaphorePermit<'_>, Error> {
    let pieces = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).div_ceil(PIECE_KIB);
    match timeout(ROOM_PATIENCE, app.delivery_room.acquire_many(pieces.saturating_mul(PIECE_KIB))).await {
        Ok(permit) => permit.map_err(Error::internal),
        Err(_) => Err(Error::unavailable("too many deliveries come in at once; try again in a moment")),
    }
}
