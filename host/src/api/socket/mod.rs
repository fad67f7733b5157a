//! Socket.IO at `/socket.io` (seed 3): the nine calls with acknowledgement callbacks, state changes of stacks, and the live
//! log as a terminal. `docs/socketio.md` is the manual.

mod args;
mod calls;
mod push;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SocketIo, TransportType};

use super::extract::bearer;
use crate::app::App;
use crate::app::access::{Identity, authenticate, require};
use crate::app::deployment::Caller;
use crate::domain::access::{Role, Subject};
use crate::domain::deployment::TriggerType;
use crate::error::{Error, Result};
use args::Args;
use push::Subscriptions;

/// Packets that wait for one client. One that does not read gets no more until it does; nothing else is kept for it.
const MAX_WAITING: usize = 256;
/// Who has not shown a token by then is cut off.
const ADMISSION: Duration = Duration::from_secs(10);

/// What a client says when it connects: `io(url, { auth: { token } })`.
#[derive(Deserialize)]
struct Handshake {
    token: String,
}

/// The secret that a socket was let in with. It is looked up anew for every call, so that a revoked one ends at once.
#[derive(Clone)]
struct Pass(String);

/// Serves `/socket.io` before all other routes.
pub fn sockets(app: &App) -> SocketIoLayer {
    let (layer, io) = SocketIo::builder()
        .max_payload(super::MAX_JSON_BYTES as u64)
        .ws_max_message_size(super::MAX_JSON_BYTES)
        .max_buffer_size(MAX_WAITING)
        .connect_timeout(ADMISSION)
        .transports([TransportType::Polling, TransportType::Websocket])
        .build_layer();
    let (door, inside) = (app.clone(), app.clone());
    let admit = move |socket: SocketRef, TryData(handshake): TryData<Handshake>| {
        let app = door.clone();
        async move { admit(&app, &socket, handshake.ok()).await }
    };
    let connected = move |socket: SocketRef| {
        let app = inside.clone();
        async move {
            socket.extensions.insert(Arc::new(app.metrics.socket()));
            socket.extensions.insert(Subscriptions::default());
            calls::listen(&app, &socket);
            push::listen(&app, &socket);
            socket.on_disconnect(async |socket: SocketRef| push::forget(&socket));
        }
    };
    io.ns("/", connected.with(admit));
    layer
}

/// A socket without a valid token is not connected; its client gets `connect_error` with the reason.
async fn admit(app: &App, socket: &SocketRef, handshake: Option<Handshake>) -> Result<()> {
    let header = || bearer(socket.req_parts()).map(str::to_string);
    // A cookie does not count: any page could open a socket with it.
    let secret = handshake.map(|handshake| handshake.token).or_else(header).ok_or_else(|| {
        let text = "this needs a token; pass it as `io(url, { auth: { token } })` or as a bearer token";
        Error::Unauthenticated(text.into())
    })?;
    authenticate(app, &secret).await?;
    socket.extensions.insert(Pass(secret));
    Ok(())
}

/// Who calls, if the token still counts.
async fn identity(app: &App, socket: &SocketRef) -> Result<Identity> {
    let Some(Pass(secret)) = socket.extensions.get::<Pass>() else {
        return Err(Error::Unauthenticated("this socket has no token".into()));
    };
    authenticate(app, &secret).await
}

/// What a call asks for, as the policies of routes do: its first argument names what it is about.
#[derive(Clone, Copy)]
struct Guard(Role, Subject);

impl Guard {
    /// Who calls, if they may.
    async fn admit(self, app: &App, socket: &SocketRef, args: &Args) -> Result<Caller> {
        let who = identity(app, socket).await?;
        who.acts();
        let Self(role, subject) = self;
        let name = if subject == Subject::Stack { "stackName" } else { "deploymentId" };
        let key = if subject == Subject::Any { String::new() } else { args.clone().reference(0, name)? };
        require(app, &who.rights, role, subject, &key).await?;
        let user_id = Some(who.user.id.clone());
        Ok(Caller { trigger: TriggerType::Manual, user: Some(who.user.name), user_id })
    }
}

/// Answers a call by its callback: `{ ok: true, data }` or `{ ok: false, msg, code, field }`. A socket whose token does not
/// count any more is closed after that.
fn on<F, Fut>(app: &App, socket: &SocketRef, name: &'static str, guard: Guard, call: F)
where
    F: Fn(App, SocketRef, Caller, Args) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Value>> + Send + 'static,
{
    let app = app.clone();
    socket.on(name, move |socket: SocketRef, TryData(args): TryData<Args>, ack: AckSender| {
        let (app, call) = (app.clone(), call.clone());
        async move {
            let args =
                args.map_err(|error| Error::invalid("", format!("`{name}` is not understood: {error}")));
            let answer = match args {
                Ok(args) => match guard.admit(&app, &socket, &args).await {
                    Ok(caller) => call(app, socket.clone(), caller, args).await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            let closes = matches!(answer, Err(Error::Unauthenticated(_)));
            // It fails only if the client is gone, or does not read.
            let _ = ack.send(&reply(name, answer));
            if closes {
                let _ = socket.disconnect();
            }
        }
    });
}

fn reply(name: &str, answer: Result<Value>) -> Value {
    match answer {
        Ok(data) => json!({ "ok": true, "data": data }),
        Err(error) => {
            if super::status(&error).is_server_error() {
                tracing::warn!(call = name, error = %error.for_log(), "[@api:socket] a call failed");
            }
            let field = match &error {
                Error::Invalid { field, .. } if !field.is_empty() => Some(field.clone()),
                _ => None,
            };
            json!({ "ok": false, "msg": error.to_string(), "code": error.code(), "field": field })
        }
    }
}

/// What a client gets to see of something that the API shows as well.
fn shown(view: impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(view).map_err(Error::internal)
}
