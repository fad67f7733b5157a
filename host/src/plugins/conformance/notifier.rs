//! Rules for notifiers.

use serde_json::json;

use super::{Rule, all, crash, same, target_of};
use crate::domain::notification::{Notification, NotifyRequest, Severity};
use crate::plugins::Plugins;

const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Success, Severity::Warning, Severity::Error];
const HOSTILE: &str = "a\r\nx-evil: 1\r\n\r\n<script>\"'&\u{202e}\0";

pub(super) fn check<'a>(plugins: &'a Plugins, name: &'a str) -> Vec<Rule<'a>> {
    vec![
        Rule::new(
            "notifier-renders",
            "every event gives requests that the host can send, or none, or a failure",
            renders(plugins, name),
        ),
        Rule::new(
            "notifier-quotes",
            "an event's text never becomes part of a path's query, a header's name or a line of headers",
            quotes(plugins, name),
        ),
        Rule::new(
            "notifier-is-pure",
            "render answers the same when it is asked the same",
            is_pure(plugins, name),
        ),
    ]
}

fn event(severity: Severity, text: &str) -> Notification {
    Notification {
        id: "event-1".into(),
        kind: "deployment.failed".into(),
        at: 1_700_000_000_000,
        severity,
        title: text.into(),
        text: text.into(),
        stack: Some(text.into()),
        url: Some("https://windlass.example/deployments/7".into()),
        data: json!({ "deployment": 7, "text": text }),
    }
}

async fn renders(plugins: &Plugins, name: &str) -> Result<String, String> {
    let target = target_of(plugins, name)?;
    let credentials: Vec<String> = plugins
        .inspect(name)
        .map_err(|error| error.to_string())?
        .info
        .map(|info| info.manifest.credentials.into_iter().map(|slot| slot.name).collect())
        .unwrap_or_default();
    let mut results = Vec::new();
    for severity in SEVERITIES {
        let answer = plugins.notifier_render(name, &target, &event(severity, "web was not deployed")).await;
        let unknown = answer.iter().flatten().filter_map(|request| request.credential.as_ref());
        let unknown = unknown.into_iter().find(|slot| !credentials.contains(slot));
        results.push(match (crash(&answer), unknown) {
            (Some(why), _) => Err(format!("an event of severity {severity:?}: {why}")),
            (None, Some(slot)) => {
                Err(format!("a request names the credential `{slot}`, which its manifest does not declare"))
            }
            (None, None) => Ok(()),
        });
    }
    all(results)
}

async fn quotes(plugins: &Plugins, name: &str) -> Result<String, String> {
    let target = target_of(plugins, name)?;
    let answer = plugins.notifier_render(name, &target, &event(Severity::Error, HOSTILE)).await;
    if let Some(why) = crash(&answer) {
        return Err(why);
    }
    let breaks = |request: &NotifyRequest| {
        let broken = |text: &str| text.chars().any(char::is_control);
        broken(&request.path) || request.headers.iter().any(|(name, value)| broken(name) || broken(value))
    };
    match answer.iter().flatten().find(|request| breaks(request)) {
        Some(request) => Err(format!(
            "a title with line ends ends up in the request `{} {}` or its headers as it is",
            request.method,
            request.path.escape_debug()
        )),
        None => Ok("a title full of line ends and quotes".to_owned()),
    }
}

async fn is_pure(plugins: &Plugins, name: &str) -> Result<String, String> {
    let target = target_of(plugins, name)?;
    let mut results = Vec::new();
    for severity in SEVERITIES {
        let event = event(severity, "web was deployed");
        let first = plugins.notifier_render(name, &target, &event).await;
        let second = plugins.notifier_render(name, &target, &event).await;
        results.push(same("render", &first, &second));
    }
    all(results)
}
