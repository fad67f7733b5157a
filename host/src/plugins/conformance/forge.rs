//! Rules for git forges.

use bytes::Bytes;

use super::{Rule, all, crash, same};
use crate::domain::webhook::ForgeEvent;
use crate::error::{Error, PluginError, PluginErrorKind, Result};
use crate::plugins::Plugins;

/// Words that vendors put into the header with the event's name, and one that nobody does.
const EVENTS: [Option<&str>; 5] =
    [None, Some("push"), Some("Push Hook"), Some("repo:push"), Some("no-such-event")];

pub(super) fn check<'a>(plugins: &'a Plugins, name: &'a str) -> Vec<Rule<'a>> {
    vec![
        Rule::new(
            "forge-declares-webhooks",
            "the manifest says how deliveries are signed",
            declares_webhooks(plugins, name),
        ),
        Rule::new(
            "forge-refuses-malformed",
            "a body that is not what its headers promise is a permanent failure `malformed-payload`, never a push",
            refuses_malformed(plugins, name),
        ),
        Rule::new(
            "forge-is-pure",
            "parse-webhook answers the same when it is asked the same",
            is_pure(plugins, name),
        ),
    ]
}

async fn declares_webhooks(plugins: &Plugins, name: &str) -> Result<String, String> {
    let contract = plugins.webhook_contract(name).map_err(|error| error.to_string())?;
    Ok(format!("{} schemes", contract.schemes.len()))
}

fn malformed() -> Vec<(&'static str, Bytes)> {
    vec![
        ("an empty body", Bytes::new()),
        ("half an object", Bytes::from_static(b"{\"ref\":")),
        ("null", Bytes::from_static(b"null")),
        ("an empty list", Bytes::from_static(b"[]")),
        ("an empty object", Bytes::from_static(b"{}")),
        ("a text", Bytes::from_static(b"\"push\"")),
        ("bytes that are no UTF-8", Bytes::from_static(b"\xff\xfe\0\x80")),
        (
            "wrong types",
            Bytes::from_static(b"{\"ref\":7,\"repository\":[],\"commits\":\"x\",\"push\":{\"changes\":1}}"),
        ),
        ("10,000 open brackets", Bytes::from("[".repeat(10_000))),
        ("a megabyte of one letter", Bytes::from("a".repeat(1 << 20))),
    ]
}

async fn deliver(plugins: &Plugins, name: &str, event: Option<&str>, body: &Bytes) -> Result<ForgeEvent> {
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    if let (Some(event), Ok(contract)) = (event, plugins.webhook_contract(name)) {
        headers.extend(contract.event_headers.into_iter().map(|header| (header, event.to_owned())));
    }
    plugins.forge_parse(name, headers, body.clone()).await
}

async fn refuses_malformed(plugins: &Plugins, name: &str) -> Result<String, String> {
    let mut refused = 0;
    let mut results = Vec::new();
    for event in EVENTS {
        for (what, body) in malformed() {
            let what = format!("{what} with the event `{}`", event.unwrap_or("(none)"));
            results.push(match deliver(plugins, name, event, &body).await {
                Ok(ForgeEvent::Push(_)) => Err(format!("{what} was taken for a push")),
                Ok(_) => Ok(()),
                Err(Error::Plugin(PluginError {
                    kind: PluginErrorKind::Failure { code, disposition, .. },
                    ..
                })) => {
                    refused += usize::from(code == "malformed-payload");
                    if code == "malformed-payload" && !disposition.is_retryable() {
                        Ok(())
                    } else {
                        Err(format!(
                            "{what}: it failed with `{code}`, and not permanently with `malformed-payload`"
                        ))
                    }
                }
                Err(error) => Err(format!("{what}: {error}")),
            });
        }
    }
    let tried = all(results)?;
    if refused == 0 {
        return Err("it took none of these bodies for malformed".to_owned());
    }
    Ok(format!("{tried}, {refused} refused"))
}

async fn is_pure(plugins: &Plugins, name: &str) -> Result<String, String> {
    let mut results = Vec::new();
    for event in EVENTS {
        let body = Bytes::from_static(b"{\"zen\":\"simple\",\"ref\":\"refs/heads/main\"}");
        let first = deliver(plugins, name, event, &body).await;
        let second = deliver(plugins, name, event, &body).await;
        let question = format!("a delivery of `{}`", event.unwrap_or("(none)"));
        results.push(match crash(&first) {
            Some(why) => Err(format!("{question}: {why}")),
            None => same(&question, &first, &second),
        });
    }
    all(results)
}
