//! Cassettes: recorded calls in a file, to be played back in tests. The format is described in `docs/cassettes.md`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::recording::{Outcome, PluginCall};

/// The version of the format that this program writes. It reads this one only.
pub const VERSION: u32 = 1;
/// The import through which a plugin sends requests, without its version.
pub const HTTP: &str = "windlass:host/http";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cassette {
    pub windlass_cassette: u32,
    pub calls: Vec<CassetteCall>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CassetteCall {
    pub plugin: String,
    /// sha256 of the component that was called, in hex.
    pub digest: String,
    pub interface: String,
    pub function: String,
    /// The parameters.
    pub input: Vec<Value>,
    #[serde(default)]
    pub exchange: Vec<Exchange>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// One call of the guest to the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// Interface with version and function: `windlass:host/log@0.1.0#emit`.
    pub import: String,
    pub args: Vec<Value>,
    /// What the host answered; absent where a function answers nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

impl CassetteCall {
    /// # Errors
    /// Says what of the recording is no JSON of the expected form.
    pub fn of(call: &PluginCall) -> Result<Self, String> {
        let read =
            |what: &str, error: serde_json::Error| format!("the recorded {what} cannot be read: {error}");
        let (summary, output) = (&call.summary, call.output.as_deref());
        Ok(Self {
            plugin: summary.plugin.clone(),
            digest: summary.digest.clone(),
            interface: summary.interface.clone(),
            function: summary.function.clone(),
            input: serde_json::from_str(&call.input).map_err(|error| read("input", error))?,
            exchange: serde_json::from_str(&call.exchange).map_err(|error| read("exchange", error))?,
            outcome: summary.outcome,
            error: summary.error.clone(),
            output: output.map(serde_json::from_str).transpose().map_err(|error| read("output", error))?,
        })
    }
}

/// What can go wrong between a plugin and the other side, to be put into a cassette's responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The other side answers 429 and asks for a pause of 7 s.
    TooManyRequests,
    /// No answer comes in time.
    Timeout,
    /// The second half of the body is missing.
    TruncatedBody,
}

impl Fault {
    pub const ALL: [Self; 3] = [Self::TooManyRequests, Self::Timeout, Self::TruncatedBody];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooManyRequests => "429",
            Self::Timeout => "timeout",
            Self::TruncatedBody => "truncated-body",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == word)
    }
}

impl CassetteCall {
    /// The same call with the fault in its `nth` response to a request, counted from 0; `None` if it has no such
    /// response. What the plugin does then is not recorded, so nothing is left to compare with.
    pub fn with_fault(&self, fault: Fault, nth: usize) -> Option<Self> {
        let mut call = self.clone();
        let mut requests = call.exchange.iter_mut().filter(|exchange| exchange.import.starts_with(HTTP));
        let answer = requests.nth(nth)?;
        answer.result = Some(match fault {
            Fault::TooManyRequests => {
                json!({ "ok": { "status": 429, "headers": [["retry-after", "7"]], "body": [] } })
            }
            Fault::Timeout => json!({ "err": "timeout" }),
            Fault::TruncatedBody => truncated(answer.result.as_ref()?)?,
        });
        // A guest that meets another answer may go on as it likes; what it asks for next was never answered.
        let last = call.exchange.iter().enumerate().filter(|(_, exchange)| exchange.import.starts_with(HTTP));
        let cut = last.map(|(index, _)| index).nth(nth)?;
        call.exchange.truncate(cut + 1);
        (call.output, call.error) = (None, None);
        Some(call)
    }
}

impl CassetteCall {
    /// Whether it says what a webhook's delivery means.
    pub fn is_delivery(&self) -> bool {
        let (interface, _) = self.interface.split_once('@').unwrap_or((&self.interface, ""));
        matches!(
            (interface, self.function.as_str()),
            ("windlass:git-forge/forge", "parse-webhook") | ("windlass:ci-provider/webhooks", "parse")
        )
    }

    /// The same with only the first half of the delivery's body; `None` if there is none. What the plugin says then is not
    /// recorded.
    pub fn with_half_a_delivery(&self) -> Option<Self> {
        let mut call = self.clone();
        halve(call.input.first_mut().filter(|_| self.is_delivery())?.get_mut("body")?)?;
        (call.output, call.error) = (None, None);
        Some(call)
    }
}

fn truncated(result: &Value) -> Option<Value> {
    let mut result = result.clone();
    halve(result.get_mut("ok")?.get_mut("body")?)?;
    Some(result)
}

/// Takes the second half of bytes away.
fn halve(body: &mut Value) -> Option<()> {
    let body = body.as_object_mut()?;
    let (encoding, text) = body.iter().next()?;
    let (encoding, text) = (encoding.clone(), text.as_str()?.to_owned());
    // Base64 comes in groups of four characters; the text is cut between characters.
    let half = match encoding.as_str() {
        "base64" => text.len() / 8 * 4,
        _ => (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at))?,
    };
    body.insert(encoding, Value::String(text.get(..half)?.to_owned()));
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn call() -> CassetteCall {
        let request = |path: &str, body: Value| Exchange {
            import: "windlass:host/http@0.1.0#send".into(),
            args: vec![json!({ "method": "GET", "path": path })],
            result: Some(json!({ "ok": { "status": 200, "headers": [], "body": body } })),
        };
        CassetteCall {
            plugin: "ci".into(),
            digest: "0".repeat(64),
            interface: "windlass:ci-provider/provider@0.1.0".into(),
            function: "get-build-status".into(),
            input: vec![json!("7")],
            exchange: vec![
                Exchange { import: "windlass:host/log@0.1.0#emit".into(), args: vec![], result: None },
                request("/a", json!({ "text": "{\"ü\":1}" })),
                request("/b", json!({ "base64": "AAECAwQFBgc=" })),
            ],
            outcome: Outcome::Ok,
            error: None,
            output: Some(json!({ "ok": "running" })),
        }
    }

    fn result(call: &CassetteCall) -> Value {
        call.exchange.last().unwrap().result.clone().unwrap()
    }

    #[test]
    fn a_fault_replaces_the_response_and_ends_what_is_known() {
        let limited = call().with_fault(Fault::TooManyRequests, 0).unwrap();
        assert_eq!(limited.exchange.len(), 2);
        assert_eq!(result(&limited).pointer("/ok/status"), Some(&json!(429)));
        assert_eq!(limited.output, None);
        assert_eq!(result(&call().with_fault(Fault::Timeout, 1).unwrap()), json!({ "err": "timeout" }));
        assert_eq!(call().with_fault(Fault::Timeout, 2), None);
    }

    #[test]
    fn a_truncated_body_is_cut_between_characters_and_groups() {
        let text = result(&call().with_fault(Fault::TruncatedBody, 0).unwrap());
        assert_eq!(text.pointer("/ok/body/text"), Some(&json!("{\"ü")));
        let bytes = result(&call().with_fault(Fault::TruncatedBody, 1).unwrap());
        assert_eq!(bytes.pointer("/ok/body/base64"), Some(&json!("AAEC")));
    }

    #[test]
    fn half_a_delivery_is_what_a_connection_that_broke_leaves() {
        let delivery = CassetteCall {
            interface: "windlass:git-forge/forge@0.1.0".into(),
            function: "parse-webhook".into(),
            input: vec![json!({ "headers": [], "body": { "text": "{\"ref\":1}" } })],
            ..call()
        };
        let half = delivery.with_half_a_delivery().unwrap();
        assert_eq!((&half.input[0]["body"]["text"], half.output), (&json!("{\"re"), None));
        assert_eq!(call().with_half_a_delivery(), None);
    }

    #[test]
    fn a_cassette_reads_what_it_writes() {
        let cassette = Cassette { windlass_cassette: VERSION, calls: vec![call()] };
        let text = serde_json::to_string(&cassette).unwrap();
        assert!(text.starts_with("{\"windlass-cassette\":1"), "{text}");
        assert_eq!(serde_json::from_str::<Cassette>(&text).unwrap(), cassette);
    }
}
