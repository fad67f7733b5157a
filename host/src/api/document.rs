//! What the OpenAPI document says beyond what stands at each operation, so that tools that read it understand it.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, Object, Schema, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

/// What a parameter of a path names, where its name does not say it all.
const MEANINGS: [(&str, &str); 8] = [
    ("stack", "Name, number or id."),
    ("service", "Name, number or id of a stack."),
    ("deployment", "Number or id."),
    ("build", "Number or id."),
    ("project", "Name, number or id."),
    ("provider", "Name, number or id."),
    ("team", "Name or id."),
    ("user", "Name or id."),
];

/// Adds the parameters of paths, and lets those parts of a whole that were closed by themselves belong to it.
pub fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let names: Vec<&str> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
            .collect();
        for operation in operations(item) {
            add(operation, &names);
        }
    }
    open_parts(document);
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    all.into_iter().flatten()
}

fn add(operation: &mut Operation, names: &[&str]) {
    let known = operation.parameters.get_or_insert_default();
    for name in names {
        let is_known = |parameter: &RefOr<Parameter>| match parameter {
            RefOr::T(one) => one.name == *name && matches!(one.parameter_in, ParameterIn::Path),
            RefOr::Ref(_) => false,
        };
        if !known.iter().any(is_known) {
            known.push(RefOr::T(parameter(name)));
        }
    }
    if known.is_empty() {
        operation.parameters = None;
    }
}

fn parameter(name: &str) -> Parameter {
    let meaning = MEANINGS.iter().find(|(of, _)| *of == name).map(|(_, meaning)| *meaning);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(meaning)
        .schema(Some(Schema::Object(Object::with_type(Type::String))))
        .build()
}

/// A part that allows no further fields contradicts the other parts of an `allOf` (JSON Schema 2020-12, 10.3.2.3: it sees its own
/// fields only).
fn open_parts(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let wholes = components.schemas.values().filter_map(|schema| match schema {
        RefOr::T(Schema::AllOf(whole)) => Some(&whole.items),
        _ => None,
    });
    let parts: Vec<String> = wholes
        .flatten()
        .filter_map(|part| match part {
            RefOr::Ref(part) => part.ref_location.rsplit('/').next().map(str::to_owned),
            RefOr::T(_) => None,
        })
        .collect();
    for part in parts {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(&part)
            && matches!(object.additional_properties.as_deref(), Some(AdditionalProperties::FreeForm(false)))
        {
            object.additional_properties = None;
        }
    }
}
