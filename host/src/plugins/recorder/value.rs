//! The contract's JSON as values of wasmtime and back, by the types that a component has itself.
//!
//! A replay works with these, so it needs no code per kind: what the component exports says how to read a recording.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeTuple, Serializer};
use serde_json::Value;
use wasmtime::component::Val;
use wasmtime::component::types::{Case, Type};

/// What of a recording does not fit the component's types.
#[derive(Debug)]
pub(in crate::plugins) struct Misfit(pub(in crate::plugins) String);

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn misfit<T>(wanted: &str, found: &Value) -> Result<T, Misfit> {
    let mut found = found.to_string();
    if let Some((at, _)) = found.char_indices().nth(80) {
        found.truncate(at);
        found.push('…');
    }
    Err(Misfit(format!("{wanted} is expected, and there is {found}")))
}

/// Names are compared by their letters and digits: Rust's and the contract's differ in the rest.
fn is_name(a: &str, b: &str) -> bool {
    let letters = |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    a == b || letters(a).eq_ignore_ascii_case(&letters(b))
}

/// Reads a value of the type.
pub(in crate::plugins) fn read(ty: &Type, json: &Value) -> Result<Val, Misfit> {
    Ok(match ty {
        Type::Bool => Val::Bool(json.as_bool().map_or_else(|| misfit("true or false", json), Ok)?),
        Type::S8 => Val::S8(integer(json)?),
        Type::U8 => Val::U8(integer(json)?),
        Type::S16 => Val::S16(integer(json)?),
        Type::U16 => Val::U16(integer(json)?),
        Type::S32 => Val::S32(integer(json)?),
        Type::U32 => Val::U32(integer(json)?),
        Type::S64 => Val::S64(integer(json)?),
        Type::U64 => Val::U64(integer(json)?),
        #[allow(clippy::cast_possible_truncation, reason = "it was written from an f32")]
        Type::Float32 => Val::Float32(float(json)? as f32),
        Type::Float64 => Val::Float64(float(json)?),
        Type::Char => match json.as_str().map(|text| (text.chars().next(), text.chars().count())) {
            Some((Some(c), 1)) => Val::Char(c),
            _ => return misfit("one character", json),
        },
        Type::String => Val::String(json.as_str().map_or_else(|| misfit("a text", json), Ok)?.to_owned()),
        Type::List(list) => match (list.ty(), json) {
            (Type::U8, Value::Object(_)) => Val::List(bytes(json)?.into_iter().map(Val::U8).collect()),
            (ty, _) => Val::List(items(json)?.iter().map(|item| read(&ty, item)).collect::<Result<_, _>>()?),
        },
        Type::Record(record) => {
            let Some(object) = json.as_object() else { return misfit("a record", json) };
            let field = |name: &str, ty: &Type| {
                let found = object.iter().find(|(key, _)| is_name(key, name)).map(|(_, value)| value);
                // A field that may be absent may be left out.
                let value = found.unwrap_or(&Value::Null);
                let value = read(ty, value).map_err(|Misfit(why)| Misfit(format!("{name}: {why}")))?;
                Ok((name.to_owned(), value))
            };
            Val::Record(
                record.fields().map(|part| field(part.name, &part.ty)).collect::<Result<_, Misfit>>()?,
            )
        }
        Type::Tuple(tuple) => Val::Tuple(tuple_items(tuple.types(), json)?),
        Type::Variant(variant) => case(variant.cases(), json)?,
        Type::Enum(names) => {
            let word = json.as_str().unwrap_or_default();
            match names.names().find(|name| is_name(name, word)) {
                Some(name) => Val::Enum(name.to_owned()),
                None => return misfit("one of the words of an enum", json),
            }
        }
        Type::Option(option) => match json {
            Value::Null => Val::Option(None),
            some => Val::Option(Some(Box::new(read(&option.ty(), some)?))),
        },
        Type::Result(result) => match single(json) {
            Some(("ok", value)) => Val::Result(Ok(payload(result.ok(), value)?)),
            Some(("err", value)) => Val::Result(Err(payload(result.err(), value)?)),
            _ => return misfit("`ok` or `err`", json),
        },
        Type::Flags(flags) => {
            let words: Vec<&str> = items(json)?.iter().filter_map(Value::as_str).collect();
            let set = flags.names().filter(|name| words.iter().any(|word| is_name(name, word)));
            Val::Flags(set.map(str::to_owned).collect())
        }
        _ => return misfit("a value without resources and streams", json),
    })
}

/// The values of a parameter list or a tuple.
pub(in crate::plugins) fn tuple_items(
    types: impl ExactSizeIterator<Item = Type>,
    json: &Value,
) -> Result<Vec<Val>, Misfit> {
    let items = items(json)?;
    if items.len() != types.len() {
        return misfit(&format!("a list of {} values", types.len()), json);
    }
    types.zip(items).map(|(ty, item)| read(&ty, item)).collect()
}

fn items(json: &Value) -> Result<&Vec<Value>, Misfit> {
    json.as_array().map_or_else(|| misfit("a list", json), Ok)
}

fn integer<T: TryFrom<i128>>(json: &Value) -> Result<T, Misfit> {
    let wide = json.as_u64().map(i128::from).or_else(|| json.as_i64().map(i128::from));
    let value = wide.and_then(|wide| T::try_from(wide).ok());
    value.map_or_else(|| misfit("a whole number in its range", json), Ok)
}

fn float(json: &Value) -> Result<f64, Misfit> {
    let words = || json.as_str().and_then(|text| text.parse().ok());
    json.as_f64().or_else(words).map_or_else(|| misfit("a number", json), Ok)
}

pub(super) fn bytes(json: &Value) -> Result<Vec<u8>, Misfit> {
    if json.as_array().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let decoded = match single(json) {
        Some(("text", Value::String(text))) => Some(text.clone().into_bytes()),
        Some(("base64", Value::String(text))) => STANDARD.decode(text).ok(),
        _ => None,
    };
    decoded.map_or_else(|| misfit("bytes as `text` or `base64`", json), Ok)
}

/// `{"name": value}`.
pub(super) fn single(json: &Value) -> Option<(&str, &Value)> {
    let object = json.as_object().filter(|object| object.len() == 1)?;
    object.iter().next().map(|(name, value)| (name.as_str(), value))
}

fn case<'a>(mut cases: impl Iterator<Item = Case<'a>>, json: &Value) -> Result<Val, Misfit> {
    let (name, value) = match json {
        Value::String(name) => (name.as_str(), &Value::Null),
        other => single(other).map_or_else(|| misfit("one case of a variant", json), Ok)?,
    };
    match cases.find(|case| is_name(case.name, name)) {
        Some(case) => Ok(Val::Variant(case.name.to_owned(), payload(case.ty, value)?)),
        None => misfit("a case of the variant", json),
    }
}

fn payload(ty: Option<Type>, json: &Value) -> Result<Option<Box<Val>>, Misfit> {
    ty.map(|ty| read(&ty, json).map(Box::new)).transpose()
}

/// A value that is written as `bindgen!`'s types are.
pub(in crate::plugins) struct Shown<'a>(pub(in crate::plugins) &'a Val);

/// A list of parameters.
pub(in crate::plugins) struct ShownAll<'a>(pub(in crate::plugins) &'a [Val]);

impl Serialize for ShownAll<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut tuple = to.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|item| tuple.serialize_element(&Shown(item)))?;
        tuple.end()
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Val::Bool(value) => to.serialize_bool(*value),
            Val::S8(value) => to.serialize_i8(*value),
            Val::U8(value) => to.serialize_u8(*value),
            Val::S16(value) => to.serialize_i16(*value),
            Val::U16(value) => to.serialize_u16(*value),
            Val::S32(value) => to.serialize_i32(*value),
            Val::U32(value) => to.serialize_u32(*value),
            Val::S64(value) => to.serialize_i64(*value),
            Val::U64(value) => to.serialize_u64(*value),
            Val::Float32(value) => to.serialize_f32(*value),
            Val::Float64(value) => to.serialize_f64(*value),
            Val::Char(value) => to.serialize_char(*value),
            Val::String(value) | Val::Enum(value) | Val::Variant(value, None) => to.serialize_str(value),
            Val::List(items) => to.collect_seq(items.iter().map(Shown)),
            Val::Tuple(items) | Val::FixedLengthList(items) => ShownAll(items).serialize(to),
            Val::Record(fields) => to.collect_map(fields.iter().map(|(name, value)| (name, Shown(value)))),
            Val::Variant(name, Some(value)) => named(to, name, Some(value)),
            Val::Option(None) => to.serialize_none(),
            Val::Option(Some(value)) => to.serialize_some(&Shown(value)),
            Val::Result(Ok(value)) => named(to, "ok", value.as_deref()),
            Val::Result(Err(value)) => named(to, "err", value.as_deref()),
            Val::Flags(names) => to.collect_seq(names),
            Val::Map(entries) => {
                to.collect_seq(entries.iter().map(|(key, value)| (Shown(key), Shown(value))))
            }
            Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => to.serialize_unit(),
        }
    }
}

fn named<S: Serializer>(to: S, name: &str, value: Option<&Val>) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry(name, &value.map(Shown))?;
    map.end()
}
