//! WASI preview 2 with nothing behind it, for components whose toolchain cannot do without.
//!
//! No file, no argument, no variable, no socket. Random numbers come from the component and the call's arguments, so a
//! replay gets the same ones; the clock only moves when it is read or slept on. `wasi:http/outgoing-handler` is the
//! broker's other door.

mod clock;
mod http;
mod output;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use self::clock::{Clock, ClockView, Clocks};
pub(super) use self::http::Door;
use self::output::Output;
use super::guest::GuestState;

/// Things that a guest may hold of WASI at the same time. What it polls is looked through once for each of them, so
/// that the work grows with their square.
const THINGS: usize = 4096;
/// Most random bytes of one request.
const RANDOM_BYTES: u64 = 1 << 20;

/// What one call has of WASI.
pub(super) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    clock: Clock,
    output: Output,
    http: WasiHttpCtx,
    door: Door,
}

impl Wasi {
    /// `seed` is what random numbers are made up from, beside the component.
    pub(super) fn new(digest: &str, seed: &[u8; 32], door: Door) -> Self {
        let mut seeds =
            StdRng::from_seed(Sha256::new().chain_update(digest).chain_update(seed).finalize().into());
        let (clock, output) = (Clock::default(), Output::default());
        let ctx = WasiCtx::builder()
            .secure_random(StdRng::from_rng(&mut seeds))
            .insecure_random(StdRng::from_rng(&mut seeds))
            .insecure_random_seed(seeds.random())
            .max_random_size(RANDOM_BYTES)
            .wall_clock(clock.clone())
            .monotonic_clock(clock.clone())
            .stdout(output.clone())
            .stderr(output.clone())
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(THINGS);
        Self { ctx, table, clock, output, http: WasiHttpCtx::new(), door }
    }

    /// The beginning of what the guest wrote to its standard output and error.
    pub(super) fn written(&self) -> String {
        self.output.text()
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.ctx, table: &mut wasi.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView { hooks: &mut wasi.door, table: &mut wasi.table, ctx: &mut wasi.http }
    }
}

/// Everything of WASI, with a clock in the place of the real one.
pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<GuestState, Clocks>(linker, |state| {
        let wasi = state.wasi();
        ClockView { clock: &wasi.clock, table: &mut wasi.table }
    })?;
    linker.allow_shadowing(false);
    Ok(())
}
