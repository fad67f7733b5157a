//! How fast the boundary is; called by the benchmarks.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::bindings::base::windlass::types::types::Failure;
use super::bindings::strategy::exports::windlass::deployment_strategy::strategy as wit;
use super::call::{CallError, Callee};
use super::conformance::strategy::situation;
use super::recorder::Occasion;
use super::strategy::{DECIDE, situation_to};
use super::{Plugins, Target};
use crate::domain::notification::Notification;
use crate::domain::plugin::PluginKind;
use crate::error::{Error, Result};

type Answer = std::result::Result<wit::Step, Failure>;

/// Durations of calls, each with a fresh instance, waiting included.
#[derive(Debug, Clone, Copy)]
pub struct Percentiles {
    pub p50: Duration,
    pub p99: Duration,
}

/// Times `rounds` calls of the strategy's `decide` on a small fleet.
pub async fn strategy_decide(plugins: &Plugins, name: &str, rounds: usize) -> Result<Percentiles> {
    let situation = situation();
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        plugins.strategy_decide(name, Vec::new(), &situation).await?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

/// Times `rounds` bare calls of `decide` with this memory: budgets, a store with its limits, instantiating, calling,
/// reading the answer and dropping it all, on one thread and without the recorder.
pub async fn bare_decide(plugins: &Plugins, name: &str, memory: &[u8], rounds: usize) -> Result<Percentiles> {
    let callee = callee(plugins, name)?;
    let params = (memory.to_vec(), situation_to(&situation()));
    let timed = plugins.runtime().on_slot(move |runtime| {
        let once = |params| {
            runtime.call_blocking(&callee, DECIDE, Occasion::Unrecorded, |store, pre| {
                let answer: Answer = DECIDE.run(store, pre, params)?;
                Ok(answer.map_err(CallError::from)?.memory.len())
            })
        };
        times(rounds, &params, once)
    });
    timed.await?
}

/// The same component, function and arguments on the same engine with nothing of ours around it: a plain store, an
/// instance, a typed call.
pub async fn raw_decide(plugins: &Plugins, name: &str, memory: &[u8], rounds: usize) -> Result<Percentiles> {
    let component = callee(plugins, name)?.pre.component().clone();
    let params = (memory.to_vec(), situation_to(&situation()));
    let timed = plugins.runtime().on_slot(move |runtime| {
        // The guests' clock ticks on, and a plain store has no use for it.
        let _running = runtime.running();
        raw(&runtime.engine, &component, &params, rounds)
            .map_err(|error| Error::internal(format!("{error:#}")))
    });
    timed.await?
}

fn raw(
    engine: &Engine,
    component: &Component,
    params: &(Vec<u8>, wit::Situation),
    rounds: usize,
) -> wasmtime::Result<Percentiles> {
    let mut linker = Linker::<()>::new(engine);
    linker.define_unknown_imports_as_traps(component)?;
    let pre = linker.instantiate_pre(component)?;
    let missing = || wasmtime::Error::msg("it is no strategy");
    let interface = component.get_export_index(None, DECIDE.interface).ok_or_else(missing)?;
    let index = component.get_export_index(Some(&interface), DECIDE.name).ok_or_else(missing)?;
    times(rounds, params, |params| {
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(u64::MAX >> 1);
        let instance = pre.instantiate(&mut store)?;
        let decide = instance.get_typed_func::<(Vec<u8>, wit::Situation), (Answer,)>(&mut store, &index)?;
        let (answer,) = decide.call(&mut store, params)?;
        Ok(answer.map_or(0, |step| step.memory.len()))
    })
}

fn callee(plugins: &Plugins, name: &str) -> Result<Callee> {
    Ok(plugins.find(name, PluginKind::DeploymentStrategy, DECIDE.name)?.callee())
}

fn times<P: Clone, T, E>(
    rounds: usize,
    params: &P,
    once: impl Fn(P) -> std::result::Result<T, E>,
) -> std::result::Result<Percentiles, E> {
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let params = params.clone();
        let started = Instant::now();
        once(params)?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

/// Times `rounds` calls of the forge's `parse-webhook` on one delivery.
pub async fn forge_parse(
    plugins: &Plugins,
    name: &str,
    headers: &[(String, String)],
    body: &Bytes,
    rounds: usize,
) -> Result<Percentiles> {
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        plugins.forge_parse(name, headers.to_vec(), body.clone()).await?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

/// Times `rounds` calls of the notifier's `render` on one event.
pub async fn notifier_render(
    plugins: &Plugins,
    name: &str,
    target: &Target,
    event: &Notification,
    rounds: usize,
) -> Result<Percentiles> {
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        plugins.notifier_render(name, target, event).await?;
        took.push(started.elapsed());
    }
    Ok(percentiles(took))
}

fn percentiles(mut took: Vec<Duration>) -> Percentiles {
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    Percentiles { p50: at(50), p99: at(99) }
}
