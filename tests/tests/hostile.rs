//! The hostile suite: components that mean harm, each with one typed error at its end, while a neighbour goes on working.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use windlass::plugins::Plugins;
use windlass_tests::hostile::{Hostile, NEIGHBOUR, Suite};
use windlass_tests::sample::situation;

/// Fewer are no suite.
const AT_LEAST: usize = 40;
/// Hostile calls at the same time: fewer than there are slots, so that the neighbour has one.
const AT_ONCE: usize = 6;
/// What the whole suite may leave behind in memory.
const LEFT_BEHIND_KB: u64 = 5 << 10;

/// Memory of this process that is its own, in KiB.
fn own_memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process about itself");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Asks the neighbour for its next step until it is told to stop; how often it answered.
async fn work(plugins: Plugins, is_over: Arc<AtomicBool>) -> usize {
    let mut answers = 0;
    while !is_over.load(Ordering::Relaxed) {
        plugins.strategy_decide(NEIGHBOUR, Vec::new(), &situation()).await.expect("the neighbour works on");
        answers += 1;
        tokio::task::yield_now().await;
    }
    answers
}

/// What is wrong with how any of them ended.
async fn attack(suite: &Suite) -> Vec<String> {
    let all = futures_util::stream::iter(&suite.hostile);
    let ended = all.map(|hostile: &Hostile| suite.try_out(hostile)).buffer_unordered(AT_ONCE);
    ended.filter_map(|wrong| async { wrong }).collect().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_hostile_component_ends_in_its_typed_error_and_leaves_nothing_behind() {
    windlass::serve::return_large_buffers();
    let suite = Suite::start(Duration::from_millis(200), Duration::from_secs(3)).await;
    let count = suite.hostile.len();
    println!("{count} hostile components");
    assert!(count >= AT_LEAST, "{count} hostile components");
    // As in a server, somebody takes what is recorded.
    let mut recordings = suite.plugins.recordings().expect("nobody else takes them");
    let keeper = tokio::spawn(async move { while recordings.next().await.is_some() {} });
    let is_over = Arc::new(AtomicBool::new(false));
    let neighbour = tokio::spawn(work(suite.plugins.clone(), is_over.clone()));
    // Once for what every process takes once: threads and their stacks, tables, caches.
    let wrong = attack(&suite).await;
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    let before = own_memory_kb();
    let wrong = attack(&suite).await;
    assert!(wrong.is_empty(), "the second time: {}", wrong.join("\n"));
    let after = own_memory_kb();
    is_over.store(true, Ordering::Relaxed);
    let answers = neighbour.await.expect("the neighbour");
    keeper.abort();
    println!("{answers} answers of the neighbour meanwhile; {before} KiB before, {after} KiB after");
    assert!(answers > 100, "{answers} answers of the neighbour");
    assert!(after <= before + LEFT_BEHIND_KB, "{before} KiB before, {after} KiB after");
}
