//! `tree=` of Jenkins' API: only what was asked for is answered, so that a plugin which forgets to ask for a field does not get
//! it here either.

use serde_json::{Map, Value};

/// `name[sub,…]{from,to}`.
struct Wish {
    name: String,
    sub: Vec<Wish>,
    range: Option<(usize, usize)>,
}

/// The part of an object that a tree asks for. `_class` always comes along.
pub fn filtered(value: &Value, tree: &str) -> Value {
    let mut rest = tree;
    only(value, &wishes(&mut rest))
}

fn only(value: &Value, wishes: &[Wish]) -> Value {
    match value {
        Value::Array(all) => all.iter().map(|each| only(each, wishes)).collect(),
        Value::Object(object) if !wishes.is_empty() => {
            let mut kept = Map::new();
            if let Some(class) = object.get("_class") {
                kept.insert("_class".to_owned(), class.clone());
            }
            for wish in wishes {
                let Some(found) = object.get(&wish.name) else { continue };
                let mut found = only(found, &wish.sub);
                if let (Some((from, to)), Value::Array(all)) = (wish.range, &mut found) {
                    *all = all.iter().take(to).skip(from).cloned().collect();
                }
                kept.insert(wish.name.clone(), found);
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }
}

fn wishes(rest: &mut &str) -> Vec<Wish> {
    let mut all = Vec::new();
    loop {
        let end = rest.find([',', '[', ']', '{']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        *rest = after;
        let mut wish = Wish { name: name.to_owned(), sub: Vec::new(), range: None };
        if let Some(inner) = rest.strip_prefix('[') {
            *rest = inner;
            wish.sub = wishes(rest);
            *rest = rest.strip_prefix(']').expect("a tree closes what it opens");
        }
        if let Some(inner) = rest.strip_prefix('{') {
            let (range, after) = inner.split_once('}').expect("a tree closes what it opens");
            *rest = after;
            let (from, to) = range.split_once(',').expect("a range has two ends");
            wish.range = Some((from.parse().unwrap_or(0), to.parse().expect("a number")));
        }
        if !wish.name.is_empty() {
            all.push(wish);
        }
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None => return all,
        }
    }
}
