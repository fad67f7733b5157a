//! A plugin as a server has it, and what the flight recorder took down of each call: it keeps what an adapter drops, such
//! as whether a request with an effect may have been sent.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use windlass::error::Result;
use windlass::plugins::{
    Connection, Limits, PluginSource, Plugins, Recordings, Secret, Settings, Source, Target,
};

use super::fault::Fault;

pub struct Rig {
    pub plugins: Plugins,
    recordings: Mutex<Recordings>,
    _folder: TempDir,
}

/// A plugin's failure, as it told it.
#[derive(Debug, Clone)]
pub struct Failed {
    pub code: String,
    pub message: String,
    /// `retry`, `permanent`, `auth-required` or `rate-limited`.
    pub advice: String,
    /// Seconds to wait, if it said how many.
    pub pause: Option<u64>,
    pub sent: bool,
}

impl Rig {
    /// One of the plugins that are in the program. Calls may wait for answers that never come, all at the same time.
    pub async fn start(name: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut settings = Settings::new(folder.path().join("plugins"));
        settings.builtin = false;
        settings.sources = vec![PluginSource::new(name, Source::Builtin)];
        settings.record = true;
        settings.limits =
            Limits { concurrent_calls: 64, wall_per_minute: Duration::from_secs(3600), ..Limits::default() };
        let plugins = Plugins::start(settings).await.expect("the engine starts");
        assert_eq!(plugins.inspect(name).expect("it is listed").error, None);
        let recordings = Mutex::new(plugins.recordings().expect("nobody else asked"));
        Self { plugins, recordings, _folder: folder }
    }

    /// What the calls so far have said, each with the base URL of its connection.
    pub fn said(&self) -> Vec<Said> {
        let mut recordings = self.recordings.lock().expect("it is read by one at a time");
        std::iter::from_fn(|| recordings.try_next())
            .map(|recording| {
                let input: Value = serde_json::from_str(&recording.input).expect("it is JSON");
                let output = recording.output.as_deref().unwrap_or_else(|| panic!("{:?}", recording.error));
                let output: Value = serde_json::from_str(output).expect("it is JSON");
                let base = input[0]["base-url"].as_str().unwrap_or_default().to_owned();
                let said = match output.get("err") {
                    Some(failure) => Err(Failed::of(failure)),
                    None => Ok(output["ok"].clone()),
                };
                (base, said)
            })
            .collect()
    }

    /// What the call said that has just ended. `result` is what the adapter made of it.
    pub fn last<T>(&self, result: &Result<T>) -> std::result::Result<Value, Failed> {
        let (_, said) = self.said().pop().expect("the call was recorded");
        assert_eq!(said.is_ok(), result.is_ok(), "{said:?}");
        said
    }
}

impl Failed {
    fn of(failure: &Value) -> Self {
        let text = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
        let (advice, pause) = match &failure["disposition"] {
            Value::String(word) => (word.clone(), None),
            other => {
                let (word, pause) =
                    other.as_object().and_then(|object| object.iter().next()).expect("a case");
                (word.clone(), pause.as_u64())
            }
        };
        let sent = failure["request-sent"].as_bool().expect("it says so");
        Self { code: text("code"), message: text("message"), advice, pause, sent }
    }

    /// What to do about a fault is the same for every vendor; `None` where it depends on the request.
    pub fn expect_advice(&self, fault: Fault, context: &str) {
        let wanted = match fault {
            Fault::Timeout | Fault::HalfABody | Fault::Status(500 | 503) => "retry",
            Fault::Status(401 | 403) => "auth-required",
            Fault::TooManyRequests => "rate-limited",
            Fault::Status(_) | Fault::Malformed | Fault::Redirect => "permanent",
        };
        assert_eq!(self.advice, wanted, "{context}: {self:?}");
        assert!(!self.message.is_empty() && !self.code.is_empty(), "{context}: {self:?}");
        if fault == Fault::TooManyRequests {
            assert_eq!(self.pause, Some(7), "{context}: {self:?}");
        }
    }
}

/// What a call said, with the base URL of its connection.
pub type Said = (String, std::result::Result<Value, Failed>);

/// Whether a vendor may have acted on a request that changes something and met this fault.
pub fn may_have_acted(fault: Fault) -> bool {
    fault.has_effect() || matches!(fault, Fault::Status(500 | 503) | Fault::Redirect)
}

/// A connection with one secret.
pub fn target(url: &str, slot: &str, secret: &str, settings: Value) -> Target {
    let connection = Connection::new(url, url).expect("a base URL");
    let connection = connection.secret(slot, Secret::new(secret)).expect("a secret");
    Target { connection: connection.into(), settings }
}
