//! Compares a component's type with the contract, before any of its code runs.
//!
//! A message names the interface, the item and the field, what the host has and what the plugin has, and what to
//! install: "unknown import" helps nobody.

use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::{Component as ComponentType, ComponentItem};

use super::bindings::base::windlass::host::log::Level;
use super::exports::{self, Export};
use super::text;
use crate::domain::plugin::{Ability, PluginKind};

/// The line of the contract that this host speaks. Up to 1.0.0 a new minor version is a new line.
pub(super) const VERSION: &str = "0.1.0";
const LINE: &str = "0.1.";
const LOG: &str = "windlass:host/log";
pub(super) const MANIFEST: &str = "windlass:plugin/manifest";
/// Differences shown of one component.
const SHOWN: usize = 8;

/// What a component's type says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kinds: Vec<PluginKind>,
    pub(super) abilities: Vec<Ability>,
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// Reads the type and checks it; the error lists every difference found.
pub(super) fn check(engine: &Engine, component: &Component) -> Result<Shape, String> {
    let ty = component.component_type();
    let mut differences = Vec::new();
    for (name, item) in ty.imports(engine) {
        check_import(engine, &ty, name, &item.ty, &mut differences);
    }
    let kinds: Vec<PluginKind> = PluginKind::ALL
        .into_iter()
        .filter(|kind| check_export(engine, &ty, kind.interface(), &mut differences))
        .collect();
    let abilities: Vec<Ability> = Ability::ALL
        .into_iter()
        .filter(|ability| check_export(engine, &ty, &ability.interface(), &mut differences))
        .collect();
    if !check_export(engine, &ty, MANIFEST, &mut differences) && differences.is_empty() {
        differences.push(format!("it does not export `{MANIFEST}@{VERSION}`, which every plugin has to"));
    }
    for ability in abilities.iter().filter(|ability| !kinds.contains(&ability.kind())) {
        differences.push(format!(
            "it exports `{}`, which is an addition to `{}`, and not the latter",
            ability.interface(),
            ability.kind().interface()
        ));
    }
    if !kinds.is_empty() && kinds.iter().all(|kind| kind.is_pure()) {
        check_purity(engine, &ty, &kinds, &mut differences);
    }
    let names = |names: Vec<&str>| names.into_iter().take(64).map(|name| text::line(name, 256)).collect();
    let imports: Vec<String> = names(ty.imports(engine).map(|(name, _)| name).collect());
    let exports: Vec<String> = names(ty.exports(engine).map(|(name, _)| name).collect());
    if kinds.is_empty() && differences.is_empty() {
        let known: Vec<String> =
            PluginKind::ALL.into_iter().map(|kind| format!("`{}@{VERSION}`", kind.interface())).collect();
        differences.push(format!(
            "it exports nothing that this host can use. It exports {}; the host knows {}",
            listed(&exports),
            known.join(", ")
        ));
    }
    if differences.is_empty() {
        return Ok(Shape { kinds, abilities, imports, exports });
    }
    let newest = imports.iter().chain(&exports).filter_map(|name| contract_version(name)).max();
    Err(joined(differences, newest))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "nothing".into();
    }
    let quoted: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

fn joined(mut differences: Vec<String>, newest: Option<Version>) -> String {
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    let mut all = differences.join("; ");
    if more > 0 {
        all.push_str(&format!("; and {more} more differences"));
    }
    format!("{all}. {}", advice(newest))
}

/// What to install. `newest` is the newest version of the contract that the plugin speaks.
fn advice(newest: Option<Version>) -> String {
    let ours = "a release of the plugin that was built with windlass-sdk 0.1";
    match newest {
        Some(version) if Some(version) > parsed(VERSION) => {
            let (major, minor, patch) = version;
            format!(
                "The plugin was built for version {major}.{minor}.{patch} of the contract. Please install a Windlass that \
                 speaks {major}.{minor}.{patch}, or {ours}."
            )
        }
        _ => format!("Please install {ours}, or a Windlass that speaks the plugin's version."),
    }
}

/// Major, minor, patch.
type Version = (u64, u64, u64);

/// The version in the name of one of our interfaces.
fn contract_version(name: &str) -> Option<Version> {
    let (interface, version) = split(name);
    interface.starts_with("windlass:").then(|| parsed(version)).flatten()
}

fn parsed(version: &str) -> Option<Version> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(major), Some(minor), Some(patch), None) => Some((major?, minor?, patch?)),
        _ => None,
    }
}

/// A plugin that is a function of its arguments has nobody to ask: that is what makes it replayable and testable.
fn check_purity(engine: &Engine, ty: &ComponentType, kinds: &[PluginKind], found: &mut Vec<String>) {
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    for (name, item) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        if split(name).0.starts_with("windlass:host/")
            && instance.exports(engine).any(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
        {
            found.push(format!(
                "it imports `{}`, and a {} is a pure function: the contract gives it nothing to call",
                text::line(name, 256),
                kinds.join(" and ")
            ));
        }
    }
}

fn check_import(
    engine: &Engine,
    ty: &ComponentType,
    name: &str,
    item: &ComponentItem,
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
        (other, version) if other.starts_with("windlass:") => found.push(format!(
            "it imports `{}` {}, which this host does not have: it offers `{LOG}@{VERSION}`",
            text::line(other, 256),
            text::line(version, 64)
        )),
        _ => found.push(format!(
            "it imports `{shown}`, and no plugin gets that: there are no files, sockets, clocks or environment. A \
             plugin may only import `{LOG}@{VERSION}`. A plugin in Rust is compiled for wasm32-unknown-unknown, so \
             that it imports no WASI"
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
    exports::check(interface, &Export { engine, name, instance: &instance, component: ty }, found);
    true
}

/// wasmtime's chain of reasons ends at the very field: "expected record field named a, found b".
pub(super) fn report(
    checked: wasmtime::Result<()>,
    verb: &str,
    name: &str,
    function: &str,
    found: &mut Vec<String>,
) {
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
