//! The wasmtime engine and how it is set up.

use std::hash::{DefaultHasher, Hash, Hasher};

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::settings::{Limits, Settings};
use super::watch::watched;
use crate::error::{Error, Result};

/// Upper bounds for one component, from measuring what the tool chains make: a Rust plugin is 1 instance with 1 memory,
/// jco's JavaScript up to 20 with 3, and componentize-py's Python up to 38, since each library and each stub is one.
pub(super) const CORE_INSTANCES: u32 = 64;
pub(super) const MEMORIES: u32 = 4;
pub(super) const TABLES: u32 = 16;
pub(super) const TABLE_ELEMENTS: usize = 20_000;

/// What compiled code may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each memory has address space of its own around it, so accesses need no checks.
    Reserved,
    /// Memories are as large as they have to be, and move when they grow.
    Scarce,
    /// Scarce, and every byte of a memory is our own: for whoever looks into it.
    Watched,
}

/// The pool only reserves address space, and still that is refused in some places (`ulimit -v`, small containers). The
/// attempt is the probe.
pub(super) fn build(settings: &Settings) -> Result<(Engine, Layout)> {
    let limits = &settings.limits;
    if let Some(watch) = &settings.watch {
        let mut config = unguarded();
        config.with_host_memory(watched(watch.clone()));
        return Engine::new(&config).map(|engine| (engine, Layout::Watched)).map_err(does_not_start);
    }
    if limits.pooling {
        match Engine::new(&pooled(limits)) {
            Ok(engine) => return Ok((engine, Layout::Reserved)),
            Err(error) => tracing::warn!(
                "[@plugins:engine] Address space for plugin instances cannot be reserved beforehand ({error:#}). It is \
                 allocated for each call, which is slower."
            ),
        }
    }
    Engine::new(&on_demand()).map(|engine| (engine, Layout::Scarce)).map_err(does_not_start)
}

fn does_not_start(error: wasmtime::Error) -> Error {
    Error::internal(format!("the WebAssembly engine does not start: {error:#}"))
}

/// An engine that makes the same code as the server's, and instantiates nothing. One thread, so that the limits of its
/// process are the limits of the work.
pub(super) fn compiler(layout: Layout) -> wasmtime::Result<Engine> {
    let mut config = match layout {
        Layout::Reserved => common(),
        Layout::Scarce => on_demand(),
        Layout::Watched => unguarded(),
    };
    config.parallel_compilation(false);
    Engine::new(&config)
}

fn pooled(limits: &Limits) -> Config {
    // What is being loaded and checked is called beside the server's calls.
    let slots = limits.concurrent_calls + loading_threads();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * CORE_INSTANCES)
        .total_memories(slots * MEMORIES)
        .total_tables(slots * TABLES)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(limits.memory_bytes)
        // A slot that was used keeps no memory, and used slots are taken before fresh ones: an idle server stays small.
        .linear_memory_keep_resident(0)
        .table_keep_resident(0)
        .max_unused_warm_slots(0);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// Components that are loaded at the same time, each with at most one call.
pub(super) fn loading_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(1))
}

/// Made for where address space is scarce.
fn on_demand() -> Config {
    let mut config = common();
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(1 << 20)
        .memory_guard_size(1 << 16);
    config
}

fn unguarded() -> Config {
    let mut config = on_demand();
    config.memory_guard_size(0).memory_init_cow(false);
    config
}

fn common() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // No component of ours uses component-model async, and with it off each call is several times cheaper.
        .concurrency_support(false)
        .epoch_interruption(true)
        // A strategy asked twice has to answer the same on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Both would make the mapped code larger; a trap still names the functions it happened in.
        .generate_address_map(false)
        .native_unwind_info(cfg!(windows));
    config
}

/// What compiled code is only valid for: wasmtime's version, its settings and the processor's features.
pub(super) fn compatibility(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
