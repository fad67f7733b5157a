//! The plugins inside the program; `build.rs` compiles them and writes the list.

/// A component that came with the program. The digest was taken when it was built, so it costs nothing at start.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    pub(super) sha256: &'static str,
    pub(super) bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/builtin_plugins.rs"));
