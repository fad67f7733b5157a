//! Guests in Rust, from `tests/guests`: whole plugins on the SDK, as components.

include!(concat!(env!("OUT_DIR"), "/guests.rs"));
