//! The control socket: how the server speaks with the router. A unix socket of the data folder, for its owner only.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router as Paths};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::report::{Health, Stats};
use super::state::{Owner, Router};
use crate::domain::route::RouteTable;
use crate::error::{Error, Result};

/// Larger than any table that makes sense.
const TABLE_BYTES: usize = 64 * 1024 * 1024;
/// Seconds that numbers are about, where nobody says otherwise.
pub const WINDOW_SECS: usize = 60;

pub fn socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// Of a process that another one has taken over from: what it still does counts.
pub fn leaving_socket(folder: &Path) -> PathBuf {
    folder.join(format!("leaving-{}.sock", std::process::id()))
}

/// # Errors
/// `Unavailable` with what the operating system says.
pub fn bind(path: &Path) -> Result<StdListener> {
    let open = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|error| {
        Error::unavailable(format!("the router's socket {} cannot be made: {error}", path.display()))
    })
}

/// Answers until `stop`, or forever about what a process still does that another one has taken over from.
///
/// # Errors
/// If the socket cannot be used at all.
pub fn serve(router: Arc<Router>, listener: &StdListener, stop: Option<CancellationToken>) -> Result<()> {
    let listener = listener.try_clone().and_then(UnixListener::from_std).map_err(Error::internal)?;
    let leaving = stop.is_none();
    let stop = stop.unwrap_or_default();
    let state = Control { router, stop: stop.clone(), leaving };
    let paths = Paths::new()
        .route("/table", get(table).put(apply))
        .route("/stats", get(stats))
        .route("/health", get(health))
        .route("/watch", get(watch))
        .layer(DefaultBodyLimit::max(TABLE_BYTES))
        .with_state(state);
    let serving = axum::serve(listener, paths).with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(async move { serving.await });
    Ok(())
}

#[derive(Clone)]
struct Control {
    router: Arc<Router>,
    stop: CancellationToken,
    leaving: bool,
}

/// An error as it goes over the socket; `client` makes the same error of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    pub code: String,
    pub field: String,
    pub message: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match self.code.as_str() {
            "invalid" => StatusCode::BAD_REQUEST,
            "conflict" => StatusCode::CONFLICT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(self)).into_response()
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let field = match &error {
            Error::Invalid { field, .. } => field.clone(),
            _ => String::new(),
        };
        Self { code: error.code().into(), field, message: error.for_log() }
    }
}

async fn table(State(control): State<Control>) -> Json<RouteTable> {
    Json(control.router.live.load().document.clone())
}

async fn apply(
    State(control): State<Control>,
    document: std::result::Result<Json<RouteTable>, JsonRejection>,
) -> std::result::Result<Json<Health>, Refused> {
    let Json(document) = document.map_err(|error| Error::invalid("table", error.body_text()))?;
    control.router.apply(document).await?;
    Ok(Json(control.router.health()))
}

#[derive(Debug, Deserialize)]
struct Since {
    seconds: Option<usize>,
}

async fn stats(
    State(control): State<Control>,
    Query(since): Query<Since>,
) -> std::result::Result<Json<Stats>, Refused> {
    // Nobody gets numbers while another process takes over: some of the requests would be missing.
    let owner = control.router.applying.lock().await;
    if *owner == Owner::Another && !control.leaving {
        return Err(Error::unavailable("another router process has taken over; ask again").into());
    }
    Ok(Json(control.router.stats(since.seconds.unwrap_or(WINDOW_SECS))))
}

async fn health(State(control): State<Control>) -> Json<Health> {
    Json(control.router.health())
}

/// An answer that goes on as long as this process is the router: its end says that something happened.
async fn watch(State(control): State<Control>) -> impl IntoResponse {
    let first = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>("watching\n") });
    let until = futures_util::stream::once(async move { control.stop.cancelled_owned().await })
        .filter_map(|()| std::future::ready(None));
    axum::body::Body::from_stream(first.chain(until))
}
