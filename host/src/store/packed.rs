//! Bodies from outside, made small: a push shrinks to a quarter, and so does what the disk has to take for it.

use crate::error::{Error, Result};

/// Zstandard's fastest ordinary level: about 15 µs for an ordinary push.
const LEVEL: i32 = 1;
/// Larger bodies are packed on a thread that may take its time.
const LARGE: usize = 256 * 1024;

/// A Zstandard frame (RFC 8878); nothing for nothing.
pub(super) async fn pack(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() > LARGE {
        return tokio::task::spawn_blocking(move || pack_here(&bytes)).await.map_err(Error::internal)?;
    }
    pack_here(&bytes)
}

fn pack_here(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.is_empty() {
        Ok(Vec::new())
    } else {
        zstd::bulk::compress(bytes, LEVEL).map_err(Error::internal)
    }
}

pub(super) fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    if packed.is_empty() { Ok(Vec::new()) } else { zstd::stream::decode_all(packed) }
}
