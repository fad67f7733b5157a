//! `windlass router`: opens or takes over the sockets, serves, and leaves without dropping anything.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handover::{self, Predecessor, Sockets};
use super::listen::{Door, House};
use super::state::{Owner, Router};
use super::{control, folder};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::network::inbound::allow_many_connections;

/// How long requests get to end after SIGTERM.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Runs until SIGTERM or SIGINT, or until another process has taken over. SIGHUP starts that other process.
///
/// # Errors
/// If a socket or file cannot be used.
pub async fn run(config: &Config) -> Result<()> {
    // Before the file may be replaced by another version, which is then what SIGHUP starts.
    let program = std::env::current_exe().map_err(Error::internal)?;
    let folder = folder(&config.server.data_dir);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| {
        Error::unavailable(format!("the folder {} cannot be used: {error}", folder.display()))
    })?;
    allow_many_connections();
    let mut signals = Signals::new()?;
    // One process at a time starts here, so that two cannot both find nobody.
    let starting = lock_file(&folder).await?;
    let taken = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || handover::take_over(&folder)).await.map_err(Error::internal)??
    };
    let (sockets, predecessor) = open_sockets(config, &folder, taken)?;
    let router = Arc::new(Router::open(&folder, &config.router)?);
    let house = House {
        router: router.clone(),
        closing: CancellationToken::new(),
        moved: CancellationToken::new(),
        ending: CancellationToken::new(),
        connections: TaskTracker::new(),
    };
    sockets.doors.iter().try_for_each(|door| house.accept(door))?;
    control::serve(router.clone(), &sockets.control, Some(house.closing.clone()))?;
    if let Some(predecessor) = predecessor
        && let Err(error) = predecessor.dismiss()
    {
        tracing::warn!(%error, "[@router:handover] the router before this one is gone already");
    }
    drop(starting);
    announce(&sockets.doors);
    tracing::info!(version = router.health().version, "[@router:http] serving");
    let upkeep = tokio::spawn({
        let router = router.clone();
        async move { router.upkeep().await }
    });
    let end = wait(&router, &mut signals, &sockets, &folder, &program).await?;
    leave(house, sockets, end, Duration::from_secs(config.router.drain_secs), &mut signals).await;
    upkeep.abort();
    let _ = std::fs::remove_file(control::leaving_socket(&folder));
    Ok(())
}

/// Finishes what was begun, for so long at most or until another signal.
async fn leave(house: House, sockets: Sockets, end: End, drain: Duration, signals: &mut Signals) {
    house.closing.cancel();
    drop(sockets);
    house.connections.close();
    house.router.tunnels.close();
    let patience = match end {
        // Closing an idle connection in the moment at which its client sends a request would lose that one. So each client
        // is told with its next answer, and what never asks again is closed at the end.
        End::TakenOver => {
            house.router.leaving.store(true, Ordering::Relaxed);
            house.moved.cancel();
            drain
        }
        End::Stopped => {
            house.leave();
            STOP_PATIENCE
        }
    };
    let done = async {
        house.connections.wait().await;
        house.router.tunnels.wait().await;
    };
    tokio::select! {
        ended = tokio::time::timeout(patience, done) => match ended {
            Ok(()) => tracing::info!("[@router:http] every request has ended"),
            Err(_) => tracing::warn!(seconds = patience.as_secs(), "[@router:http] what has not ended by now is cut"),
        },
        () = signals.stop.heard() => tracing::warn!("[@router:http] asked to stop; what has not ended is cut"),
    }
}

enum End {
    Stopped,
    TakenOver,
}

async fn wait(
    router: &Arc<Router>,
    signals: &mut Signals,
    sockets: &Sockets,
    folder: &Path,
    program: &Path,
) -> Result<End> {
    let asked = sockets.handover.try_clone().and_then(UnixListener::from_std).map_err(Error::internal)?;
    loop {
        tokio::select! {
            () = signals.stop.heard() => return Ok(End::Stopped),
            _ = signals.hang_up.recv() => start_successor(program),
            stream = asked.accept() => {
                let stream = stream.and_then(|(stream, _)| stream.into_std()).map_err(Error::internal)?;
                match give_way(router, stream, sockets, folder).await {
                    Ok(true) => return Ok(End::TakenOver),
                    Ok(false) => {}
                    Err(error) => {
                        tracing::error!("[@router:handover] nothing was handed over: {}", error.for_log());
                    }
                }
            }
        }
    }
}

/// Hands over to whoever asked. Meanwhile no table is applied and no number given: there is one router, or the other.
async fn give_way(
    router: &Arc<Router>,
    stream: UnixStream,
    sockets: &Sockets,
    folder: &Path,
) -> Result<bool> {
    let mut owner = router.applying.lock().await;
    // There before the other process speaks for both: what this one still does counts.
    let path = control::leaving_socket(folder);
    let leaving = control::bind(&path)?;
    let copies = sockets.try_clone()?;
    let taken = tokio::task::spawn_blocking(move || handover::hand_over(&stream, &copies))
        .await
        .map_err(Error::internal)?;
    if taken {
        tracing::info!("[@router:handover] another process has taken over");
        *owner = Owner::Another;
        control::serve(router.clone(), &leaving, None)?;
    } else {
        let _ = std::fs::remove_file(path);
    }
    Ok(taken)
}

/// Starts the program anew with the same arguments. It asks this process for its sockets.
fn start_successor(program: &Path) {
    use std::os::unix::process::CommandExt;
    let started = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .stdin(std::process::Stdio::null())
        .process_group(0)
        .spawn();
    match started {
        Ok(mut child) => {
            tracing::info!(pid = child.id(), "[@router:handover] the next router process starts");
            // Somebody has to hear when it ends, or it stays in the process table.
            std::thread::spawn(move || child.wait());
        }
        Err(error) => tracing::error!(%error, "[@router:handover] {} cannot be started", program.display()),
    }
}

/// The configured doors: those that another process had, and new ones.
fn open_sockets(
    config: &Config,
    folder: &Path,
    taken: Option<(Sockets, Predecessor)>,
) -> Result<(Sockets, Option<Predecessor>)> {
    let (mut old, mut rest) = match taken {
        Some((sockets, predecessor)) => {
            (sockets.doors, Some((sockets.control, sockets.handover, predecessor)))
        }
        None => (Vec::new(), None),
    };
    let wanted = config.router.http.iter().map(|address| (address, false));
    let doors = wanted
        .chain(config.router.https.iter().map(|address| (address, true)))
        .map(|(address, tls)| {
            let name = address.to_string();
            match old.iter().position(|door| door.name == name && door.tls == tls) {
                Some(at) => Ok(old.swap_remove(at)),
                None => Door::open(&name, tls, *address),
            }
        })
        .collect::<Result<Vec<Door>>>()?;
    let (control, handover, predecessor) = match rest.take() {
        Some((control, handover, predecessor)) => (control, handover, Some(predecessor)),
        None => {
            // The one for taking over comes last: whoever finds it finds a router.
            let control = control::bind(&control::socket(folder))?;
            (control, control::bind(&handover::socket(folder))?, None)
        }
    };
    Ok((Sockets { doors, control, handover }, predecessor))
}

impl Sockets {
    fn try_clone(&self) -> Result<Self> {
        let clone = || {
            let doors = self
                .doors
                .iter()
                .map(|door| {
                    let listener = door.listener.try_clone()?;
                    Ok(Door { name: door.name.clone(), tls: door.tls, listener })
                })
                .collect::<std::io::Result<Vec<Door>>>()?;
            Ok(Self { doors, control: self.control.try_clone()?, handover: self.handover.try_clone()? })
        };
        clone().map_err(|error: std::io::Error| Error::internal(error))
    }
}

/// Held until the file is closed, also by the death of the process.
async fn lock_file(folder: &Path) -> Result<File> {
    let path: PathBuf = folder.join("start.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| Error::unavailable(format!("{} cannot be opened: {error}", path.display())))?;
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    tokio::time::timeout(2 * handover::PATIENCE, locking)
        .await
        .map_err(|_| Error::unavailable("another router process has been starting for too long"))?
        .map_err(Error::internal)?
        .map_err(Error::internal)
}

/// The first lines on standard output: where it listens.
fn announce(doors: &[Door]) {
    let mut out = std::io::stdout().lock();
    for door in doors {
        // Nobody may be reading standard output; that is no reason not to serve.
        let _ = writeln!(out, "listening on {}", door.url());
    }
    let _ = out.flush();
}

struct Signals {
    stop: Stop,
    hang_up: Signal,
}

/// SIGTERM or SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let hear = |kind| signal(kind).map_err(Error::internal);
        let stop =
            Stop { terminate: hear(SignalKind::terminate())?, interrupt: hear(SignalKind::interrupt())? };
        Ok(Self { stop, hang_up: hear(SignalKind::hangup())? })
    }
}

impl Stop {
    async fn heard(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
