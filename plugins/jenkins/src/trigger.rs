//! Starts builds, after a look at what the job takes.

use windlass_sdk::Failure;
use windlass_sdk::http::{Request, Response, segment};
use windlass_sdk::params::nearest;
use windlass_sdk::provider::{Build, BuildStatus, Trigger};

use crate::config::KEY;
use crate::parse::{Item, ParameterDefinition, Queue, carries};
use crate::path::{BuildRef, JobPath};
use crate::settings::Settings;
use crate::{ask, convert};

/// With the newest builds, among which an earlier attempt may be.
const TREE: &str = "_class,url,color,buildable,property[parameterDefinitions[name,type,choices]],\
    actions[parameterDefinitions[name,type,choices]],\
    builds[number,building,result,timestamp,duration,url,actions[parameters[name,value]]]{0,20}";

pub fn trigger(settings: &Settings, path: &JobPath, trigger: &Trigger) -> Result<Build, Failure> {
    let item: Option<Item> = ask::find(&path.url_path(), TREE)?;
    let item = item.filter(|item| !item.is_folder()).ok_or_else(|| ask::no_such_job(&path.id()))?;
    if item.buildable == Some(false) {
        return Err(disabled(path));
    }
    let definitions = item.definitions();
    let mut fields = values(settings, &definitions, trigger)?;
    if definitions.iter().any(|definition| definition.name == KEY) {
        if let Some(build) = earlier(&item, &trigger.idempotency_key)? {
            return Ok(build);
        }
        fields.retain(|(name, _)| name != KEY);
        fields.push((KEY.to_owned(), trigger.idempotency_key.clone()));
    }
    let verb = if definitions.is_empty() { "build" } else { "buildWithParameters" };
    let form: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", segment(name), segment(value))).collect();
    let request = Request::post(format!("{}/{verb}", path.url_path()))
        .query("delay", "0sec")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.join("&"));
    let response = ask::change(request).map_err(|failure| refused(path, failure))?;
    let item = queue_item(&response).ok_or_else(|| unknown(path))?;
    Ok(Build::new(BuildRef::Queued(item).id(), BuildStatus::Pending))
}

/// The build of an earlier attempt with this key, in the queue or out of it.
fn earlier(item: &Item, key: &str) -> Result<Option<Build>, Failure> {
    let started = item.builds.iter().find(|build| carries(&build.actions, KEY, key));
    if let Some(build) = started {
        return Ok(Some(convert::build(build)));
    }
    let tree = "items[id,why,actions[parameters[name,value]]]";
    let queue: Option<Queue> = ask::find("/queue", tree)?;
    let items = queue.map(|queue| queue.items).unwrap_or_default();
    Ok(items.iter().find(|item| carries(&item.actions, KEY, key)).map(convert::queued))
}

/// What is sent, checked against what the job takes. Jenkins would drop what it does not know, and say nothing.
fn values(
    settings: &Settings,
    definitions: &[ParameterDefinition],
    trigger: &Trigger,
) -> Result<Vec<(String, String)>, Failure> {
    let mut values = Vec::new();
    for (name, value) in &trigger.parameters {
        let Some(definition) = definitions.iter().find(|definition| definition.name == *name) else {
            return Err(invalid(unknown_name(name, definitions)));
        };
        if let Some(complaint) = complaint(definition, value) {
            return Err(invalid(complaint));
        }
        values.push((name.clone(), value.clone()));
    }
    if let Some(wanted) = &trigger.ref_name {
        let name = &settings.ref_parameter;
        if !definitions.iter().any(|definition| definition.name == *name) {
            let said = format!(
                "The job builds one branch only: it has no parameter `{name}` that could say to build `{wanted}`. Please add \
                 one to the job, or name the right one in the setting `ref_parameter`."
            );
            return Err(invalid(said));
        }
        values.retain(|(other, _)| other != name);
        values.push((name.clone(), wanted.clone()));
    }
    Ok(values)
}

fn unknown_name(name: &str, definitions: &[ParameterDefinition]) -> String {
    let known: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("The job has no parameter `{name}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("The job has no parameter `{name}`; it takes none."),
        None => format!("The job has no parameter `{name}`; it takes {}.", known.join(", ")),
    }
}

fn complaint(definition: &ParameterDefinition, value: &str) -> Option<String> {
    let name = &definition.name;
    if definition.kind == "BooleanParameterDefinition" && !matches!(value, "true" | "false") {
        return Some(format!("The parameter `{name}` has to be true or false, but is `{value}`."));
    }
    if definition.kind.contains("FileParameter") {
        return Some(format!(
            "The parameter `{name}` is a file, which cannot be sent along. Please leave it out."
        ));
    }
    let choices = definition.choices.as_ref()?;
    if choices.iter().any(|choice| choice == value) {
        return None;
    }
    Some(format!("The parameter `{name}` has to be one of {}, but is `{value}`.", choices.join(", ")))
}

/// The number in `…/queue/item/143/`; the part before it is the server's idea of its own name.
fn queue_item(response: &Response) -> Option<u64> {
    let (_, item) = response.header("location")?.rsplit_once("/queue/item/")?;
    item.trim_end_matches('/').parse().ok()
}

fn refused(path: &JobPath, failure: Failure) -> Failure {
    match failure.code.as_str() {
        "status-404" => ask::no_such_job(&path.id()),
        "status-409" => disabled(path),
        "status-400" | "status-422" => Failure { code: "invalid-parameters".to_owned(), ..failure },
        _ => failure,
    }
}

fn disabled(path: &JobPath) -> Failure {
    let said = format!("The job `{}` is disabled in Jenkins. Please enable it there.", path.id());
    Failure::permanent("job-disabled", said)
}

fn unknown(path: &JobPath) -> Failure {
    let said = format!(
        "Jenkins took the request for a build of `{}`, but named no place in its queue, so the build cannot be followed. \
         Please look into Jenkins whether it runs.",
        path.id()
    );
    Failure::permanent("no-queue-item", said).after_sending()
}

fn invalid(said: String) -> Failure {
    Failure::permanent("invalid-parameters", said)
}
