//! How one router process takes the sockets over from another: the listening sockets themselves travel over a unix socket, so
//! there is no moment at which nobody listens.
//!
//! The old process sends one message with the doors' names and, beside it, the sockets: the doors in the same order, then
//! the control socket, then the one this was asked over. The new one begins to accept and answers with one byte. Only then the
//! old one stops accepting. Without the byte it goes on as if nothing had been asked.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::listen::Door;
use crate::error::{Error, Result};

/// For each step of the other side.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Doors of one router. The kernel passes at most 253 sockets at once.
pub const DOORS: usize = 64;
const MESSAGE_BYTES: usize = 64 * 1024;
const READY: u8 = b'r';

pub fn socket(folder: &Path) -> PathBuf {
    folder.join("handover.sock")
}

#[derive(Debug, Serialize, Deserialize)]
struct Message {
    doors: Vec<DoorName>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DoorName {
    name: String,
    tls: bool,
}

/// Everything that a process listens on.
#[derive(Debug)]
pub struct Sockets {
    pub doors: Vec<Door>,
    pub control: UnixListener,
    pub handover: UnixListener,
}

/// The old process's end while the new one gets ready.
#[derive(Debug)]
pub struct Predecessor(UnixStream);

/// Asks the process that runs in this folder. `None` if there is none.
///
/// # Errors
/// If there is one, and it does not hand its sockets over.
pub fn take_over(folder: &Path) -> Result<Option<(Sockets, Predecessor)>> {
    let Ok(stream) = UnixStream::connect(socket(folder)) else { return Ok(None) };
    let failed = |why: String| {
        Error::unavailable(format!("the router that runs already does not hand its sockets over: {why}"))
    };
    stream.set_read_timeout(Some(PATIENCE)).map_err(Error::internal)?;
    let (message, mut sockets) = receive(&stream).map_err(|error| failed(error.to_string()))?;
    let message: Message = serde_json::from_slice(&message).map_err(|error| failed(error.to_string()))?;
    if sockets.len() != message.doors.len() + 2 {
        return Err(failed(format!("{} sockets came for {} doors", sockets.len(), message.doors.len())));
    }
    let [control, handover] = [sockets.remove(message.doors.len()), sockets.remove(message.doors.len())];
    let doors = message
        .doors
        .into_iter()
        .zip(sockets)
        .map(|(door, socket)| Door { name: door.name, tls: door.tls, listener: TcpListener::from(socket) })
        .collect();
    let sockets = Sockets { doors, control: control.into(), handover: handover.into() };
    Ok(Some((sockets, Predecessor(stream))))
}

impl Predecessor {
    /// From now on the sockets are ours alone.
    ///
    /// # Errors
    /// If the other process is gone; then they are ours as well, but somebody should know.
    pub fn dismiss(self) -> std::io::Result<()> {
        std::io::Write::write_all(&mut &self.0, &[READY])
    }
}

/// Hands the sockets to whoever connected. True if the other process has taken over.
pub fn hand_over(stream: &UnixStream, sockets: &Sockets) -> bool {
    let give = || -> std::io::Result<bool> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        send(stream, sockets)?;
        let mut answer = [0];
        std::io::Read::read_exact(&mut &*stream, &mut answer)?;
        Ok(answer == [READY])
    };
    give().unwrap_or_else(|error| {
        tracing::error!(%error, "[@router:handover] the other process did not take over");
        false
    })
}

fn send(stream: &UnixStream, sockets: &Sockets) -> std::io::Result<()> {
    let names =
        sockets.doors.iter().map(|door| DoorName { name: door.name.clone(), tls: door.tls }).collect();
    let text = serde_json::to_vec(&Message { doors: names })?;
    let mut fds: Vec<BorrowedFd<'_>> = sockets.doors.iter().map(|door| door.listener.as_fd()).collect();
    fds.extend([sockets.control.as_fd(), sockets.handover.as_fd()]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DOORS + 2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(std::io::Error::other(format!("there are more than {DOORS} doors")));
    }
    let sent = sendmsg(stream, &[IoSlice::new(&text)], &mut control, SendFlags::empty())?;
    if sent == text.len() { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
}

fn receive(stream: &UnixStream) -> std::io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut text = vec![0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DOORS + 2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(stream, &mut [IoSliceMut::new(&mut text)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sockets = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        })
        .flatten()
        .collect();
    text.truncate(received.bytes);
    Ok((text, sockets))
}
