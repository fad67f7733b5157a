//! Compares the contract in `wit/` with what was released: whatever a component out there was built against has to stay.
//!
//! Matching is structural, so one more field or case breaks every component that uses the type. Allowed are new types,
//! new interfaces and worlds, new functions of what the host offers, and fewer exports. A package that has to break leaves
//! its line: `0.1.x` becomes `0.2.0`, and the released line is no longer compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wit_parser::{
    Function, Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, WorldId, WorldItem, WorldKey,
};

/// A contract that was read from the `.wit` files of one folder, by package.
pub struct Contract {
    packages: BTreeMap<String, Package>,
}

struct Package {
    version: String,
    interfaces: BTreeMap<String, Interface>,
    worlds: BTreeMap<String, World>,
}

#[derive(Default)]
struct Interface {
    /// Only ever imported by plugins: more functions there break nobody.
    is_offered: bool,
    types: BTreeMap<String, Item>,
    functions: BTreeMap<String, Item>,
}

struct World {
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

/// A type or function with its parts in order: fields, cases, parameters and result, each with its structure as text.
#[derive(PartialEq)]
struct Item {
    kind: &'static str,
    parts: Vec<(String, String)>,
}

/// The texts of a folder's `.wit` files by file name.
pub fn texts(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).expect("the folder of a contract can be read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a contract can be read"))
        })
        .collect()
}

impl Contract {
    pub fn read(texts: &BTreeMap<String, String>) -> Self {
        let mut resolve = Resolve::default();
        // A package has to be there before the one that uses it.
        let mut waiting: Vec<_> = texts.iter().collect();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(name, text)| {
                let mut attempt = resolve.clone();
                let is_read = attempt.push_str(name, text).is_ok();
                if is_read {
                    resolve = attempt;
                }
                !is_read
            });
            if waiting.len() == before {
                let (name, text) = waiting[0];
                let error = resolve.push_str(name, text).expect_err("it was no good WIT before");
                panic!("{name}: {error:?}");
            }
        }
        let packages = resolve.packages.iter().map(|(_, package)| {
            let interfaces = package
                .interfaces
                .iter()
                .map(|(name, id)| (name.clone(), interface(&resolve, *id)))
                .collect();
            let worlds =
                package.worlds.iter().map(|(name, id)| (name.clone(), world(&resolve, *id))).collect();
            let name = format!("{}:{}", package.name.namespace, package.name.name);
            let version = package.name.version.as_ref().map(ToString::to_string).unwrap_or_default();
            (name, Package { version, interfaces, worlds })
        });
        Self { packages: packages.collect() }
    }

    /// What a component built against `released` could no longer rely on; one sentence each.
    pub fn broken(&self, released: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, before) in &released.packages {
            match self.packages.get(name) {
                None => found.push(format!("the package {name} is gone")),
                Some(now) if line(&now.version) != line(&before.version) => {}
                Some(now) => now.compare(before, name, &mut found),
            }
        }
        found
    }
}

/// What stays compatible: the major version, and before 1.0.0 the minor one as well.
pub fn line(version: &str) -> String {
    let mut numbers = version.split('.');
    match (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) {
        ("0", minor) => format!("0.{minor}"),
        (major, _) => major.to_owned(),
    }
}

impl Package {
    fn compare(&self, before: &Self, package: &str, found: &mut Vec<String>) {
        for (name, old) in &before.interfaces {
            let place = format!("{package}/{name}");
            let Some(new) = self.interfaces.get(name) else {
                found.push(format!("the interface {place} is gone"));
                continue;
            };
            compare_items(&old.types, &new.types, &place, found);
            compare_items(&old.functions, &new.functions, &place, found);
            for added in new.functions.keys().filter(|name| !old.functions.contains_key(*name)) {
                if !old.is_offered {
                    found.push(format!(
                        "{place} has the new function {added}, which plugins that exist do not export; give it an \
                         interface of its own"
                    ));
                }
            }
        }
        for (name, old) in &before.worlds {
            let Some(new) = self.worlds.get(name) else {
                found.push(format!("the world {package}/{name} is gone"));
                continue;
            };
            for import in old.imports.difference(&new.imports) {
                found.push(format!("the world {package}/{name} no longer imports {import}"));
            }
            for export in new.exports.difference(&old.exports) {
                found.push(format!("the world {package}/{name} now wants the export {export}"));
            }
        }
    }
}

fn compare_items(
    old: &BTreeMap<String, Item>,
    new: &BTreeMap<String, Item>,
    place: &str,
    found: &mut Vec<String>,
) {
    for (name, before) in old {
        match new.get(name) {
            None => found.push(format!("{place}.{name} is gone")),
            Some(now) if now == before => {}
            Some(now) => found.push(format!("{place}.{name} {}", difference(before, now))),
        }
    }
}

/// The first thing that differs.
fn difference(before: &Item, now: &Item) -> String {
    if before.kind != now.kind {
        return format!("was a {} and is a {}", before.kind, now.kind);
    }
    let text = |item: &Item, wanted: &str| {
        item.parts.iter().find(|(name, _)| name == wanted).map(|(_, text)| text.clone())
    };
    for (name, was) in &before.parts {
        match text(now, name) {
            None => return format!("has lost `{name}`"),
            Some(is) if is != *was => return format!("has `{name}` as `{is}`, which was `{was}`"),
            Some(_) => {}
        }
    }
    match now.parts.iter().find(|(name, _)| text(before, name).is_none()) {
        Some((name, _)) => format!("has got `{name}`; every component that uses it would stop loading"),
        None => "has its parts in another order".to_owned(),
    }
}

fn interface(resolve: &Resolve, id: InterfaceId) -> Interface {
    let is = |item: &WorldItem| matches!(item, WorldItem::Interface { id: found, .. } if *found == id);
    let worlds = || resolve.worlds.iter().map(|(_, world)| world);
    let interface = &resolve.interfaces[id];
    Interface {
        is_offered: worlds().any(|world| world.imports.values().any(is))
            && !worlds().any(|world| world.exports.values().any(is)),
        types: interface.types.iter().map(|(name, id)| (name.clone(), definition(resolve, *id))).collect(),
        functions: interface
            .functions
            .iter()
            .map(|(name, it)| (name.clone(), signature(resolve, it)))
            .collect(),
    }
}

/// Interfaces of types alone come along with those that use them; they are no promise of their own.
fn world(resolve: &Resolve, id: WorldId) -> World {
    // Versions are compared package by package.
    let unversioned = |key: &WorldKey| {
        let name = resolve.name_world_key(key);
        name.split_once('@').map_or(name.clone(), |(name, _)| name.to_owned())
    };
    let names = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| {
        let has_functions = |item: &WorldItem| match item {
            WorldItem::Interface { id, .. } => !resolve.interfaces[*id].functions.is_empty(),
            _ => true,
        };
        items.filter(|(_, item)| has_functions(item)).map(|(key, _)| unversioned(key)).collect()
    };
    let world = &resolve.worlds[id];
    World { imports: names(&mut world.imports.iter()), exports: names(&mut world.exports.iter()) }
}

fn signature(resolve: &Resolve, function: &Function) -> Item {
    let mut parts: Vec<(String, String)> =
        function.params.iter().map(|param| (param.name.clone(), structure(resolve, &param.ty))).collect();
    let result = function.result.as_ref().map(|ty| structure(resolve, ty));
    parts.push(("the result".to_owned(), result.unwrap_or_else(|| "nothing".to_owned())));
    Item { kind: "function", parts }
}

fn definition(resolve: &Resolve, id: TypeId) -> Item {
    let part = |name: &String, ty: Option<&Type>| {
        (name.clone(), ty.map_or_else(|| "nothing".to_owned(), |ty| structure(resolve, ty)))
    };
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => Item {
            kind: "record",
            parts: record.fields.iter().map(|field| part(&field.name, Some(&field.ty))).collect(),
        },
        TypeDefKind::Variant(variant) => Item {
            kind: "variant",
            parts: variant.cases.iter().map(|case| part(&case.name, case.ty.as_ref())).collect(),
        },
        TypeDefKind::Enum(cases) => {
            Item { kind: "enum", parts: cases.cases.iter().map(|case| part(&case.name, None)).collect() }
        }
        TypeDefKind::Flags(flags) => {
            Item { kind: "flags", parts: flags.flags.iter().map(|flag| part(&flag.name, None)).collect() }
        }
        // A type that moved to another interface and is used from there is the same type.
        TypeDefKind::Type(Type::Id(other)) => definition(resolve, *other),
        _ => Item { kind: "type", parts: vec![("it".to_owned(), structure(resolve, &Type::Id(id)))] },
    }
}

/// A type without its name, as the component model compares it.
fn structure(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let of = |ty: &Type| structure(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), of);
    match &resolve.types[*id].kind {
        TypeDefKind::Type(other) => of(other),
        TypeDefKind::Option(inner) => format!("option<{}>", of(inner)),
        TypeDefKind::List(inner) => format!("list<{}>", of(inner)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => {
            format!("handle to {}", resolve.types[*id].name.as_deref().unwrap_or("a resource"))
        }
        TypeDefKind::Record(_) | TypeDefKind::Variant(_) | TypeDefKind::Enum(_) | TypeDefKind::Flags(_) => {
            let item = definition(resolve, *id);
            let parts: Vec<String> =
                item.parts.iter().map(|(name, text)| format!("{name}: {text}")).collect();
            format!("{} {{ {} }}", item.kind, parts.join(", "))
        }
        other => format!("{other:?}"),
    }
}
