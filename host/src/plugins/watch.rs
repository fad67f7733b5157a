//! Shows each guest's memory to a test when the guest is gone: by this the tests prove that no secret ever was in it.

use std::sync::Arc;

use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// Sees the whole of a linear memory as it was at the end of its guest's life.
pub trait MemoryWatch: std::fmt::Debug + Send + Sync {
    fn ended(&self, memory: &[u8]);
}

/// Memory for guests that is shown before it is given back.
pub(super) fn watched(watch: Arc<dyn MemoryWatch>) -> Arc<dyn MemoryCreator> {
    Arc::new(Watched(watch))
}

struct Watched(Arc<dyn MemoryWatch>);

struct Memory {
    /// Pages, so that the address is aligned as wasmtime expects it of memory.
    pages: Vec<Page>,
    size: usize,
    watch: Arc<dyn MemoryWatch>,
}

const PAGE: usize = 4096;

#[derive(Clone)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

impl Memory {
    fn bytes(&self) -> &[u8] {
        // SAFETY: pages are plain bytes without padding, one after the other, and `size` is at most their total.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().cast(), self.size) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.watch.ended(self.bytes());
    }
}

// SAFETY: the memory is zero-filled, `byte_capacity` bytes from `as_ptr` are valid as long as it is not grown, and
// nothing but wasmtime touches it before it is dropped. The engine that uses it has neither reservation nor guard, so
// that compiled code checks every access against `byte_size`.
unsafe impl MemoryCreator for Watched {
    fn new_memory(
        &self,
        _ty: MemoryType,
        minimum: usize,
        _maximum: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if guard > 0 || reserved.is_some_and(|reserved| reserved > 0) {
            return Err("watched memory has neither guard nor reservation".to_owned());
        }
        let pages = vec![Page([0; PAGE]); minimum.div_ceil(PAGE)];
        Ok(Box::new(Memory { pages, size: minimum, watch: self.0.clone() }))
    }
}

// SAFETY: see above.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.size
    }

    fn byte_capacity(&self) -> usize {
        self.pages.len() * PAGE
    }

    fn grow_to(&mut self, new_size: usize) -> wasmtime::Result<()> {
        self.pages.resize(new_size.div_ceil(PAGE), Page([0; PAGE]));
        self.size = new_size;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.pages.as_ptr().cast_mut().cast()
    }
}
