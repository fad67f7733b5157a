//! Answers that no plugin gives: out of bounds, against the contract, or too much of it.

use super::code::strategy;
use super::{Act, End, Hostile};
use crate::guests::{ANSWER, Guest, Layout};

/// Where longer answers lie, behind what the host is given memory for.
const FAR: usize = 1 << 20;
/// Offsets of a step in `result<step, failure>`.
const MEMORY: usize = 8;
const LABEL: usize = 16;
const PROGRESS: usize = 24;
const ACTIONS: usize = 28;

pub(super) fn all() -> Vec<Hostile> {
    let mut all = wrong();
    all.extend(giant());
    all.extend(failures());
    all
}

/// Answers with a step in which these words are not zero.
fn step(words: &[(usize, u32)]) -> Guest {
    let stores: String = words
        .iter()
        .map(|(offset, word)| format!("(i32.store (i32.const {}) (i32.const {word}))", ANSWER + offset))
        .collect();
    strategy(&format!("{stores} i32.const {ANSWER}"))
}

fn wrong() -> Vec<Hostile> {
    let nonsense = |does, guest: Guest, why| Hostile::new(does, &guest, Act::Decide, End::Nonsense(why));
    let text = |bytes: &[u8]| {
        step(&[(LABEL, 9000), (LABEL + 4, bytes.len() as u32)]).with_data(9000, bytes.to_vec())
    };
    let mut outcome = Layout::at(FAR);
    let word = outcome.text("maybe");
    let finish = outcome.records(&[vec![5, 3, word[0], word[1]]]);
    let mut name = Layout::at(FAR);
    let word = name.text("r1\nr2");
    let drain = name.records(&[vec![2, word[0], word[1], 0]]);
    let acting = |actions: [usize; 2], bytes: Vec<u8>| {
        step(&[(ACTIONS, actions[0] as u32), (ACTIONS + 4, actions[1] as u32)])
            .with_data(FAR, bytes)
            .with_pages(20)
    };
    vec![
        nonsense("answers from beyond its memory", strategy("i32.const 0x7ffffff0"), "pointer out of bounds"),
        nonsense("answers from between two addresses", strategy("i32.const 4097"), "pointer not aligned"),
        nonsense("answers with a case that does not exist", step(&[(0, 77)]), "discriminant"),
        nonsense(
            "answers with a text from beyond its memory",
            step(&[(LABEL, u32::MAX), (LABEL + 4, 9)]),
            "out of bounds",
        ),
        nonsense("answers with a text longer than its memory", step(&[(LABEL + 4, u32::MAX)]), ""),
        nonsense("answers with text in no encoding", text(b"\xff\xfe\xfd"), "utf-8"),
        nonsense("answers with half a character", text(b"\xed\xa0\x80"), "utf-8"),
        nonsense("answers with a progress of 255", step(&[(PROGRESS, 255)]), "progress of 255"),
        nonsense("remembers more than it may", step(&[(MEMORY + 4, 65_537)]), "memory of 65537 bytes"),
        nonsense("ends in a way that nobody knows", acting(finish, outcome.bytes), "outcome `maybe`"),
        nonsense("names a release in two lines", acting(drain, name.bytes), "as a release"),
        nonsense(
            "is given memory that it does not have",
            strategy("unreachable").reallocating("i32.const -16"),
            "realloc",
        ),
        nonsense(
            "is given memory that is not aligned",
            strategy("unreachable").reallocating("i32.const 65537"),
            "realloc",
        ),
    ]
}

fn giant() -> Vec<Hostile> {
    // A thousand questions with the same megabyte, and as many routes through the same weights.
    let questions: Vec<Vec<usize>> = vec![vec![4, FAR, 1 << 20, 0]; 1000];
    let routes: Vec<Vec<usize>> = vec![vec![1, FAR, 80_000, 0]; 64];
    let repeating = |records: &[Vec<usize>]| {
        let mut layout = Layout::at(FAR << 1);
        let list = layout.records(records);
        step(&[(ACTIONS, list[0] as u32), (ACTIONS + 4, list[1] as u32)])
            .with_data(FAR << 1, layout.bytes)
            .with_pages(64)
    };
    let many = |count: u32| step(&[(ACTIONS, FAR as u32), (ACTIONS + 4, count)]).with_pages(400);
    let nonsense = |does, guest: Guest, why| Hostile::new(does, &guest, Act::Decide, End::Nonsense(why));
    vec![
        nonsense("answers with four billion actions", many(u32::MAX), ""),
        nonsense("answers with a million actions", many(1_000_000), "too much data"),
        nonsense("answers with a thousand actions", many(1000), "step of 1000 actions"),
        nonsense("asks a thousand questions of a megabyte", repeating(&questions), "too much data"),
        nonsense("routes through lists within lists", repeating(&routes), "too much data"),
        nonsense(
            "answers with a label of twenty megabytes",
            step(&[(LABEL, FAR as u32), (LABEL + 4, 20_000_000)]).with_pages(400),
            "too much data",
        ),
    ]
}

fn failures() -> Vec<Hostile> {
    // `err(failure)`, in which texts lie at FAR.
    let failing = |disposition: u32, message: &[u8], len: usize| {
        step(&[(0, 1), (8, disposition), (20, FAR as u32), (24, 4), (28, FAR as u32), (32, len as u32)])
            .with_data(FAR, message.to_vec())
            .with_pages(200)
    };
    let forged = b"boom\r\n2026-01-01 INFO all is well\x1b[2J\xe2\x80\xae".to_vec();
    let end = |code, part| End::Failure(code, part);
    vec![
        Hostile::new(
            "fails with eight megabytes of words",
            &failing(1, &b"word ".repeat(1000), 8 << 20),
            Act::Decide,
            end("word", "word word"),
        ),
        Hostile::new(
            "fails with lines that look like ours",
            &failing(1, &forged, forged.len()),
            Act::Decide,
            end("boom", "INFO all is well[2J"),
        ),
        Hostile::new(
            "fails in a way that nobody knows",
            &failing(9, b"boom", 4),
            Act::Decide,
            End::Nonsense("discriminant"),
        ),
    ]
}
