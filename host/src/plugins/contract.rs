//! Compares a component's type with the contract, before any of its code runs.
//!
//! A message names the interface, the item and the field, what the host has and what the plugin has, and what to
//! install: "unknown import" helps nobody.

use wasmtime::Engine;
use wasmtime::component::types::{Component as ComponentType, ComponentInstance, ComponentItem};
use wasmtime::component::{Component, ComponentNamedList, Lift, Lower};

use super::bindings::base::exports::windlass::plugin::manifest;
use super::bindings::base::windlass::host::http::{Error, Request, Response};
use super::bindings::base::windlass::host::log::Level;
use super::bindings::base::windlass::types::types::{Failure, Problem};
use super::bindings::forge::exports::windlass::git_forge::forge;
use super::bindings::planner::exports::windlass::build_planner::planner;
use super::bindings::strategy::exports::windlass::deployment_strategy::strategy;
use super::text;
use crate::domain::plugin::PluginKind;

/// The line of the contract that this host speaks. Up to 1.0.0 a new minor version is a new line.
const VERSION: &str = "0.1.0";
const LINE: &str = "0.1.";
const LOG: &str = "windlass:host/log";
const HTTP: &str = "windlass:host/http";
/// Packages of WASI preview 2 that are linked with nothing behind them, and the version they have.
const WASI: [&str; 6] =
    ["wasi:io/", "wasi:clocks/", "wasi:random/", "wasi:cli/", "wasi:filesystem/", "wasi:sockets/"];
const WASI_HTTP: &str = "wasi:http/";
const WASI_LINE: &str = "0.2.";
const MANIFEST: &str = "windlass:plugin/manifest";
/// Differences shown of one component.
const SHOWN: usize = 8;
const ADVICE: &str = "Please install a release of the plugin that was built with windlass-sdk 0.1, \
                      or a Windlass that speaks the plugin's version.";

/// What a component's type says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kinds: Vec<PluginKind>,
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

fn interface_of(kind: PluginKind) -> &'static str {
    match kind {
        PluginKind::GitForge => "windlass:git-forge/forge",
        PluginKind::BuildPlanner => "windlass:build-planner/planner",
        PluginKind::DeploymentStrategy => "windlass:deployment-strategy/strategy",
    }
}

/// Reads the type and checks it; the error lists every difference found.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<Shape, String> {
    let ty = component.component_type();
    let mut differences = Vec::new();
    let mut kinds = Vec::new();
    for kind in PluginKind::ALL {
        if check_export(engine, &ty, interface_of(kind), &mut differences) {
            kinds.push(kind);
        }
    }
    let may_send = kinds.iter().any(|kind: &PluginKind| kind.may_send_requests());
    for (name, item) in ty.imports(engine) {
        check_import(engine, &ty, name, &item.ty, may_send, &mut differences);
    }
    if !check_export(engine, &ty, MANIFEST, &mut differences) && differences.is_empty() {
        differences.push(format!("it does not export `{MANIFEST}@{VERSION}`, which every plugin has to"));
    }
    let names = |names: Vec<&str>| names.into_iter().take(64).map(|name| text::line(name, 256)).collect();
    let imports: Vec<String> = names(ty.imports(engine).map(|(name, _)| name).collect());
    let exports: Vec<String> = names(ty.exports(engine).map(|(name, _)| name).collect());
    if kinds.is_empty() && differences.is_empty() {
        let known: Vec<String> =
            PluginKind::ALL.into_iter().map(|kind| format!("`{}@{VERSION}`", interface_of(kind))).collect();
        differences.push(format!(
            "it exports nothing that this host can use. It exports {}; the host knows {}",
            listed(&exports),
            known.join(", ")
        ));
    }
    if differences.is_empty() {
        return Ok(Shape { kinds, imports, exports });
    }
    Err(joined(differences))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    let quoted: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn joined(mut differences: Vec<String>) -> String {
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    let mut all = differences.join("; ");
    if more > 0 {
        all.push_str(&format!("; and {more} more differences"));
    }
    format!("{all}. {ADVICE}")
}

fn check_import(
    engine: &Engine,
    ty: &ComponentType,
    name: &str,
    item: &ComponentItem,
    may_send: bool,
    found: &mut Vec<String>,
) {
    let shown = text::line(name, 256);
    let ComponentItem::ComponentInstance(instance) = item else {
        found.push(format!(
            "it imports `{shown}`, and a plugin may only import the interface `{LOG}@{VERSION}`"
        ));
        return;
    };
    if instance.exports(engine).all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))) {
        return;
    }
    match split(name) {
        (LOG, version) if version.starts_with(LINE) => {
            for (item, found_item) in instance.exports(engine) {
                match (item, found_item.ty) {
                    ("emit", ComponentItem::ComponentFunc(func)) => {
                        let checked = func
                            .typecheck::<(Level, String, Vec<(String, String)>), ()>(&ty.instance_type());
                        report(checked, "imports", name, "emit", found);
                    }
                    (_, ComponentItem::Type(_)) => {}
                    (other, _) => found.push(format!(
                        "it imports `{}` of `{shown}`, and this host's `{LOG}@{VERSION}` has no such function",
                        text::line(other, 128)
                    )),
                }
            }
        }
        (LOG, version) => found.push(versions("imports", LOG, version)),
        (HTTP, version) if version.starts_with(LINE) && may_send => {
            for (item, found_item) in instance.exports(engine) {
                match (item, found_item.ty) {
                    ("send", ComponentItem::ComponentFunc(func)) => {
                        let checked =
                            func.typecheck::<(Request,), (Result<Response, Error>,)>(&ty.instance_type());
                        report(checked, "imports", name, "send", found);
                    }
                    (_, ComponentItem::Type(_)) => {}
                    (other, _) => found.push(format!(
                        "it imports `{}` of `{shown}`, and this host's `{HTTP}@{VERSION}` has no such function",
                        text::line(other, 128)
                    )),
                }
            }
        }
        (HTTP, version) if may_send => found.push(versions("imports", HTTP, version)),
        (interface, version) if interface.starts_with(WASI_HTTP) && version.starts_with(WASI_LINE) && may_send => {}
        (interface, _) if interface == HTTP || interface.starts_with(WASI_HTTP) => found.push(format!(
            "it imports `{shown}`, and no plugin of its kind may send requests: what it answers has to follow from what \
             it is asked"
        )),
        // Whether the functions are as the host has them is seen when it is linked.
        (interface, version)
            if WASI.iter().any(|package| interface.starts_with(package)) && version.starts_with(WASI_LINE) => {}
        _ => found.push(format!(
            "it imports `{shown}`, and no plugin gets that: there are no files, sockets, clocks or environment. A \
             plugin may only import `{LOG}@{VERSION}`, `{HTTP}@{VERSION}` where its kind sends requests, and WASI \
             {WASI_LINE}x, which is empty"
        )),
    }
}

/// Whether the component exports the interface, and as the contract has it.
fn check_export(engine: &Engine, ty: &ComponentType, interface: &str, found: &mut Vec<String>) -> bool {
    let exported = ty.exports(engine).find(|(name, _)| split(name).0 == interface);
    let Some((name, item)) = exported else {
        return false;
    };
    let version = split(name).1;
    if !version.starts_with(LINE) {
        found.push(versions("exports", interface, version));
        return false;
    }
    let ComponentItem::ComponentInstance(instance) = item.ty else {
        found.push(format!("`{}` is not exported as an interface", text::line(name, 256)));
        return false;
    };
    let export = Export { engine, name, instance: &instance, component: ty };
    match interface {
        MANIFEST => export.check::<(), (manifest::Manifest,)>("describe", found),
        "windlass:git-forge/forge" => {
            export.check::<(forge::Delivery,), (Result<forge::Event, Failure>,)>("parse-webhook", found)
        }
        "windlass:build-planner/planner" => {
            export.check::<(planner::BuildConfig,), (Vec<Problem>,)>("validate", found);
            export.check::<(planner::Context,), (Result<Vec<planner::BuildStep>, Failure>,)>("plan", found);
        }
        _ => {
            export.check::<(String, strategy::Stack), (Vec<Problem>,)>("validate", found);
            export
                .check::<(Vec<u8>, strategy::Situation), (Result<strategy::Step, Failure>,)>("decide", found);
        }
    }
    true
}

struct Export<'a> {
    engine: &'a Engine,
    name: &'a str,
    instance: &'a ComponentInstance,
    component: &'a ComponentType,
}

impl Export<'_> {
    fn check<Params, Return>(&self, function: &str, found: &mut Vec<String>)
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        match self.instance.get_export(self.engine, function).map(|item| item.ty) {
            Some(ComponentItem::ComponentFunc(func)) => {
                let checked = func.typecheck::<Params, Return>(&self.component.instance_type());
                report(checked, "exports", self.name, function, found);
            }
            _ => found.push(format!(
                "it exports `{}` without the function `{function}`, which the host's version {VERSION} has",
                text::line(self.name, 256)
            )),
        }
    }
}

/// wasmtime's chain of reasons ends at the very field: "expected record field named a, found b".
fn report(checked: wasmtime::Result<()>, verb: &str, name: &str, function: &str, found: &mut Vec<String>) {
    if let Err(error) = checked {
        found.push(format!(
            "it {verb} `{}` with another `{function}` than the host's version {VERSION}: {}",
            text::line(name, 256),
            text::line(&format!("{error:#}"), 1024)
        ));
    }
}

fn versions(verb: &str, interface: &str, plugins: &str) -> String {
    let plugins = if plugins.is_empty() { "without a version" } else { plugins };
    format!("it {verb} `{interface}` {}, and this host has version {VERSION}", text::line(plugins, 64))
}

/// `a:b/c@1.2.3` is interface `a:b/c` in version `1.2.3`.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}
