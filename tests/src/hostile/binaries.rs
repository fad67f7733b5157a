//! Bytes that are no component, or one that is built to hurt whoever reads or compiles it.

use super::code::strategy;
use super::{Act, End, Hostile};

const GOOD: &str = "i32.const 4096";

pub(super) fn all() -> Vec<Hostile> {
    let of = |does, component: Vec<u8>, why| Hostile { does, component, act: Act::Load, end: End::Load(why) };
    let wat = |text: String| wat::parse_str(text).expect("a test's component is good WAT");
    let good = strategy(GOOD).named("good").build();
    let half = good[..good.len() / 2].to_vec();
    let rubbish = [&good[..8], &b"\xff rubbish".repeat(200)].concat();
    let imports: String = (0..2000).map(|n| format!("(import \"i{n}\" (func))")).collect();
    let instances = "(core instance (instantiate $m))".repeat(2000);
    let nested = (0..2000).fold(Vec::new(), |inner, _| around(&inner));
    // Each type holds the one before twice: as a value it would be larger than the world.
    let types: String = (1..60).map(|n| format!("(type $t{n} (tuple $t{0} $t{0}))", n - 1)).collect();
    let types = format!("(component (type $t0 u64) {types} (import \"f\" (func (param \"a\" $t59))))");
    let work = "(local.set $x (i32.rotl (i32.mul (local.get $x) (i32.load (local.get $x))) (local.get $x)))"
        .repeat(40_000);
    let bulk: String = (0..8)
        .map(|n| format!("(func $bulk{n} (param $x i32) (result i32) {work} (local.get $x))"))
        .collect();
    vec![
        of("is empty", Vec::new(), "no WebAssembly component"),
        of("is a script", b"#!/bin/sh\nrm -rf /\n".to_vec(), "no WebAssembly component"),
        of("is a core module", wat("(module)".into()), "component"),
        of("is half of a component", half, ""),
        of("is rubbish behind a good beginning", rubbish, ""),
        of("imports two thousand functions", wat(format!("(component {imports})")), ""),
        of("has two thousand core instances", wat(format!("(component (core module $m) {instances})")), ""),
        of("is a component in a component two thousand times", nested, ""),
        of("has a type larger than the world", wat(types), ""),
        Hostile::new(
            "takes longer to compile than it may",
            &strategy(GOOD).with_functions(&bulk),
            Act::Load,
            End::Load("more processor time to compile"),
        ),
    ]
}

/// A component that holds this one, if it is one, in a section of components.
fn around(inner: &[u8]) -> Vec<u8> {
    let mut outer = b"\0asm\x0d\0\x01\0".to_vec();
    if !inner.is_empty() {
        outer.push(4);
        let mut length = inner.len();
        while length >= 0x80 {
            outer.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend_from_slice(inner);
    }
    outer
}
