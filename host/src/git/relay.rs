//! The relay between libgit2 and one server: it listens on a free port of this machine for as long as one conversation takes,
//! and connects to the addresses that were judged, and to no others.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::error::Obstacle;
use super::forge::{self, Forge};
use crate::error::{Error, Result};
use crate::network::Outgoing;

/// For connecting to a server, whatever number of addresses it has. Less than libgit2's patience with us.
pub(super) const CONNECT: Duration = Duration::from_secs(15);
/// For what libgit2 has to say at the beginning of a connection.
const OPENING: Duration = Duration::from_secs(30);
/// The first line of the git protocol: a command, a path and a host.
const FIRST_LINE: usize = 8 << 10;

/// The one server that a tunnel leads to.
pub(super) struct Target {
    /// As the user wrote it.
    pub(super) host: String,
    /// All of them judged.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) outgoing: Outgoing,
}

pub(super) enum Kind {
    /// Bytes, as they are.
    Tunnel(Target),
    /// Bytes, after a line that names the host.
    GitTunnel(Target),
    /// Requests.
    Http(Arc<Forge>),
}

pub(super) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    _end: DropGuard,
}

/// What everything that belongs to a relay knows.
pub(super) struct Shared {
    kind: Kind,
    ended: CancellationToken,
    obstacle: Mutex<Option<Obstacle>>,
}

impl Relay {
    pub(super) async fn start(kind: Kind) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener
            .map_err(|error| Error::internal(format!("no port for a relay to a git server: {error}")))?;
        let address = listener.local_addr().map_err(Error::internal)?;
        let ended = CancellationToken::new();
        let shared = Arc::new(Shared { kind, ended: ended.clone(), obstacle: Mutex::default() });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, _end: ended.drop_guard() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn ending(&self) -> CancellationToken {
        self.shared.ended.clone()
    }

    /// What stood in the way last.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        self.shared.obstacle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Keeps what libgit2 only sees the consequences of.
    pub(super) fn note(&self, obstacle: Obstacle) {
        *self.obstacle.lock().unwrap_or_else(PoisonError::into_inner) = Some(obstacle);
    }

    /// A connection to the server of a tunnel.
    async fn dial(&self, target: &Target) -> io::Result<TcpStream> {
        let dialled = timeout(CONNECT, target.outgoing.dial(&target.addresses)).await;
        let dialled = dialled.unwrap_or_else(|_| {
            let why = format!("no connection within {} s", CONNECT.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, why))
        });
        dialled.inspect_err(|error| self.note(Obstacle::Away(error.to_string())))
    }

    /// Runs until it is done or the relay ends.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        tokio::spawn(async move { ended.run_until_cancelled(work).await });
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            () = shared.ended.cancelled() => return,
        };
        match taken {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                let serving = Arc::clone(&shared);
                shared.spawn(async move { serve(serving, stream).await });
            }
            // Out of files, for example. libgit2 waits, for as long as it has patience.
            Err(error) => {
                tracing::warn!("[@git] a relay cannot take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, mut stream: TcpStream) {
    let carried = match &shared.kind {
        Kind::Http(forge) => forge::serve(forge, &shared, stream).await,
        Kind::Tunnel(target) => carry(&shared, target, stream, &[]).await,
        Kind::GitTunnel(target) => match timeout(OPENING, first_line(&mut stream, &target.host)).await {
            Ok(Ok(line)) => carry(&shared, target, stream, &line).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        },
    };
    if let Err(error) = carried {
        tracing::debug!(%error, "[@git] a relayed connection broke off");
    }
}

async fn carry(shared: &Shared, target: &Target, mut stream: TcpStream, first: &[u8]) -> io::Result<()> {
    let mut server = shared.dial(target).await?;
    server.write_all(first).await?;
    copy_bidirectional(&mut stream, &mut server).await.map(|_| ())
}

/// What libgit2 says first, with the host that it does not know of: servers choose the repository by it.
async fn first_line(stream: &mut TcpStream, host: &str) -> io::Result<Vec<u8>> {
    let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "this is not the git protocol");
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = std::str::from_utf8(&length).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
    let length = length.filter(|length| (5..=FIRST_LINE).contains(length)).ok_or_else(nonsense)?;
    let mut line = vec![0; length - 4];
    stream.read_exact(&mut line).await?;
    with_host(&line, host).ok_or_else(nonsense)
}

/// `git-upload-pack /path\0host=name\0…`
fn with_host(line: &[u8], host: &str) -> Option<Vec<u8>> {
    let mut parts = line.splitn(3, |byte| *byte == 0);
    let (command, _, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let line = [command, b"\0host=", host.as_bytes(), b"\0", rest].concat();
    Some([format!("{:04x}", line.len() + 4).as_bytes(), &line].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_git_server_is_told_the_name_that_the_user_wrote() {
        let line = with_host(b"git-upload-pack /a\0host=127.0.0.1\0", "forge.example").expect("a line");
        assert_eq!(line, b"002agit-upload-pack /a\0host=forge.example\0");
        assert_eq!(with_host(b"git-upload-pack /a", "forge.example"), None);
    }
}
