//! Components that are not what they say they are, or of a contract that is not ours.

use super::code::strategy;
use super::{Act, End, Hostile, slug};
use crate::guests::Guest;

const GOOD: &str = "i32.const 4096";
/// Where the manifest lies, and where its name does.
const MANIFEST: usize = 1024;

pub(super) fn all() -> Vec<Hostile> {
    let mut all = lies();
    all.extend(schemas());
    all.extend(foreign());
    all
}

fn refused(does: &'static str, guest: &Guest, why: &'static str) -> Hostile {
    Hostile::new(does, guest, Act::Load, End::Load(why))
}

/// Describes itself with another word in its manifest.
fn word(at: usize, value: u32) -> Guest {
    strategy(GOOD).describing(&format!(
        "(i32.store (i32.const {}) (i32.const {value})) i32.const {MANIFEST}",
        MANIFEST + at * 4
    ))
}

fn lies() -> Vec<Hostile> {
    let good = || strategy(GOOD);
    let thousand = (0..1000).fold(good(), |guest, _| guest.with_permission(&["GET"], "/a"));
    // The name is the first of the texts; its first byte becomes one that no text has.
    let broken =
        good().describing(&format!("(i32.store8 (i32.const 2048) (i32.const 255)) i32.const {MANIFEST}"));
    let elsewhere = Hostile {
        does: "has a name that leads elsewhere",
        component: good().named("../../../etc/passwd").build(),
        act: Act::Load,
        end: End::Load("does not fit"),
    };
    let another = Hostile {
        does: "has another name than it is configured by",
        component: good().named("innocent").build(),
        act: Act::Load,
        end: End::Load("calls it `innocent`"),
    };
    vec![
        refused(
            "says it is of another kind",
            &good().claiming("notifier"),
            "its exports say [deployment-strategy]",
        ),
        refused("says it is of no kind", &word(7, 0), "of the kinds []"),
        refused("says its kind a thousand times", &word(7, 1000), ""),
        elsewhere,
        another,
        refused("has a version that is none", &good().version("1.0"), "no semantic version"),
        refused("has a manifest beyond its memory", &good().describing("i32.const -64"), "out of bounds"),
        refused("has a manifest in no encoding", &broken, "utf-8"),
        refused("has a summary of four gigabytes", &word(5, u32::MAX), ""),
        refused(
            "asks for a method that is none",
            &good().with_permission(&["get it"], "/a"),
            "no HTTP method",
        ),
        refused(
            "asks for a path that is none",
            &good().with_permission(&["GET"], "everything"),
            "among its permissions",
        ),
        refused("asks for a thousand permissions", &thousand, "more than 64 entries"),
        refused("has two slots of one name", &good().asking("token").asking("token"), "used twice"),
        refused(
            "wants its secret in a strange place",
            &good().with_credential("token", "smoke", &[]),
            "injection `smoke`",
        ),
        refused(
            "declares webhooks that it cannot read",
            &good().with_webhooks(),
            "nothing that it exports reads any",
        ),
    ]
}

fn schemas() -> Vec<Hostile> {
    let with = |schema: &str| strategy(GOOD).with_schema(schema);
    let doubling: String = (0..40)
        .map(|n| {
            format!(
                r##""d{n}": {{ "allOf": [{{ "$ref": "#/$defs/d{0}" }}, {{ "$ref": "#/$defs/d{0}" }}] }},"##,
                n + 1
            )
        })
        .collect();
    let doubling = format!(r##"{{ "$defs": {{ {doubling} "d40": {{}} }}, "$ref": "#/$defs/d0" }}"##);
    let giant = format!(r#"{{ "description": "{}" }}"#, "x".repeat(300 << 10));
    let deep = format!("{}{}", r#"{"not":"#.repeat(20_000), "}".repeat(20_000));
    let pattern = r#"{ "properties": { "a": { "pattern": "((((a{99}){99}){99}){99}){99}" } } }"#;
    vec![
        refused("has a giant schema", &with(&giant), "a schema above"),
        refused("has a schema that doubles at each level", &with(&doubling), "too deep or too large"),
        refused(
            "has a schema that holds itself",
            &with(r##"{ "properties": { "a": { "$ref": "#" } } }"##),
            "counts without end",
        ),
        refused(
            "has a schema from elsewhere",
            &with(r#"{ "$ref": "http://169.254.169.254/" }"#),
            "no place in the schema itself",
        ),
        refused("has a schema as deep as a well", &with(&deep), "schema"),
        refused("has a schema that is no schema", &with(r#"{ "type": 7 }"#), "none of JSON Schema 2020-12"),
        refused("has a schema that is no json", &with("{"), "is no JSON"),
        refused("has a schema with a pattern that explodes", &with(pattern), "its settings' schema"),
    ]
}

fn foreign() -> Vec<Hostile> {
    let good = || strategy(GOOD);
    let import = |core: &str, world: &str, package: &str| good().with_import(core, world, Some(package));
    let sending = good().with_import(
        &format!("(import \"windlass:host/http@0.1.0\" \"send\" (func (param {})))", "i32 ".repeat(17)),
        "import windlass:host/http@0.1.0;",
        None,
    );
    // The name of the kind is part of what is replaced, so the one it is configured by must not hold it.
    let versions = |to: &str| good().replacing("@0.1.0", to);
    vec![
        refused(
            "speaks the contract of next year",
            &versions("@0.2.0"),
            "install a Windlass that speaks 0.2.0",
        ),
        refused(
            "speaks the contract of the far future",
            &versions("@7.0.0"),
            "install a Windlass that speaks 7.0.0",
        ),
        refused("answers in another shape", &good().replacing("progress: u8", "progress: u16"), "`u16`"),
        refused(
            "lacks a function of its kind",
            &good().replacing("validate", "pretend"),
            "without the function `validate`",
        ),
        refused(
            "is of a kind that does not exist",
            &good().replacing("windlass:deployment-strategy", "windlass:fortune-teller"),
            "nothing that this host can use",
        ),
        refused(
            "wants an interface of the future",
            &import(
                "(import \"windlass:state/store@0.1.4\" \"get\" (func (result i32)))",
                "import windlass:state/store@0.1.4;",
                "package windlass:state@0.1.4; interface store { get: func() -> u32; }",
            ),
            "install a Windlass that speaks 0.1.4",
        ),
        refused(
            "wants the files of another host",
            &import(
                "(import \"other:host/files@0.2.6\" \"names\" (func (param i32)))",
                "import other:host/files@0.2.6;",
                "package other:host@0.2.6; interface files { names: func() -> list<string>; }",
            ),
            "other:host/files@0.2.6",
        ),
        refused("wants to send though its kind is pure", &sending, "no plugin of its kind may send"),
        refused(
            "wants a function that no host has",
            &Guest::forge(&slug("unnamed"), GOOD)
                .with_import(
                    "(import \"windlass:host/log@0.1.0\" \"flush\" (func))",
                    "import windlass:host/log@0.1.0;",
                    None,
                )
                .replacing("  emit: func(", "  flush: func();\n  emit: func("),
            "no such function",
        ),
    ]
}
