//! Strategies that order the same at every call, or something else once both releases run, laid out by hand as the canonical
//! ABI wants a step.

use std::fmt::Write as _;

use crate::guests::{ANSWER, Guest};

/// In an order, the release that is rolled out.
pub const TARGET: &str = "$target";
/// In an order, the release that served when the rollout began.
pub const STABLE: &str = "$stable";

const TEXTS: usize = 8_192;
const ACTIONS: usize = 12_288;
const WEIGHTS: usize = 16_384;
/// Bytes of an action.
const ACTION: usize = 16;
/// Where a call's arguments have the target's id, the stable release's, and the fleet.
const TARGET_ID: usize = 64;
const STABLE_ID: usize = 112;
const FLEET: usize = 184;
/// Bytes of an instance, and where it has its state.
const INSTANCE: usize = 56;
const STATE: usize = 16;
const HEALTHY: usize = 1;
/// Where the answer has the address of its actions, and after it how many there are.
const ACTIONS_OF_ANSWER: usize = ANSWER + 28;

/// What such a strategy orders.
#[derive(Clone, Copy)]
pub enum Order<'a> {
    Scale(&'a str, u32),
    Route(&'a [(&'a str, u32)]),
    Drain(&'a str),
    Succeed,
    Fail(&'a str),
    Other(&'a str),
}

#[derive(Default)]
struct Memory {
    texts: Vec<u8>,
    actions: Vec<u8>,
    weights: Vec<u8>,
    /// What puts the ids of a rollout's releases where the orders name them.
    naming: String,
}

impl Memory {
    /// The address and length of a text.
    fn text(&mut self, text: &str) -> [u32; 2] {
        let at = TEXTS + self.texts.len();
        self.texts.extend_from_slice(text.as_bytes());
        [at as u32, text.len() as u32]
    }

    /// The address and length of a release's id, which lie at `at`. Those of the rollout are known when it runs.
    fn release(&mut self, name: &str, at: usize) -> [u32; 2] {
        let known = match name {
            TARGET => TARGET_ID,
            STABLE => STABLE_ID,
            _ => return self.text(name),
        };
        for word in [0, 4] {
            let (to, from) = (at + word, known + word);
            let _ =
                write!(self.naming, "(i32.store (i32.const {to}) (i32.load offset={from} (local.get 0)))");
        }
        [0, 0]
    }

    /// Where the first word of the next action will lie.
    fn next_word(&self) -> usize {
        ACTIONS + self.actions.len() + 4
    }

    /// One case of `action`: its number, and three words.
    fn action(&mut self, case: u32, words: [u32; 3]) {
        for word in [case, words[0], words[1], words[2]] {
            self.actions.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn order(&mut self, order: Order<'_>) {
        match order {
            Order::Scale(release, count) => {
                let [at, len] = self.release(release, self.next_word());
                self.action(0, [at, len, count]);
            }
            Order::Route(weights) => {
                let first = (WEIGHTS + self.weights.len()) as u32;
                for &(release, percent) in weights {
                    let [at, len] = self.release(release, WEIGHTS + self.weights.len());
                    for word in [at, len, percent] {
                        self.weights.extend_from_slice(&word.to_le_bytes());
                    }
                }
                self.action(1, [first, weights.len() as u32, 0]);
            }
            Order::Drain(release) => {
                let [at, len] = self.release(release, self.next_word());
                self.action(2, [at, len, 0]);
            }
            // Cases of `outcome`: 0 is success, 2 is failure with a reason.
            Order::Succeed => self.action(5, [0, 0, 0]),
            Order::Fail(reason) => {
                let [at, len] = self.text(reason);
                self.action(5, [2, at, len]);
            }
            Order::Other(name) => {
                let [at, len] = self.text(name);
                self.action(6, [at, len, 0]);
            }
        }
    }
}

/// A strategy whose every step has these orders. `body` runs first and may change the answer.
pub fn strategy_ordering(name: &str, orders: &[Order<'_>], body: &str) -> Guest {
    laid_out(name, orders, orders.len(), body)
}

/// A strategy that orders `first`, and `then` as soon as two instances are healthy and there is no other.
pub fn strategy_turning(name: &str, first: &[Order<'_>], then: &[Order<'_>]) -> Guest {
    let is_healthy = |number: usize| {
        let state = number * INSTANCE + STATE;
        let fleet = format!("(i32.load offset={FLEET} (local.get 0))");
        format!("(i32.eq (i32.load8_u offset={state} {fleet}) (i32.const {HEALTHY}))")
    };
    let are_two = format!("(i32.eq (i32.load offset={} (local.get 0)) (i32.const 2))", FLEET + 4);
    let put = |at: usize, word: usize| format!("(i32.store (i32.const {at}) (i32.const {word}))");
    // Of fewer instances nothing may be read.
    let body = format!(
        "(if {are_two} (then (if (i32.and {} {}) (then {} {}))))",
        is_healthy(0),
        is_healthy(1),
        put(ACTIONS_OF_ANSWER, ACTIONS + first.len() * ACTION),
        put(ACTIONS_OF_ANSWER + 4, then.len()),
    );
    laid_out(name, &[first, then].concat(), first.len(), &body)
}

/// A strategy whose steps have the first so many of these orders, unless `body` changes that.
fn laid_out(name: &str, orders: &[Order<'_>], count: usize, body: &str) -> Guest {
    let mut memory = Memory::default();
    let label = memory.text("Going on");
    for order in orders {
        memory.order(*order);
    }
    // `ok`; an empty memory; the label; no progress; the actions; wake after a second.
    let words = [0, 0, 0, 0, label[0], label[1], 0, ACTIONS as u32, count as u32, 0, 1, 0, 1_000, 0];
    let step: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let body = format!("{} {body} i32.const {ANSWER}", memory.naming);
    let guest = Guest::strategy(name, &body).with_data(ANSWER, step);
    let parts = [(TEXTS, memory.texts), (ACTIONS, memory.actions), (WEIGHTS, memory.weights)];
    parts.into_iter().fold(guest, |guest, (at, bytes)| guest.with_data(at, bytes))
}
