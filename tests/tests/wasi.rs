//! WASI preview 2 has nothing behind it: what a component gets of it follows from the call's arguments.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use windlass::plugins::{Plugins, Settings};
use windlass_tests::guests::{ANSWER, Guest, trusted};
use windlass_tests::sample::situation;

async fn start(name: &str, guest: &Guest) -> (Plugins, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("guest.wasm");
    guest.write(&path);
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.sources.push(trusted(name, path));
    (Plugins::start(settings).await.expect("the engine starts"), folder)
}

async fn progress(plugins: &Plugins, name: &str, memory: &[u8]) -> u8 {
    plugins.strategy_decide(name, memory.to_vec(), &situation()).await.expect("a step").progress
}

/// A strategy that answers with a progress: byte 24 of a good answer.
fn strategy(name: &str, before: &str, value: &str) -> Guest {
    let body = format!("{before} (i32.store8 (i32.const {}) {value}) i32.const {ANSWER}", ANSWER + 24);
    Guest::strategy(name, &body)
}

const CLOCKS: &str = "package wasi:clocks@0.2.6;
    interface monotonic-clock {
        use wasi:io/poll@0.2.6.{pollable};
        now: func() -> u64;
        subscribe-duration: func(nanoseconds: u64) -> pollable;
    }
    interface wall-clock {
        record datetime { seconds: u64, nanoseconds: u32 }
        now: func() -> datetime;
    }";
const IO: &str = "package wasi:io@0.2.6;
    interface error { resource error; }
    interface poll {
        resource pollable { block: func(); ready: func() -> bool; }
        poll: func(pollables: list<borrow<pollable>>) -> list<u32>;
    }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
    }";

fn with_clock(guest: Guest) -> Guest {
    guest
        .with_import(
            "(import \"wasi:io/poll@0.2.6\" \"[method]pollable.block\" (func $block (param i32)))
             (import \"wasi:io/poll@0.2.6\" \"[method]pollable.ready\" (func $ready (param i32) (result i32)))
             (import \"wasi:io/poll@0.2.6\" \"poll\" (func $poll (param i32 i32 i32)))",
            "import wasi:io/poll@0.2.6;",
            Some(IO),
        )
        .with_import(
            "(import \"wasi:clocks/monotonic-clock@0.2.6\" \"now\" (func $now (result i64)))
             (import \"wasi:clocks/monotonic-clock@0.2.6\" \"subscribe-duration\" (func $sleep (param i64) (result i32)))
             (import \"wasi:clocks/wall-clock@0.2.6\" \"now\" (func $wall (param i32)))",
            "import wasi:clocks/monotonic-clock@0.2.6; import wasi:clocks/wall-clock@0.2.6;",
            Some(CLOCKS),
        )
}

#[tokio::test]
async fn random_numbers_follow_from_the_arguments() {
    let random = "(i32.wrap_i64 (i64.rem_u (call $random) (i64.const 101)))";
    let guest = strategy("random", "(drop (call $random))", random).with_import(
        "(import \"wasi:random/random@0.2.6\" \"get-random-u64\" (func $random (result i64)))",
        "import wasi:random/random@0.2.6;",
        Some("package wasi:random@0.2.6; interface random { get-random-u64: func() -> u64; }"),
    );
    let (plugins, _folder) = start("random", &guest).await;
    let mut different = Vec::new();
    for memory in 0..8u8 {
        let first = progress(&plugins, "random", &[memory]).await;
        assert_eq!(progress(&plugins, "random", &[memory]).await, first);
        different.push(first);
    }
    different.dedup();
    assert!(different.len() > 4, "{different:?}");
}

#[tokio::test]
async fn sleeping_moves_the_clock_and_takes_no_time() {
    let hour = 3_600_000_000_000u64;
    // 1 if the clock moved by an hour, and by little more.
    let moved = format!(
        "(i32.and (i64.ge_u (i64.sub (call $now) (global.get $began)) (i64.const {hour}))
                  (i64.lt_u (i64.sub (call $now) (global.get $began)) (i64.const {})))",
        hour + 1_000_000
    );
    let nap = format!("(global.set $began (call $now)) (call $block (call $sleep (i64.const {hour})))");
    let guest = with_clock(strategy("nap", &nap, &moved)).with_import(
        "(global $began (mut i64) (i64.const 0))",
        "",
        None,
    );
    let (plugins, _folder) = start("nap", &guest).await;
    let started = Instant::now();
    assert_eq!(progress(&plugins, "nap", b"").await, 1);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn of_two_sleeps_the_shorter_one_ends_first() {
    let (pollables, ready) = (7000, 7100);
    // Sleeps of an hour and a second are polled together: 10 for one that is ready, 1 for the second.
    let both = format!(
        "(i32.store (i32.const {pollables}) (call $sleep (i64.const 3600000000000)))
         (i32.store (i32.const {}) (call $sleep (i64.const 1000000000)))
         (call $poll (i32.const {pollables}) (i32.const 2) (i32.const {ready}))",
        pollables + 4
    );
    let value = format!(
        "(i32.add (i32.mul (i32.const 10) (i32.load (i32.const {})))
           (i32.add (i32.load (i32.load (i32.const {ready})))
             (i32.mul (i32.const 50) (call $ready (i32.load (i32.const {pollables}))))))",
        ready + 4
    );
    let (plugins, _folder) = start("both", &with_clock(strategy("both", &both, &value))).await;
    assert_eq!(progress(&plugins, "both", b"").await, 11);
}

#[tokio::test]
async fn the_wall_clock_begins_at_the_same_moment_in_each_call() {
    let wall = "(call $wall (i32.const 7000))";
    let value = "(i64.eq (i64.load (i32.const 7000)) (i64.const 1767225600))";
    let (plugins, _folder) = start("wall", &with_clock(strategy("wall", wall, value))).await;
    for _ in 0..2 {
        assert_eq!(progress(&plugins, "wall", b"").await, 1);
    }
}

#[tokio::test]
async fn there_are_no_variables_arguments_or_files() {
    // The length of each list; all have to be zero.
    let ask = "(call $env (i32.const 7000)) (call $args (i32.const 7008)) (call $files (i32.const 7016))";
    let value = "(i32.add (i32.const 1)
        (i32.add (i32.load (i32.const 7004)) (i32.add (i32.load (i32.const 7012)) (i32.load (i32.const 7020)))))";
    let guest = strategy("bare", ask, value)
        .with_import(
            "(import \"wasi:cli/environment@0.2.6\" \"get-environment\" (func $env (param i32)))
             (import \"wasi:cli/environment@0.2.6\" \"get-arguments\" (func $args (param i32)))",
            "import wasi:cli/environment@0.2.6;",
            Some(
                "package wasi:cli@0.2.6; interface environment {
                    get-environment: func() -> list<tuple<string, string>>;
                    get-arguments: func() -> list<string>;
                }",
            ),
        )
        .with_import(
            "(import \"wasi:filesystem/preopens@0.2.6\" \"get-directories\" (func $files (param i32)))",
            "import wasi:filesystem/preopens@0.2.6;",
            Some(
                "package wasi:filesystem@0.2.6;
                 interface types { resource descriptor; }
                 interface preopens {
                    use types.{descriptor};
                    get-directories: func() -> list<tuple<descriptor, string>>;
                 }",
            ),
        );
    let (plugins, _folder) = start("bare", &guest).await;
    assert_eq!(progress(&plugins, "bare", b"").await, 1);
}

#[tokio::test]
async fn what_is_written_to_standard_output_is_taken_without_end() {
    // Two hundred times 4 KiB: far more than is kept.
    let write = "(global.set $count (i32.const 200))
        (global.set $stream (call $stdout))
        (loop $again
          (call $write (global.get $stream) (i32.const 20000) (i32.const 4096) (i32.const 7000))
          (if (i32.load8_u (i32.const 7000)) (then unreachable))
          (global.set $count (i32.sub (global.get $count) (i32.const 1)))
          (br_if $again (global.get $count)))";
    let guest = strategy("chatty", write, "(i32.const 1)")
        .with_import(
            "(import \"wasi:io/streams@0.2.6\" \"[method]output-stream.blocking-write-and-flush\"
               (func $write (param i32 i32 i32 i32)))",
            "import wasi:io/streams@0.2.6;",
            Some(IO),
        )
        .with_import(
            "(import \"wasi:cli/stdout@0.2.6\" \"get-stdout\" (func $stdout (result i32)))
             (global $stream (mut i32) (i32.const 0))",
            "import wasi:cli/stdout@0.2.6;",
            Some(
                "package wasi:cli@0.2.6; interface stdout {
                    use wasi:io/streams@0.2.6.{output-stream};
                    get-stdout: func() -> output-stream;
                }",
            ),
        );
    let (plugins, _folder) = start("chatty", &guest).await;
    assert_eq!(progress(&plugins, "chatty", b"").await, 1);
}

#[tokio::test]
async fn a_pure_kind_cannot_send_by_another_door() {
    let guest = strategy("sly", "", "(i32.const 1)").with_import(
        "(import \"wasi:http/types@0.2.6\" \"probe\" (func $probe))",
        "import wasi:http/types@0.2.6;",
        Some("package wasi:http@0.2.6; interface types { probe: func(); }"),
    );
    let (plugins, _folder) = start("sly", &guest).await;
    let error = plugins.inspect("sly").expect("it is listed").error.expect("it is refused");
    assert!(
        error.contains("wasi:http/types@0.2.6") && error.contains("no plugin of its kind may send"),
        "{error}"
    );
}
