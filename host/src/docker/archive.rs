//! A build context as a stream of tar, packed while it is sent.

use std::{
    fs,
    io::{self, Read as _, Write as _},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::sync::mpsc;

use super::context::{Context, Kind};
use super::remote::Reach;

/// How many blocks may wait between packing and sending.
const BLOCKS_AHEAD: usize = 16;
const BLOCK: usize = 64 * 1024;

impl Context {
    /// Packs on a blocking thread while the receiver sends. `modified` (seconds since 1970) is the time of every entry, so
    /// the same commit gives the same bytes. The handle says what went wrong; the receiver then just ends early.
    ///
    /// For an engine on another machine it is compressed. To the one beside us everything goes faster as it is.
    pub(super) fn pack(
        self,
        modified: u64,
        reach: Reach,
    ) -> (mpsc::Receiver<io::Result<Bytes>>, tokio::task::JoinHandle<io::Result<()>>) {
        let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
        let task = tokio::task::spawn_blocking(move || {
            let blocks = Blocks { sender: sender.clone(), block: Vec::new() };
            let outcome = match reach {
                Reach::Direct => self.write(modified, blocks),
                Reach::Published(_) | Reach::Nodes => self
                    .write(modified, GzEncoder::new(blocks, Compression::fast()))
                    .and_then(GzEncoder::finish),
            }
            .and_then(|mut blocks| blocks.flush());
            if let Err(error) = &outcome {
                // The archive must not look complete to the engine.
                let _ = sender.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
            }
            outcome
        });
        (receiver, task)
    }

    fn write<W: io::Write>(self, modified: u64, to: W) -> io::Result<W> {
        let mut tar = tar::Builder::new(to);
        for entry in self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(modified);
            header.set_uid(0);
            header.set_gid(0);
            match entry.kind {
                Kind::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(0o755);
                    header.set_size(0);
                    tar.append_data(&mut header, &entry.name, io::empty())?;
                }
                Kind::File { len, executable } => {
                    header.set_mode(if executable { 0o755 } else { 0o644 });
                    header.set_size(len);
                    let file = fs::File::open(&entry.disk)?;
                    tar.append_data(
                        &mut header,
                        &entry.name,
                        Exactly { file: file.take(len), missing: len },
                    )?;
                }
                Kind::Text(text) => {
                    header.set_mode(0o644);
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, &entry.name, text.as_bytes())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    tar.append_link(&mut header, &entry.name, &target)?;
                }
            }
        }
        tar.into_inner()
    }
}

/// Fails where a file got shorter since it was measured: its header is already sent.
struct Exactly {
    file: io::Take<fs::File>,
    missing: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.missing -= n as u64;
        if n == 0 && self.missing > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file of the build context changed while it was packed"));
        }
        Ok(n)
    }
}

/// The packer's output, in blocks. A receiver that went away (build cancelled) ends the packing.
struct Blocks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    block: Vec<u8>,
}

impl io::Write for Blocks {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(data);
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = Bytes::from(std::mem::take(&mut self.block));
        self.sender.blocking_send(Ok(block)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
