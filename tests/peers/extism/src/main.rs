//! `extism-peer MODULE FUNCTION BYTES ROUNDS`: calls a plugin with a fresh instance each time, and prints the middle and
//! the 99th percentile of what a call took, in nanoseconds.
//!
//! The module is compiled once, as extism recommends to those who care for speed; a call is instantiating, calling and
//! dropping, which is what Windlass does.

use std::time::Instant;

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [module, function, bytes, rounds] = words.as_slice() else {
        return Err("usage: extism-peer MODULE FUNCTION BYTES ROUNDS".into());
    };
    let (bytes, rounds): (usize, usize) = (bytes.parse()?, rounds.parse()?);
    let manifest = Manifest::new([Wasm::data(std::fs::read(module)?)]);
    let compiled = CompiledPlugin::new(PluginBuilder::new(manifest))?;
    let input = vec![b'w'; bytes];
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        let mut plugin = Plugin::new_from_compiled(&compiled)?;
        let output = plugin.call::<&[u8], Vec<u8>>(function, &input)?;
        drop(plugin);
        took.push(started.elapsed().as_nanos());
        if output != input {
            return Err("the plugin did not answer with what it was given".into());
        }
    }
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    println!("{} {}", at(50), at(99));
    Ok(())
}
