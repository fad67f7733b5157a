//! Who is put into the worlds: a strategy of this crate's trait, or whatever else can be asked like one.

use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};

use crate::Problem;
use crate::strategy::{Situation, Stack, Step, Strategy};

/// A strategy as the simulator asks it. An error says in words why there is no answer.
pub trait Subject: Sync {
    fn validate(&self, params: &str, stack: &Stack) -> Result<Vec<Problem>, String>;

    fn decide(&self, memory: &[u8], situation: &Situation) -> Result<Step, String>;
}

/// A strategy compiled into the test.
pub struct Native<T>(PhantomData<fn() -> T>);

impl<T> Default for Native<T> {
    fn default() -> Self {
        Self(PhantomData)
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
}

fn panicked() -> String {
    "it panicked; the message is above".to_owned()
}
