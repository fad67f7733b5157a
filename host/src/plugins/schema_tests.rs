use serde_json::json;

use super::*;

fn refusal(schema: &Value) -> String {
    check(&schema.to_string()).expect_err("it is no good schema")
}

#[test]
fn a_value_is_checked_with_the_place_of_each_problem() {
    let text = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["channel"],
        "properties": {
            "channel": { "$ref": "#/$defs/name" },
            "events": { "type": "array", "items": { "enum": ["ok", "bad"] } },
            "page": { "type": "string", "format": "uri" },
        },
        "additionalProperties": false,
        "$defs": { "name": { "type": "string", "pattern": "^[a-z]+$" } },
    })
    .to_string();
    assert_eq!(check(&text), Ok(()));
    let schema = Schema::new(&text);
    assert_eq!(schema.problems(&json!({ "channel": "ops", "events": ["ok"] })), []);
    let paths = |value: Value| -> Vec<String> {
        schema.problems(&value).into_iter().map(|problem| problem.path).collect()
    };
    assert_eq!(
        paths(json!({ "channel": "OPS", "events": ["ok", "odd"], "page": "no" })),
        ["/channel", "/events/1", "/page"]
    );
    assert_eq!(paths(json!({ "channel": "ops", "colour": 1 })), [""]);
    assert!(schema.check("mine", &json!({})).is_err_and(|error| error.to_string().contains("channel")));
}

#[test]
fn an_empty_schema_takes_anything() {
    assert_eq!(check("{}"), Ok(()));
    assert_eq!(Schema::new("{}").problems(&json!({ "a": [1, null] })), []);
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    assert!(check("{").expect_err("it is no JSON").contains("no JSON"));
    assert!(refusal(&json!([])).contains("not a JSON object"));
    let text = refusal(&json!({ "properties": { "a": { "type": "strnig" } } }));
    assert!(text.contains("/properties/a/type"), "{text}");
    let text = refusal(&json!({ "$schema": "http://json-schema.org/draft-07/schema#" }));
    assert!(text.contains("draft-07"), "{text}");
    assert!(refusal(&json!({ "pattern": "(?<=a)b" })).contains("cannot be used"), "no backtracking");
}

#[test]
fn a_schema_cannot_keep_the_host_busy_or_reach_outside() {
    assert!(refusal(&json!({ "$ref": "#" })).contains("itself"));
    let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "not": { "$ref": "#/$defs/a" } } } });
    assert!(refusal(&circle).contains("too deep"));
    let mut defs = serde_json::Map::new();
    for level in 0..40 {
        let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
        defs.insert(format!("d{level}"), json!({ "allOf": [next.clone(), next] }));
    }
    defs.insert("d40".into(), json!({ "type": "string" }));
    assert!(refusal(&json!({ "$ref": "#/$defs/d0", "$defs": defs })).contains("too large"));
    assert!(refusal(&json!({ "$ref": "https://evil.example/schema" })).contains("no place"));
    assert!(refusal(&json!({ "$id": "https://evil.example/schema" })).contains("$id"));
    assert!(refusal(&json!({ "$dynamicRef": "#a" })).contains("$dynamicRef"));
}
