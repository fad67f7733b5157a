//! Which event a delivery is. The header says it, except for webhooks of a whole instance, where the body does.

use windlass_sdk::Failure;
use windlass_sdk::forge::{Delivery, Event, malformed};
use windlass_sdk::provider;

use crate::{convert, parse};

fn kind(delivery: &Delivery) -> Result<String, Failure> {
    let Some(event) = delivery.header("x-gitlab-event") else {
        return Err(malformed("The header X-Gitlab-Event is missing, so this was not sent by GitLab."));
    };
    if event != "System Hook" {
        return Ok(event.to_owned());
    }
    let kind: parse::Kind = delivery.json()?;
    Ok(match kind.object_kind.or(kind.event_name).as_deref() {
        Some("push") => "Push Hook".to_owned(),
        Some("tag_push") => "Tag Push Hook".to_owned(),
        Some("pipeline") => "Pipeline Hook".to_owned(),
        Some(other) => format!("System Hook {other}"),
        None => return Err(malformed("The body has neither `object_kind` nor `event_name`.")),
    })
}

pub fn forge(delivery: &Delivery) -> Result<Event, Failure> {
    match kind(delivery)?.as_str() {
        "Push Hook" | "Tag Push Hook" => convert::push(delivery.json()?).map(Event::Push),
        other => Ok(Event::Unsupported(other.to_owned())),
    }
}

pub fn provider(delivery: &Delivery) -> Result<provider::Event, Failure> {
    match kind(delivery)?.as_str() {
        "Pipeline Hook" => delivery.json().map(convert::pipeline).map(provider::Event::Builds),
        other => Ok(provider::Event::Unsupported(other.to_owned())),
    }
}
