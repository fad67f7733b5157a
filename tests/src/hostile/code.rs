//! Code that does not end, takes what it can get, or falls over.

use windlass::domain::plugin::{Ability, PluginKind};

use super::{Act, End, Hostile};
use crate::guests::{ANSWER, Guest};

pub(super) const LOOP: &str = "(loop $endless (br $endless)) unreachable";
const GOOD: &str = "i32.const 4096";
const AFTERWARDS: &str =
    "(func (export \"cabi_post_windlass:deployment-strategy/strategy@0.1.0#decide\") (param i32)";

pub(super) fn all() -> Vec<Hostile> {
    let mut all = endless();
    all.extend(greedy());
    all.extend(trapping());
    all.extend(everywhere());
    all.push(forgetful());
    all
}

pub(super) fn strategy(body: &str) -> Guest {
    assert_eq!(ANSWER, 4096, "the bodies here answer there");
    Guest::strategy("unnamed", body)
}

fn endless() -> Vec<Hostile> {
    let good = || strategy(GOOD);
    let begin = format!("(func $begin {LOOP}) (start $begin)");
    let copying =
        "(loop $l (memory.copy (i32.const 0) (i32.const 65536) (i32.const 58000000)) (br $l)) unreachable";
    let logging = "(loop $l (call $log (i32.const 4) (i32.const 2048) (i32.const 8) (i32.const 0) (i32.const 0)) (br $l))
        unreachable";
    let deciding = |does, guest: Guest| Hostile::new(does, &guest, Act::Decide, End::Processor);
    vec![
        deciding("loops without end", strategy(LOOP)),
        Hostile::new(
            "loops without end in validate",
            &good().validating(LOOP),
            Act::Validate,
            End::Processor,
        ),
        Hostile::new("loops without end over a webhook", &Guest::forge("", LOOP), Act::Parse, End::Processor),
        Hostile::new(
            "loops without end in describe",
            &good().describing(LOOP),
            Act::Load,
            End::Load("was stopped after"),
        ),
        Hostile::new(
            "loops without end as it starts",
            &good().with_functions(&begin),
            Act::Load,
            End::Load("was stopped after"),
        ),
        deciding("loops without end when it is given memory", good().reallocating(LOOP)),
        deciding(
            "loops without end after its answer",
            good().with_functions(&format!("{AFTERWARDS} {LOOP})")),
        ),
        deciding("copies its memory without end", strategy(copying).with_pages(900)),
        Hostile::new("floods the log", &Guest::forge("", logging).with_log(), Act::Parse, End::Processor),
    ]
}

fn greedy() -> Vec<Hostile> {
    let grow = "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable";
    let table = "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable";
    let memories: String = (0..8).map(|n| format!("(memory $more{n} 1)")).collect();
    // 60 MiB of zeros: as one message, and as four million pairs of nothing.
    let giant = |message: &str, fields: &str| {
        let body = format!("(call $log (i32.const 4) (i32.const 0) {message} (i32.const 0) {fields}) {GOOD}");
        Guest::forge("", &body).with_log().with_pages(960)
    };
    vec![
        Hostile::new("grows without end", &strategy(grow), Act::Decide, End::Memory),
        Hostile::new(
            "wants too much memory from the start",
            &strategy(GOOD).with_pages(2000),
            Act::Load,
            End::Load("memory"),
        ),
        Hostile::new(
            "wants more memories than one has",
            &strategy(GOOD).with_functions(&memories),
            Act::Load,
            End::Load("memor"),
        ),
        Hostile::new(
            "grows its table without end",
            &strategy(table).with_functions("(table $t 1 funcref)"),
            Act::Decide,
            End::Trap("unreachable"),
        ),
        Hostile::new(
            "wants a giant table from the start",
            &strategy(GOOD).with_functions("(table $t 100000000 funcref)"),
            Act::Load,
            End::Load("table"),
        ),
        Hostile::new(
            "logs a message of sixty megabytes",
            &giant("(i32.const 60000000)", "(i32.const 0)"),
            Act::Parse,
            End::Nonsense("too much data"),
        ),
        Hostile::new(
            "logs millions of fields",
            &giant("(i32.const 1)", "(i32.const 3000000)"),
            Act::Parse,
            End::Nonsense("too much data"),
        ),
    ]
}

fn trapping() -> Vec<Hostile> {
    let deep = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    let deeply = strategy("(call $deep (i32.const 0))").with_functions(deep);
    let nothing = "(table $nothing 1 funcref) (type $plain (func (result i32)))";
    let trap = |does, guest: Guest, why| Hostile::new(does, &guest, Act::Decide, End::Trap(why));
    vec![
        Hostile::new(
            "calls itself without end in describe",
            &strategy(GOOD).with_functions(deep).describing("(call $deep (i32.const 0))"),
            Act::Load,
            End::Load("call stack exhausted"),
        ),
        trap("calls itself without end", deeply, "call stack exhausted"),
        trap("gives up at once", strategy("unreachable"), "unreachable"),
        trap("divides by nothing", strategy("(i32.div_u (i32.const 1) (i32.const 0))"), "divide by zero"),
        trap("reads beyond its memory", strategy("(i32.load (i32.const -8))"), "out of bounds"),
        trap(
            "writes beyond its memory",
            strategy("(i64.store (i32.const -8) (i64.const 7)) unreachable"),
            "out of bounds",
        ),
        trap("makes a number of infinity", strategy("(i32.trunc_f64_s (f64.const inf))"), "integer overflow"),
        trap(
            "calls what is no function",
            strategy("(call_indirect $nothing (type $plain) (i32.const 0))").with_functions(nothing),
            "uninitialized element",
        ),
        trap("traps when it is given memory", strategy(GOOD).reallocating("unreachable"), "unreachable"),
        trap(
            "traps after its answer",
            strategy(GOOD).with_functions(&format!("{AFTERWARDS} unreachable)")),
            "unreachable",
        ),
        Hostile::new(
            "traps in describe",
            &strategy(GOOD).describing("unreachable"),
            Act::Load,
            End::Load("trapped"),
        ),
        Hostile::new(
            "traps as it starts",
            &strategy(GOOD).with_functions("(func $begin unreachable) (start $begin)"),
            Act::Load,
            End::Load("trapped"),
        ),
    ]
}

/// One of each kind with everything that is optional; every function of it traps.
fn everywhere() -> Vec<Hostile> {
    let kinds = [
        ("traps wherever a provider is called", PluginKind::CiProvider),
        ("traps wherever a forge is called", PluginKind::GitForge),
        ("traps wherever a generator is called", PluginKind::PipelineGenerator),
        ("traps wherever a planner is called", PluginKind::BuildPlanner),
        ("traps wherever a strategy is called", PluginKind::DeploymentStrategy),
        ("traps wherever a notifier is called", PluginKind::Notifier),
    ];
    let of_kind = |(does, kind): (&'static str, PluginKind)| {
        let optional =
            Ability::ALL.into_iter().filter(|ability| ability.kind() == kind).map(Ability::interface);
        let interfaces: Vec<String> =
            [kind.interface().to_owned()].into_iter().chain(optional).map(|name| name + "@0.1.0").collect();
        let names: Vec<&str> = interfaces.iter().map(String::as_str).collect();
        let guest = Guest::trapping(does, kind.as_str(), &names);
        let is_delivered_to = matches!(kind, PluginKind::CiProvider | PluginKind::GitForge);
        let guest = if is_delivered_to { guest.with_webhooks() } else { guest };
        Hostile::new(does, &guest, Act::Everything(kind), End::Trap("unreachable"))
    };
    kinds.map(of_kind).into()
}

/// It keeps what it was given in a global and in its memory. Where it finds something of an earlier call, it answers.
fn forgetful() -> Hostile {
    let body = format!(
        "(if (i32.or (global.get $kept) (i32.load (i32.const 9000))) (then (return (i32.const {ANSWER}))))
         (global.set $kept (i32.const 1)) (i32.store (i32.const 9000) (i32.const 1)) unreachable"
    );
    let guest = Guest::forge("", &body).with_functions("(global $kept (mut i32) (i32.const 0))");
    Hostile::new("keeps what one tenant gave it for another", &guest, Act::Parse, End::Trap("unreachable"))
}
