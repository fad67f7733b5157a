//! The file of a backup: a tar, compressed (Zstandard), encrypted (age). The manifest is its last member, since it has the
//! digests of the others; a file without it is no backup.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _};
use std::path::Path;

use age::stream::StreamWriter;
use sha2::{Digest as _, Sha256};

use super::lock::{Lock, Unlock};
use crate::domain::backup::{FORMAT, MANIFEST, Manifest, Member};
use crate::error::{Error, Result};

/// Zstandard's default: rows of JSON become a tenth.
const LEVEL: i32 = 3;
/// No member of ours is larger.
const LARGEST: u64 = 1 << 30;

type Layers<'f> = tar::Builder<zstd::Encoder<'static, StreamWriter<BufWriter<&'f File>>>>;

pub(super) struct Writer<'f> {
    tar: Layers<'f>,
    members: Vec<Member>,
}

impl<'f> Writer<'f> {
    pub fn new(file: &'f File, lock: &Lock) -> Result<Self> {
        let closed = lock.close(BufWriter::new(file))?;
        let packed = zstd::Encoder::new(closed, LEVEL).map_err(unwritable)?;
        Ok(Self { tar: tar::Builder::new(packed), members: Vec::new() })
    }

    pub fn add(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(content.len() as u64);
        self.tar.append_data(&mut header, path, content).map_err(unwritable)?;
        let sha256 = hex::encode(Sha256::digest(content));
        self.members.push(Member { path: path.into(), bytes: content.len() as u64, sha256 });
        Ok(())
    }

    /// Writes the manifest with the members that were added, and everything to the disk.
    pub fn finish(mut self, manifest: Manifest) -> Result<()> {
        let manifest = Manifest { members: std::mem::take(&mut self.members), ..manifest };
        let text = serde_json::to_vec_pretty(&manifest).map_err(Error::internal)?;
        self.add(MANIFEST, &text)?;
        let end = || -> io::Result<()> {
            let mut file = self.tar.into_inner()?.finish()?.finish()?;
            io::Write::flush(&mut file)?;
            file.get_ref().sync_all()
        };
        end().map_err(unwritable)
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::unavailable(format!("the backup cannot be written: {error}"))
}

/// Gives every member to `each` as it comes, to the very end of the file, which is what tells that nothing was cut off.
pub(super) fn read(
    path: &Path,
    unlock: &Unlock,
    each: impl FnMut(String, Vec<u8>) -> Result<()>,
) -> Result<()> {
    read_tar(opened(path, unlock)?, each)
}

/// The tar of a backup, decrypted as it is read.
fn opened(path: &Path, unlock: &Unlock) -> Result<impl io::Read + use<>> {
    let file = File::open(path)
        .map_err(|error| Error::invalid("backup", format!("{} cannot be read: {error}", path.display())))?;
    zstd::Decoder::new(unlock.open(BufReader::new(file))?).map_err(damaged)
}

fn read_tar(tar: impl io::Read, mut each: impl FnMut(String, Vec<u8>) -> Result<()>) -> Result<()> {
    let mut tar = tar::Archive::new(tar);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.size() > LARGEST || !entry.header().entry_type().is_file() {
            return Err(damaged(io::Error::other(format!(
                "`{}` is no member of a backup",
                name.escape_debug()
            ))));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(damaged)?;
        each(name, content)?;
    }
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(damaged)?;
    Ok(())
}

fn damaged(error: io::Error) -> Error {
    Error::invalid(
        "backup",
        format!(
            "the backup is damaged and nothing was restored: {error}; take another one, or copy the file again"
        ),
    )
}

/// Reads the whole file and checks every member against the manifest; answers the manifest and what `keep` wants to have.
pub(super) fn verify(path: &Path, unlock: &Unlock, keep: &str) -> Result<(Manifest, Option<Vec<u8>>)> {
    verify_tar(opened(path, unlock)?, keep)
}

/// The same of what is in the file.
///
/// # Errors
/// `Invalid` if it is damaged or not what its manifest says, `Conflict` for another format.
pub fn verify_tar(tar: impl io::Read, keep: &str) -> Result<(Manifest, Option<Vec<u8>>)> {
    let (mut found, mut manifest, mut kept) = (Vec::new(), None, None);
    read_tar(tar, |name, content| {
        if name == MANIFEST {
            manifest = Some(manifest_of(&content)?);
            return Ok(());
        }
        let sha256 = hex::encode(Sha256::digest(&content));
        found.push(Member { bytes: content.len() as u64, sha256, path: name });
        if found.last().is_some_and(|last| last.path == keep) {
            kept = Some(content);
        }
        Ok(())
    })?;
    let Some(manifest) = manifest else {
        return Err(damaged(io::Error::other("it has no manifest")));
    };
    if manifest.members != found {
        return Err(damaged(io::Error::other("its members are not those of its manifest")));
    }
    Ok((manifest, kept))
}

fn manifest_of(content: &[u8]) -> Result<Manifest> {
    let value: serde_json::Value =
        serde_json::from_slice(content).map_err(|error| damaged(io::Error::other(error)))?;
    let format = value["format"].as_u64().unwrap_or_default();
    if format != u64::from(FORMAT) {
        return Err(Error::conflict(format!(
            "the backup has format {format} and this program reads format {FORMAT}; restore it with the version of Windlass \
             that made it ({})",
            value["version"].as_str().unwrap_or("it does not say which")
        )));
    }
    serde_json::from_value(value).map_err(|error| damaged(io::Error::other(error)))
}
