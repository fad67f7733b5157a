//! YAML files that people write: read strictly, with the line and column of what is wrong.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::error::{Error, Result};

/// Larger files are refused before they are read.
pub const LARGEST: usize = 1 << 20;

/// Reads a file; `name` is what its errors begin with.
///
/// # Errors
/// `Invalid`, as `windlass.yaml:3:5: unknown field …`.
pub fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T> {
    if text.len() > LARGEST {
        return Err(Error::TooLarge { what: "file", limit: LARGEST as u64 });
    }
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map(|at| (at.line(), at.column()));
        let words = error.to_string();
        // The library ends with the place, which is said in front already.
        let words = words.lines().next().unwrap_or_default();
        let words = words.rfind(" at line ").map_or(words, |end| &words[..end]);
        Error::invalid("file", format!("{}: {words}", shown(name, place)))
    })
}

/// Says where in the file an error is: `path` leads to what was checked (`stacks.2`), the error's own field on from there.
pub fn place(name: &str, text: &str, path: &str, error: Error) -> Error {
    let Error::Invalid { field, message } = error else { return error };
    let whole = if path.is_empty() { field.clone() } else { format!("{path}.{field}") };
    Error::invalid(whole.clone(), format!("{}: {message}", shown(name, locate(text, &whole))))
}

fn shown<N: fmt::Display>(name: &str, place: Option<(N, N)>) -> String {
    match place {
        Some((line, column)) => format!("{name}:{line}:{column}"),
        None => name.to_owned(),
    }
}

/// Line and column, from 1, of a key or list entry, or of the nearest thing around it that is in the file.
fn locate(text: &str, path: &str) -> Option<(u64, u64)> {
    let root: Node = serde_saphyr::from_str(text).ok()?;
    let (mut at, mut node) = (None, &root);
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let found = match node {
            Node::Map(entries) => entries.iter().find(|(key, _)| key.value == step),
            Node::List(entries) => step.parse::<usize>().ok().and_then(|n| entries.get(n)),
            Node::Leaf => None,
        };
        let Some((key, next)) = found else { break };
        at = Some((key.referenced.line(), key.referenced.column()));
        node = next;
    }
    at
}

/// A file as far as its places go. The key of a list's entry is empty, its place is the entry's.
enum Node {
    Map(Vec<(Spanned<String>, Node)>),
    List(Vec<(Spanned<String>, Node)>),
    Leaf,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// Scalars are all the same here.
macro_rules! leaf {
    ($($method:ident: $type:ty),+) => {
        $(fn $method<E>(self, _: $type) -> std::result::Result<Node, E> {
            Ok(Node::Leaf)
        })+
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    leaf!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> std::result::Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> std::result::Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element::<Spanned<Node>>()? {
            let key = Spanned::new(String::new(), entry.referenced, entry.defined);
            entries.push((key, entry.value));
        }
        Ok(Node::List(entries))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            entries.push((key, map.next_value()?));
        }
        // Nothing is left; this only ends the map.
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Node::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code, reason = "only read")]
        name: String,
        #[allow(dead_code, reason = "only read")]
        count: Option<u32>,
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        for (text, start) in [
            ("name: a\ncolor: red\n", "f.yaml:2:1: "),
            ("name: a\ncount: many\n", "f.yaml:2:8: "),
            ("name: a\n  b: c\n", "f.yaml:2:"),
            ("name: a\nname: b\n", "f.yaml:2:1: "),
        ] {
            let error = read::<Sample>("f.yaml", text).expect_err("refused").to_string();
            assert!(error.starts_with(start), "{error}");
            assert!(!error.contains('\n') && !error.contains(" at line "), "{error}");
        }
        read::<Sample>("f.yaml", "name: a # fine\n").expect("taken");
    }

    #[test]
    fn a_field_is_found_again_in_its_file() {
        let text = "stacks:\n  - name: a\n  - name: b\n    build:\n      target: x\n";
        for (path, wanted) in [
            ("stacks.1.build.target", Some((5, 7))),
            ("stacks.1.build.missing", Some((4, 5))),
            ("stacks.1", Some((3, 5))),
            ("elsewhere", None),
        ] {
            assert_eq!(locate(text, path), wanted, "{path}");
        }
        let error = place("f.yaml", text, "stacks.1", Error::invalid("build.target", "is odd"));
        assert_eq!(error.to_string(), "f.yaml:5:7: is odd");
    }
}
