//! Executes a recorded call again, with the recorded answers in place of the host's: nothing outside hears of it.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Store, StoreContextMut};

use super::difference::differences;
use super::value::{Misfit, Shown, ShownAll, read, tuple_items};
use super::{Diverged, Limited, Transcript};
use crate::domain::cassette::{CassetteCall, Exchange};
use crate::domain::recording::{Outcome, Replay};
use crate::error::{Error, PluginErrorKind, Result};
use crate::plugins::Plugins;
use crate::plugins::call::Runtime;
use crate::plugins::guest::{self, GuestState, OutOfTime, Who};
use crate::plugins::metrics::outcome;
use crate::plugins::tape::seed;

/// The part of the contract that asks the host for something.
const HOST: &str = "windlass:host/";
/// It answers nothing, so in a replay it works as ever, only that nobody hears it.
const LOG: &str = "windlass:host/log@";

impl Plugins {
    /// Executes the call again with the component it was made to, or with the one that `plugin` names, and compares.
    ///
    /// # Errors
    /// `Conflict` if the component is gone, `Invalid` if the recording does not fit the component.
    pub async fn replay(&self, call: CassetteCall, plugin: Option<&str>) -> Result<Replay> {
        let digest = match plugin {
            Some(name) => self.digest(name).ok_or_else(|| Error::not_found("plugin", name))?,
            None => call.digest.clone(),
        };
        let inner = self.inner.clone();
        self.runtime()
            .on_slot(move |runtime| {
                let component = inner.loader.component(&inner.table.load(), &digest)?;
                let linker = with_recorded_answers(&inner.loader.linker, runtime, &component)
                    .map_err(|error| Error::internal(format!("{error:#}")))?;
                replay(runtime, &linker, &component, &call)
            })
            .await?
    }
}

/// The linker with recorded answers behind every function that asks the host for something.
fn with_recorded_answers(
    linker: &Linker<GuestState>,
    runtime: &Runtime,
    component: &Component,
) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = linker.clone();
    linker.allow_shadowing(true);
    for (interface, item) in component.component_type().imports(&runtime.engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        if !interface.starts_with(HOST) || interface.starts_with(LOG) {
            continue;
        }
        let mut functions = linker.instance(interface)?;
        for (name, item) in instance.exports(&runtime.engine) {
            if let ComponentItem::ComponentFunc(_) = item.ty {
                let import = format!("{interface}#{name}");
                functions.func_new(name, move |store, ty, params, results| {
                    answer(store, &import, &ty, params, results)
                })?;
            }
        }
    }
    Ok(linker)
}

/// What the host answered when it was asked the same thing the first time.
fn answer(
    mut store: StoreContextMut<'_, GuestState>,
    import: &str,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let (Some(result), Some(ty_of_result)) = (results.first_mut(), ty.results().next()) else {
        store.data_mut().transcript.note(import, &ShownAll(params), None::<&()>);
        return Ok(());
    };
    let exchange = store.data_mut().transcript.next(import)?;
    let misfit = |Misfit(why)| Diverged(format!("the recorded `{import}` does not fit the plugin: {why}"));
    let recorded = tuple_items(ty.params().map(|(_, ty)| ty), &Value::Array(exchange.args.clone()));
    if recorded.map_err(misfit)? != params {
        let found = differences("args", &Value::Array(exchange.args), &value_of(&ShownAll(params)));
        let how = format!("the plugin calls `{import}` with other arguments: {}", found.join("; "));
        return Err(Diverged(how).into());
    }
    store.data_mut().transcript.note(import, &exchange.args, exchange.result.as_ref());
    let Some(recorded) = exchange.result else {
        return Err(OutOfTime { after: Duration::ZERO }.into());
    };
    *result = read(&ty_of_result, &recorded).map_err(misfit)?;
    Ok(())
}

fn replay(
    runtime: &Runtime,
    linker: &Linker<GuestState>,
    component: &Component,
    call: &CassetteCall,
) -> Result<Replay> {
    let started = Instant::now();
    let name = call.plugin.as_str();
    let who = Who { plugin: name.into(), digest: call.digest.as_str().into() };
    let (engine, limits) = (&runtime.engine, &runtime.limits);
    let mut store = guest::store(engine, limits, who, "replay", runtime.metrics.clone(), |_| None);
    store.data_mut().transcript = Transcript::replaying(&call.exchange);
    // Written as `invoke` wrote it when it recorded.
    let mut input = Limited::new(usize::MAX);
    input.write(&call.input);
    store.data_mut().seed = seed(&call.function, &input.finish().0);
    let running = runtime.running();
    let ended = run(&mut store, linker, component, call)?;
    drop(running);
    let (exchange, _) = store.data_mut().transcript.close();
    let (result, recorded, error) = match ended {
        Ok((result, recorded)) => (Some(result), recorded, None),
        Err((error, recorded)) => {
            (None, recorded, Some(runtime.kind_of(&error, store.data(), name, "replay")))
        }
    };
    let mut differences = differences("exchange", &exchange_of(call), &parsed(&exchange));
    // What a caller made of the same answer has not changed either.
    let is_same_answer = result.is_some() && result == recorded;
    let (outcome, text) = match (&result, &error) {
        (_, Some(kind)) => (outcome(kind), Some(kind.to_string())),
        _ if is_same_answer => (call.outcome, call.error.clone()),
        (Some(Val::Result(Err(_))), _) => (Outcome::Failure, None),
        _ => (Outcome::Ok, None),
    };
    if !is_same_answer {
        let recorded =
            recorded.as_ref().map_or_else(|| call.output.clone(), |val| Some(value_of(&Shown(val))));
        let now = result.as_ref().map(|val| value_of(&Shown(val)));
        differences.extend(differ("output", recorded.unwrap_or_default(), now.unwrap_or_default()));
    }
    differences.extend(differ("outcome", call.outcome.as_str().into(), outcome.as_str().into()));
    // How long a plugin was endured is not its doing.
    if error.is_some_and(|kind| !matches!(kind, PluginErrorKind::Timeout { .. })) {
        differences.extend(differ("error", call.error.clone().into(), text.clone().into()));
    }
    Ok(Replay {
        identical: differences.is_empty(),
        outcome,
        error: text,
        exchange,
        output: result.map(|result| value_of(&Shown(&result)).to_string()),
        differences,
        duration_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
    })
}

fn differ(at: &str, recorded: Value, now: Value) -> Vec<String> {
    differences(at, &recorded, &now)
}

type Ended = Result<(Val, Option<Val>), (wasmtime::Error, Option<Val>)>;

/// The result and the recorded one, both as the component's type has them.
fn run(
    store: &mut Store<GuestState>,
    linker: &Linker<GuestState>,
    component: &Component,
    call: &CassetteCall,
) -> Result<Ended> {
    let index = component
        .get_export_index(None, call.interface.as_str())
        .and_then(|interface| component.get_export_index(Some(&interface), call.function.as_str()));
    let Some(index) = index else {
        let message = format!("the component has no `{}` of `{}`", call.function, call.interface);
        return Err(Error::invalid("function", message));
    };
    let instance = match linker.instantiate(&mut *store, component) {
        Ok(instance) => instance,
        Err(error) => return Ok(Err((error, None))),
    };
    let Some(function) = instance.get_func(&mut *store, index) else {
        return Err(Error::invalid("function", format!("`{}` is no function", call.function)));
    };
    let ty = function.ty(&*store);
    let misfit = |what: &str, Misfit(why)| {
        Error::invalid(what, format!("the recorded {what} does not fit the component: {why}"))
    };
    let params = tuple_items(ty.params().map(|(_, ty)| ty), &Value::Array(call.input.clone()))
        .map_err(|why| misfit("input", why))?;
    let result_type = ty.results().next();
    let recorded = match (&call.output, &result_type) {
        (Some(output), Some(ty)) => Some(read(ty, output).map_err(|why| misfit("output", why))?),
        (_, None) => Some(Val::Tuple(Vec::new())),
        (None, _) => None,
    };
    let mut results = vec![Val::Bool(false); ty.results().len()];
    Ok(match function.call(&mut *store, &params, &mut results) {
        Ok(()) => Ok((results.pop().unwrap_or(Val::Tuple(Vec::new())), recorded)),
        Err(error) => Err((error, recorded)),
    })
}

pub(super) fn value_of(value: &impl Serialize) -> Value {
    let mut text = Limited::new(usize::MAX);
    text.write(value);
    parsed(&text.finish().0)
}

/// What this host wrote is JSON.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn exchange_of(call: &CassetteCall) -> Value {
    serde_json::to_value::<&[Exchange]>(&call.exchange).unwrap_or_default()
}
