//! `make bench`: what the release program costs and does, measured from outside, with the peers beside it.
//!
//! `bench [--json] [start] [memory] [ingest] [deploy] [checkout] [plugins] [router] [cutovers] [logs] [watching]`; without a name, everything.

#![allow(clippy::unwrap_used, reason = "a benchmark may end at the first surprise")]

mod checkout;
mod cutovers;
mod deploy;
mod ingest;
mod load;
mod logs;
mod machine;
mod peer;
mod plugins;
mod process;
mod report;
mod router;
mod start;
mod watching;

use report::Report;

const SECTIONS: [&str; 10] =
    ["start", "memory", "ingest", "deploy", "checkout", "plugins", "router", "cutovers", "logs", "watching"];

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (options, names): (Vec<&str>, Vec<&str>) =
        words.iter().map(String::as_str).partition(|word| word.starts_with("--"));
    let strange =
        names.iter().any(|name| !SECTIONS.contains(name)) || options.iter().any(|option| *option != "--json");
    if strange {
        eprintln!("usage: bench [--json] [{}]", SECTIONS.join("] ["));
        std::process::exit(2);
    }
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let mut report = Report::new(options.contains(&"--json"));
    machine::describe(&mut report);
    if wanted("start") {
        start::starts(&mut report).await;
    }
    if wanted("memory") {
        start::memory(&mut report).await;
    }
    if wanted("plugins") {
        plugins::all(&mut report).await;
    }
    if wanted("ingest") {
        ingest::ingestion(&mut report).await;
    }
    if wanted("deploy") {
        deploy::overhead(&mut report).await;
        deploy::hand_over(&mut report).await;
    }
    if wanted("checkout") {
        checkout::checkouts(&mut report).await;
    }
    if wanted("logs") {
        logs::a_million_lines(&mut report).await;
    }
    if wanted("watching") {
        watching::watching(&mut report).await;
    }
    if wanted("router") {
        router::beside_peers(&mut report).await;
    }
    if wanted("cutovers") {
        cutovers::cutovers(&mut report).await;
    }
    report.finish();
}
