//! The arguments of a call. Clients differ in how they leave the last ones out, so they are taken one by one.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use crate::error::{Error, Result};

/// Arguments before the callback.
#[derive(Debug, Default, Clone)]
pub struct Args(Vec<Value>);

impl Args {
    /// The argument at a place, which has a name for people.
    ///
    /// # Errors
    /// `Invalid` if it is missing or is something else.
    pub fn take<T: DeserializeOwned>(&mut self, place: usize, name: &str) -> Result<T> {
        let value = self.0.get_mut(place).map(Value::take).unwrap_or_default();
        if value.is_null() {
            return Err(Error::invalid(name, format!("argument {} has to be `{name}`", place + 1)));
        }
        serde_json::from_value(value)
            .map_err(|error| Error::invalid(name, format!("`{name}` is not understood: {error}")))
    }

    /// The same for one that may be left out.
    ///
    /// # Errors
    /// `Invalid` if it is something else.
    pub fn take_opt<T: DeserializeOwned>(&mut self, place: usize, name: &str) -> Result<Option<T>> {
        match self.0.get(place) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.take(place, name).map(Some),
        }
    }

    /// An id, a number or a name.
    ///
    /// # Errors
    /// `Invalid` if it is missing or is something else.
    pub fn reference(&mut self, place: usize, name: &str) -> Result<String> {
        match self.take::<Value>(place, name)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(Error::invalid(name, format!("`{name}` has to be an id, a number or a name"))),
        }
    }
}

impl<'de> Deserialize<'de> for Args {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // Only what asks for a tuple gets more than the first argument.
        deserializer.deserialize_tuple_struct("Args", 0, Collector)
    }
}

struct Collector;

impl<'de> Visitor<'de> for Collector {
    type Value = Args;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the arguments of a call")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> std::result::Result<Args, A::Error> {
        let mut args = Vec::new();
        while let Some(one) = all.next_element()? {
            args.push(one);
        }
        Ok(Args(args))
    }
}
