//! What the server sends by itself: the state changes of a stack, and a log as a terminal.
//!
//! Each subscription is a reader of its own, with a cursor, of the outbox or of the log's files. So a client that comes back
//! names the last thing it saw and misses nothing, and one that does not read is not waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use socketioxide::extract::SocketRef;
use socketioxide::{SendError, SocketError};
use tokio::task::JoinHandle;

use super::args::Args;
use super::{Guard, identity, on};
use crate::api::logs::{Part, Seen, follow, position};
use crate::api::runs::parts_of;
use crate::api::stream::changes;
use crate::api::view::EventView;
use crate::app::access::require;
use crate::app::logs::{Batch, LogKind};
use crate::app::stack::stack_view;
use crate::app::{App, build, cicd, deployment, event};
use crate::domain::access::{Role, Subject};
use crate::domain::deployment::DeploymentStatus;
use crate::domain::event::{Event, EventKind};
use crate::error::{Error, Result};

/// Subscriptions of one socket.
const MAX_SUBSCRIPTIONS: usize = 50;
/// Bytes of a log that one packet has, about.
const PACKET: usize = 16 * 1024;
/// A client that does not read is tried again after this long.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// How often the token of a socket that listens is looked up.
const CHECK: Duration = Duration::from_secs(10);

/// What a socket listens to, by room or terminal.
#[derive(Clone, Default)]
pub struct Subscriptions(Arc<Mutex<HashMap<String, JoinHandle<()>>>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options<T> {
    /// The last that the client has seen.
    after: Option<T>,
}

pub fn listen(app: &App, socket: &SocketRef) {
    on(app, socket, "subscribe", Guard(Role::Viewer, Subject::Stack), |app, socket, _, args| {
        subscribe(app, socket, args)
    });
    on(app, socket, "unsubscribe", Guard(Role::Viewer, Subject::Stack), |app, socket, _, args| {
        unsubscribe(app, socket, args)
    });
    on(app, socket, "terminalJoin", Guard(Role::Viewer, Subject::Any), |app, socket, _, args| {
        terminal_join(app, socket, args)
    });
    on(app, socket, "terminalLeave", Guard(Role::Viewer, Subject::Any), |_, socket, _, args| {
        terminal_leave(socket, args)
    });
}

/// The client is gone.
pub fn forget(socket: &SocketRef) {
    if let Some(all) = socket.extensions.get::<Subscriptions>() {
        for (_, task) in all.lock().drain() {
            task.abort();
        }
    }
}

/// Joins the room of a stack: from now on, or from after an event, its changes arrive in their order.
async fn subscribe(app: App, socket: SocketRef, mut args: Args) -> Result<Value> {
    let stack = stack_view(&app, &args.reference(0, "stackName")?).await?.stack;
    let from: Options<i64> = args.take_opt(1, "options")?.unwrap_or(Options { after: None });
    let cursor = match from.after {
        Some(after) => after,
        None => event::latest_seq(&app).await?,
    };
    let room = format!("stack:{}", stack.id);
    let reach = identity(&app, &socket).await?.reach();
    let (id, mut outlet) = (stack.id.clone(), Outlet::new(&app, &socket));
    keep(&socket, room, async move {
        let mut changes = std::pin::pin!(changes(app, Some(id), reach, cursor));
        while let Some(Ok(change)) = outlet.next(&mut changes).await {
            for (name, data) in told(&outlet.app, change).await {
                if !outlet.send(name, &data).await {
                    return;
                }
            }
        }
    })?;
    Ok(json!({ "stack": stack.name, "after": cursor }))
}

async fn unsubscribe(app: App, socket: SocketRef, mut args: Args) -> Result<Value> {
    let stack = stack_view(&app, &args.reference(0, "stackName")?).await?.stack;
    drop_one(&socket, &format!("stack:{}", stack.id));
    Ok(Value::Null)
}

/// An event under its own name, and under those of seed 1 where it has one. A deployment through a provider has the latter in
/// the outbox, with its job and build.
async fn told(app: &App, change: Event) -> Vec<(&'static str, Value)> {
    use EventKind::{DeploymentRunFailure, DeploymentRunStart, DeploymentStatusUpdate};
    let (kind, id) = (change.kind, change.subject_id.clone());
    if matches!(kind, DeploymentStatusUpdate | DeploymentRunStart | DeploymentRunFailure) {
        return vec![(kind.as_str(), change.data)];
    }
    let status = change.data.get("status").and_then(Value::as_str).and_then(DeploymentStatus::parse);
    let mut all = vec![(kind.as_str(), serde_json::to_value(EventView::from(change)).unwrap_or_default())];
    let Some(status) = status.filter(|_| kind == EventKind::DeploymentStatus) else { return all };
    if let Some(deployment) = &id
        && matches!(cicd::deployment::is_carried(app, deployment).await, Ok(true))
    {
        return all;
    }
    let data = json!({ "deploymentId": id, "status": status.seed1(), "jobId": null, "buildNumber": null });
    match status {
        DeploymentStatus::Pending => all.push(("DEPLOYMENT_RUN_START", data.clone())),
        DeploymentStatus::Failed => all.push(("DEPLOYMENT_RUN_FAILURE", data.clone())),
        _ => {}
    }
    all.push(("DEPLOYMENT_STATUS_UPDATE", data));
    all
}

/// Opens the log of `build-<number>` or `deployment-<number>`, from its beginning or from after a position.
async fn terminal_join(app: App, socket: SocketRef, mut args: Args) -> Result<Value> {
    let name = args.reference(0, "terminalName")?;
    let from: Options<String> = args.take_opt(1, "options")?.unwrap_or(Options { after: None });
    let after = match &from.after {
        None => (0, 0),
        Some(text) => position(text).ok_or_else(|| {
            Error::invalid("after", "a position is `<part>:<line>`, as terminalWrite gave it")
        })?,
    };
    let parts = parts(&app, &socket, &name).await?;
    let (terminal, mut outlet) = (name.clone(), Outlet::new(&app, &socket));
    keep(&socket, format!("terminal:{name}"), async move {
        let mut log = std::pin::pin!(follow(app, parts, after));
        while let Some(seen) = outlet.next(&mut log).await {
            let open = match seen {
                Seen::Lines(part, batch) => outlet.write(&terminal, part, &batch).await,
                Seen::Silence => true,
                Seen::Broken(why) => {
                    outlet.send("terminalError", &(&terminal, why)).await;
                    return;
                }
                Seen::End(status) => {
                    outlet.send("terminalExit", &(&terminal, status)).await;
                    return;
                }
            };
            if !open {
                return;
            }
        }
    })?;
    Ok(json!({ "terminal": name }))
}

async fn terminal_leave(socket: SocketRef, mut args: Args) -> Result<Value> {
    drop_one(&socket, &format!("terminal:{}", args.reference(0, "terminalName")?));
    Ok(Value::Null)
}

async fn parts(app: &App, socket: &SocketRef, terminal: &str) -> Result<Vec<Part>> {
    let rights = identity(app, socket).await?.rights;
    if let Some(number) = terminal.strip_prefix("build-") {
        require(app, &rights, Role::Viewer, Subject::Build, number).await?;
        let id = build::build_view(app, number).await?.id;
        return Ok(vec![Part { kind: LogKind::Build, id }]);
    }
    match terminal.strip_prefix("deployment-") {
        Some(number) => {
            require(app, &rights, Role::Viewer, Subject::Deployment, number).await?;
            parts_of(app, deployment::deployment_view(app, number).await?).await
        }
        None => Err(Error::not_found("terminal", terminal)),
    }
}

/// A subscription that is there already begins anew.
fn keep(socket: &SocketRef, name: String, work: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let all = socket.extensions.get::<Subscriptions>().unwrap_or_default();
    let mut all = all.lock();
    all.retain(|_, task| !task.is_finished());
    if all.len() >= MAX_SUBSCRIPTIONS && !all.contains_key(&name) {
        let text = format!(
            "a socket may listen to {MAX_SUBSCRIPTIONS} stacks and terminals; leave one of them first"
        );
        return Err(Error::conflict(text));
    }
    if let Some(before) = all.insert(name, tokio::spawn(work)) {
        before.abort();
    }
    Ok(())
}

fn drop_one(socket: &SocketRef, name: &str) {
    let all = socket.extensions.get::<Subscriptions>().unwrap_or_default();
    if let Some(task) = all.lock().remove(name) {
        task.abort();
    }
}

impl Subscriptions {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, JoinHandle<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to one client.
struct Outlet {
    app: App,
    socket: SocketRef,
    /// When the token was looked up last.
    checked: Instant,
}

impl Outlet {
    fn new(app: &App, socket: &SocketRef) -> Self {
        Self { app: app.clone(), socket: socket.clone(), checked: Instant::now() }
    }

    /// The next of a stream; none if the client has no valid token any more.
    async fn next<S: futures_util::Stream + Unpin>(&mut self, stream: &mut S) -> Option<S::Item> {
        loop {
            if self.checked.elapsed() >= CHECK {
                if !self.is_welcome().await {
                    return None;
                }
                self.checked = Instant::now();
            }
            if let Ok(next) = tokio::time::timeout(CHECK, stream.next()).await {
                return next;
            }
        }
    }

    async fn is_welcome(&self) -> bool {
        match identity(&self.app, &self.socket).await {
            Err(Error::Unauthenticated(_)) => {
                let _ = self.socket.clone().disconnect();
                false
            }
            _ => true,
        }
    }

    /// Lines as a terminal takes them, with the position to resume after.
    async fn write(&self, terminal: &str, part: usize, batch: &Batch) -> bool {
        let (mut text, mut last) = (String::new(), batch.first);
        for (number, line) in batch.lines() {
            text.push_str(&String::from_utf8_lossy(line));
            text.push_str("\r\n");
            last = number;
            if text.len() >= PACKET {
                let packet = (terminal, std::mem::take(&mut text), format!("{part}:{last}"));
                if !self.send("terminalWrite", &packet).await {
                    return false;
                }
            }
        }
        text.is_empty() || self.send("terminalWrite", &(terminal, text, format!("{part}:{last}"))).await
    }

    /// True if it is on its way, false if the client is gone. A client that does not read holds up its own reader only.
    async fn send<T: Serialize + Sync>(&self, name: &str, data: &T) -> bool {
        loop {
            match self.socket.emit(name, data) {
                Ok(()) => return true,
                Err(SendError::Socket(SocketError::InternalChannelFull)) => {
                    tokio::time::sleep(FULL_PAUSE).await;
                    if !self.socket.connected() {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
    }
}
