//! Who is put into the worlds: a strategy of this crate's trait, or whatever else can be asked like one.

use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};

use crate::Problem;
use crate::strategy::{Situation, Stack, Step, Strategy, Timing};

/// A strategy as the simulator asks it. An error says in words why there is no answer.
pub trait Subject: Sync {
    fn validate(&self, params: &str, stack: &Stack) -> Result<Vec<Problem>, String>;

    fn decide(&self, memory: &[u8], situation: &Situation) -> Result<Step, String>;

    /// What [`Timing`](crate::strategy::Timing) says; 0 for a strategy without it.
    fn longest_wait(&self, _params: &str, _stack: &Stack) -> Result<u64, String> {
        Ok(0)
    }
}

/// A strategy compiled into the test.
pub struct Native<T> {
    longest_wait: fn(&str, u32, u64) -> u64,
    strategy: PhantomData<fn() -> T>,
}

impl<T> Default for Native<T> {
    fn default() -> Self {
        Self { longest_wait: |_, _, _| 0, strategy: PhantomData }
    }
}

impl<T: Timing> Native<T> {
    /// One that says how long it waits.
    pub fn timed() -> Self {
        Self { longest_wait: T::longest_wait, strategy: PhantomData }
    }
}

impl<T: Strategy> Subject for Native<T> {
    fn validate(&self, params: &str, stack: &Stack) -> Result<Vec<Problem>, String> {
        panic::catch_unwind(AssertUnwindSafe(|| T::validate(params, stack))).map_err(|_| panicked())
    }

    fn decide(&self, memory: &[u8], situation: &Situation) -> Result<Step, String> {
        let decide = || T::decide(memory, situation.clone());
        let step = panic::catch_unwind(AssertUnwindSafe(decide)).map_err(|_| panicked())?;
        step.map_err(|failure| format!("it failed with `{}`: {}", failure.code, failure.message))
    }

    fn longest_wait(&self, params: &str, stack: &Stack) -> Result<u64, String> {
        let wait = || (self.longest_wait)(params, stack.replicas, stack.health_timeout_ms);
        panic::catch_unwind(wait).map_err(|_| panicked())
    }
}

fn panicked() -> String {
    "it panicked; the message is above".to_owned()
}
