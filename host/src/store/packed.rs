//! Bodies from outside, made small: a push shrinks to a quarter, and so does what the disk has to take for it.

use std::cell::RefCell;

use zstd::bulk::Compressor;

use crate::error::{Error, Result};

/// Zstandard's fastest ordinary level: about 15 µs for an ordinary push.
const LEVEL: i32 = 1;
/// Larger bodies are packed on a thread that may take its time.
const LARGE: usize = 256 * 1024;

thread_local! {
    /// Its memory is several hundred KiB, and to get it anew each time would take longer than the packing.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// A Zstandard frame (RFC 8878); nothing for nothing.
pub(super) async fn pack(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() > LARGE {
        return tokio::task::spawn_blocking(move || pack_here(&bytes)).await.map_err(Error::internal)?;
    }
    pack_here(&bytes)
}

fn pack_here(bytes: &[u8]) -> Result<Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        let mut compressor = match kept.take() {
            Some(compressor) => compressor,
            None => Compressor::new(LEVEL).map_err(Error::internal)?,
        };
        let packed = compressor.compress(bytes).map_err(Error::internal)?;
        *kept = Some(compressor);
        Ok(packed)
    })
}

pub(super) fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    if packed.is_empty() { Ok(Vec::new()) } else { zstd::stream::decode_all(packed) }
}
