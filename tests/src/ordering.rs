//! Strategies that order the same at every call, laid out by hand as the canonical ABI wants a step.

use crate::guests::{ANSWER, Guest};

const TEXTS: usize = 8_192;
const ACTIONS: usize = 12_288;
const WEIGHTS: usize = 16_384;

/// What such a strategy orders.
#[derive(Clone, Copy)]
pub enum Order<'a> {
    Scale(&'a str, u32),
    RouteAll(&'a str),
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
}

impl Memory {
    /// The address and length of a text.
    fn text(&mut self, text: &str) -> [u32; 2] {
        let at = TEXTS + self.texts.len();
        self.texts.extend_from_slice(text.as_bytes());
        [at as u32, text.len() as u32]
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
                let [at, len] = self.text(release);
                self.action(0, [at, len, count]);
            }
            Order::RouteAll(release) => {
                let [at, len] = self.text(release);
                let weight = (WEIGHTS + self.weights.len()) as u32;
                for word in [at, len, 100] {
                    self.weights.extend_from_slice(&word.to_le_bytes());
                }
                self.action(1, [weight, 1, 0]);
            }
            Order::Drain(release) => {
                let [at, len] = self.text(release);
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
    let mut memory = Memory::default();
    let label = memory.text("Going on");
    for order in orders {
        memory.order(*order);
    }
    // `ok`; an empty memory; the label; no progress; the actions; wake after a second.
    let words = [0, 0, 0, 0, label[0], label[1], 0, ACTIONS as u32, orders.len() as u32, 0, 1, 0, 1_000, 0];
    let step: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let guest = Guest::strategy(name, &format!("{body} i32.const {ANSWER}")).with_data(ANSWER, step);
    let parts = [(TEXTS, memory.texts), (ACTIONS, memory.actions), (WEIGHTS, memory.weights)];
    parts.into_iter().fold(guest, |guest, (at, bytes)| guest.with_data(at, bytes))
}
