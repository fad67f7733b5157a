//! WASI has nothing behind it. These look for something there, or wear it out.

use super::code::strategy;
use super::{Act, End, Hostile};
use crate::guests::Guest;

const GOOD: &str = "i32.const 4096";
const IO: &str = "package wasi:io@0.2.6;
    interface error { resource error; }
    interface poll {
        resource pollable { block: func(); }
        poll: func(pollables: list<borrow<pollable>>) -> list<u32>;
    }
    interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
    }";
const CLOCKS: &str = "package wasi:clocks@0.2.6;
    interface monotonic-clock {
        use wasi:io/poll@0.2.6.{pollable};
        now: func() -> u64;
        subscribe-duration: func(nanoseconds: u64) -> pollable;
    }";
const SOCKETS: &str = "package wasi:sockets@0.2.6;
    interface network {
        resource network;
        enum error-code {
            unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
            not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
            remote-unreachable, connection-refused, connection-reset, connection-aborted, datagram-too-large,
            name-unresolvable, temporary-resolver-failure, permanent-resolver-failure,
        }
        enum ip-address-family { ipv4, ipv6 }
    }
    interface instance-network { use network.{network}; instance-network: func() -> network; }
    interface ip-name-lookup {
        use network.{network, error-code};
        resource resolve-address-stream;
        resolve-addresses: func(network: borrow<network>, name: string) -> result<resolve-address-stream, error-code>;
    }
    interface tcp { resource tcp-socket; }
    interface tcp-create-socket {
        use network.{error-code, ip-address-family};
        use tcp.{tcp-socket};
        create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
    }";
const ENVIRONMENT: &str = "package wasi:cli@0.2.6; interface environment { get-environment: func() -> list<tuple<string, string>>; }";
const EXIT: &str = "package wasi:cli@0.2.6; interface exit { exit: func(status: result); }";
const STDOUT: &str = "package wasi:cli@0.2.6;
    interface stdout { use wasi:io/streams@0.2.6.{output-stream}; get-stdout: func() -> output-stream; }";
const FILES: &str = "package wasi:filesystem@0.2.6;
    interface types { resource descriptor; }
    interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }";
const RANDOM: &str =
    "package wasi:random@0.2.6; interface random { get-random-bytes: func(len: u64) -> list<u8>; }";
const RESOURCES: &str =
    "package test:bomb@1.0.0; interface things { resource thing; count: func(thing: borrow<thing>) -> u32; }";

pub(super) fn all() -> Vec<Hostile> {
    let mut all = looking();
    all.extend(clocks());
    all.extend(wearing_out());
    all
}

/// Answers well where it found something, and traps where it did not: that has to be its end.
fn unless(found: &str) -> String {
    format!("(if {found} (then (return ({GOOD})))) unreachable")
}

fn looking() -> Vec<Hostile> {
    let is_some = "(i32.ne (i32.const 0) (i32.load (i32.const 7004)))";
    let is_ok = "(i32.eqz (i32.load8_u (i32.const 7000)))";
    let environment = strategy(&format!("(call $get (i32.const 7000)) {}", unless(is_some))).with_import(
        "(import \"wasi:cli/environment@0.2.6\" \"get-environment\" (func $get (param i32)))",
        "import wasi:cli/environment@0.2.6;",
        Some(ENVIRONMENT),
    );
    let files = strategy(&format!("(call $get (i32.const 7000)) {}", unless(is_some))).with_import(
        "(import \"wasi:filesystem/preopens@0.2.6\" \"get-directories\" (func $get (param i32)))",
        "import wasi:filesystem/preopens@0.2.6;",
        Some(FILES),
    );
    let socket = strategy(&format!("(call $make (i32.const 0) (i32.const 7000)) {}", unless(is_ok))).with_import(
        "(import \"wasi:sockets/tcp-create-socket@0.2.6\" \"create-tcp-socket\" (func $make (param i32 i32)))",
        "import wasi:sockets/tcp-create-socket@0.2.6;",
        Some(SOCKETS),
    );
    let name = strategy(&format!(
        "(call $resolve (call $network) (i32.const 9000) (i32.const 9) (i32.const 7000)) {}",
        unless(is_ok)
    ))
    .with_data(9000, b"localhost".to_vec())
    .with_import(
        "(import \"wasi:sockets/instance-network@0.2.6\" \"instance-network\" (func $network (result i32)))
         (import \"wasi:sockets/ip-name-lookup@0.2.6\" \"resolve-addresses\" (func $resolve (param i32 i32 i32 i32)))",
        "import wasi:sockets/instance-network@0.2.6; import wasi:sockets/ip-name-lookup@0.2.6;",
        Some(SOCKETS),
    );
    let trap = |does, guest: Guest| Hostile::new(does, &guest, Act::Decide, End::Trap("unreachable"));
    vec![
        trap("looks into the environment", environment),
        trap("looks for files", files),
        trap("opens a socket", socket),
        trap("looks up a name", name),
    ]
}

/// `$now`, `$sleep`, `$block`, `$poll` and `$drop`, over this body.
fn clocked(body: &str) -> Guest {
    strategy(body)
        .with_import(
            "(import \"wasi:io/poll@0.2.6\" \"[method]pollable.block\" (func $block (param i32)))
             (import \"wasi:io/poll@0.2.6\" \"[resource-drop]pollable\" (func $drop (param i32)))
             (import \"wasi:io/poll@0.2.6\" \"poll\" (func $poll (param i32 i32 i32)))",
            "import wasi:io/poll@0.2.6;",
            Some(IO),
        )
        .with_import(
            "(import \"wasi:clocks/monotonic-clock@0.2.6\" \"now\" (func $now (result i64)))
             (import \"wasi:clocks/monotonic-clock@0.2.6\" \"subscribe-duration\" (func $sleep (param i64) (result i32)))
             (global $at (mut i32) (i32.const 1048576))",
            "import wasi:clocks/monotonic-clock@0.2.6;",
            Some(CLOCKS),
        )
        .with_pages(40)
}

fn clocks() -> Vec<Hostile> {
    let century = "(call $sleep (i64.const 3155760000000000000))";
    // Takes two thousand sleeps and polls them over and over. The answers are all laid down in the same place, or they would
    // reach the handles where the machine is fast.
    let crowd = format!(
        "(loop $l (i32.store (global.get $at) {century}) (global.set $at (i32.add (global.get $at) (i32.const 4)))
           (br_if $l (i32.lt_u (global.get $at) (i32.const 1056576))))
         (loop $m (global.set $heap (i32.const 65536)) (call $poll (i32.const 1048576) (i32.const 2000) (i32.const 7000)) (br $m)) unreachable"
    );
    let nap = format!(
        "(loop $l (local.set 0 {century}) (call $block (local.get 0)) (call $drop (local.get 0)) (br $l)) unreachable"
    );
    let deciding = |does, body: &str, end| Hostile::new(does, &clocked(body), Act::Decide, end);
    vec![
        deciding(
            "reads the clock without end",
            "(loop $l (drop (call $now)) (br $l)) unreachable",
            End::Processor,
        ),
        deciding("sleeps for century after century", &nap, End::Processor),
        deciding("polls a crowd of sleepers", &crowd, End::Processor),
        deciding(
            "polls nothing",
            "(call $poll (i32.const 0) (i32.const 0) (i32.const 7000)) unreachable",
            End::Nonsense("empty poll list"),
        ),
        deciding(
            "takes handles without end",
            &format!("(loop $l (drop {century}) (br $l)) unreachable"),
            End::Nonsense("resource table"),
        ),
    ]
}

fn wearing_out() -> Vec<Hostile> {
    let exit = strategy("(call $exit (i32.const 0)) unreachable").with_import(
        "(import \"wasi:cli/exit@0.2.6\" \"exit\" (func $exit (param i32)))",
        "import wasi:cli/exit@0.2.6;",
        Some(EXIT),
    );
    let random = strategy("(call $random (i64.const -1) (i32.const 7000)) unreachable").with_import(
        "(import \"wasi:random/random@0.2.6\" \"get-random-bytes\" (func $random (param i64 i32)))",
        "import wasi:random/random@0.2.6;",
        Some(RANDOM),
    );
    let printing = "(loop $l (call $write (global.get $stream) (i32.const 20000) (i32.const 4096) (i32.const 7000)) (br $l))
        unreachable";
    let printing = strategy(&format!("(global.set $stream (call $stdout)) {printing}"))
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
            Some(STDOUT),
        );
    let making = strategy("(loop $l (drop (call $make (i32.const 1))) (br $l)) unreachable")
        .with_import(
            "(import \"[export]test:bomb/things@1.0.0\" \"[resource-new]thing\" (func $make (param i32) (result i32)))",
            "export test:bomb/things@1.0.0;",
            Some(RESOURCES),
        )
        .with_functions("(func (export \"test:bomb/things@1.0.0#count\") (param i32) (result i32) i32.const 0)");
    vec![
        Hostile::new("ends the process", &exit, Act::Decide, End::Nonsense("exit")),
        Hostile::new(
            "wants all random numbers there are",
            &random,
            Act::Decide,
            End::Nonsense("exceeds limit"),
        ),
        Hostile::new("floods its standard output", &printing, Act::Decide, End::Processor),
        Hostile::new(
            "makes things of its own without end",
            &making,
            Act::Decide,
            End::Nonsense("handle limit"),
        ),
    ]
}
