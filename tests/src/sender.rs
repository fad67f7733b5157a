//! A guest that sends what a test tells it to, and says what it got.
//!
//! The test lays the request out in the delivery's body as the canonical ABI has it, for the address at which the body
//! will lie. The guest passes it to `windlass:host/http.send` and fails with what came back.

use std::sync::Arc;

use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Connection, Plugins};

use crate::guests::{ANSWER, Guest, Layout};

/// The first thing the host puts into a guest's memory lies here.
const BODY: usize = 65536;
/// Words of the request, then how often to send it, then what to say.
const WORDS: usize = 18;
const RESPONSE: usize = 6000;
const CODE: usize = 6100;

#[derive(Clone, Default)]
pub struct Sending {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub credential: Option<String>,
    pub idempotency_key: Option<String>,
    pub timeout_ms: Option<u32>,
    /// How often the same request is sent; the last answer counts.
    pub times: usize,
    /// 0 for the body; from 1 on the value of that header.
    pub show: usize,
}

impl Sending {
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.into(), path: path.into(), times: 1, ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn credential(mut self, slot: &str) -> Self {
        self.credential = Some(slot.into());
        self
    }

    fn laid_out(&self) -> Vec<u8> {
        let mut rest = Layout::at(BODY + WORDS * 4);
        let option = |text: &Option<String>, rest: &mut Layout| match text {
            Some(text) => [vec![1], rest.text(text).to_vec()].concat(),
            None => vec![0, 0, 0],
        };
        let mut words = Vec::new();
        words.extend(rest.text(&self.method));
        words.extend(rest.text(&self.path));
        words.extend(rest.pairs(&self.headers));
        words.extend(rest.text(&self.body));
        words.extend(option(&self.credential, &mut rest));
        words.extend(option(&self.idempotency_key, &mut rest));
        words.extend([usize::from(self.timeout_ms.is_some()), self.timeout_ms.unwrap_or(0) as usize]);
        words.extend([self.times, self.show]);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect();
        bytes.extend(rest.bytes);
        bytes
    }
}

/// What a guest was told: a status and what the test wanted to see, or the number of the error's case and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Response(u16, String),
    Denied(String),
    AddressRefused,
    Timeout,
    TooLarge,
    Connect(String),
    Tls(String),
    Budget,
    Other(String),
}

impl Told {
    /// The text of a response with the status 200.
    pub fn ok(self) -> String {
        match self {
            Self::Response(200, text) => text,
            other => panic!("{other:?}"),
        }
    }

    pub fn denied(self) -> String {
        match self {
            Self::Denied(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

/// Has the guest `sender` send a request on a connection.
pub async fn send(plugins: &Plugins, connection: &Connection, sending: &Sending) -> Told {
    match send_or_end(plugins, connection, sending).await {
        Ok(told) => told,
        Err(kind) => panic!("{kind}"),
    }
}

/// The same where the call may not end well.
pub async fn send_or_end(
    plugins: &Plugins,
    connection: &Connection,
    sending: &Sending,
) -> Result<Told, PluginErrorKind> {
    let body = sending.laid_out().into();
    let connection = Some(Arc::new(connection.clone()));
    let error = plugins
        .forge_parse_on("sender", Vec::new(), body, connection)
        .await
        .expect_err("the guest says what it got as a failure");
    let (code, message) = match error {
        Error::Plugin(error) => match error.kind {
            PluginErrorKind::Failure { code, message, .. } => (code, message),
            other => return Err(other),
        },
        other => panic!("{other:?}"),
    };
    Ok(match code.split_once('-').expect("a code") {
        ("ok", status) => Told::Response(status.parse().expect("a status"), message),
        (_, "000") => Told::Denied(message),
        (_, "001") => Told::AddressRefused,
        (_, "002") => Told::Timeout,
        (_, "003") => Told::TooLarge,
        (_, "004") => Told::Connect(message),
        (_, "005") => Told::Tls(message),
        (_, "006") => Told::Budget,
        _ => Told::Other(message),
    })
}

/// The same guest with its request in it, so that it sends by itself. What it is answered comes to lie behind that.
pub fn carrying(sending: &Sending) -> Guest {
    let behind = format!(
        "(if (i32.and (i32.ne (local.get 3) (i32.const 0)) (i32.eq (local.get $at) (i32.const {BODY})))
           (then
             (local.set $at (i32.const {}))
             (global.set $heap (i32.add (local.get $at) (local.get 3)))))
         (local.get $at)",
        BODY * 3
    );
    sender().with_data(BODY, sending.laid_out()).reallocating(&behind)
}

/// The guest, without permissions or credentials yet.
pub fn sender() -> Guest {
    let arguments: String =
        (0..16).map(|word| format!("(i32.load (i32.const {})) ", BODY + word * 4)).collect();
    let digit = |at: usize, divisor: u32| {
        format!(
            "(i32.store8 (i32.const {}) (i32.add (i32.const 48)
               (i32.rem_u (i32.div_u (local.get $n) (i32.const {divisor})) (i32.const 10))))",
            CODE + at
        )
    };
    let digits = [digit(3, 100), digit(4, 10), digit(5, 1)].concat();
    let (times, show) = (BODY + 64, BODY + 68);
    let [status, headers, body, case, text] = [4, 8, 16, 4, 8].map(|offset| RESPONSE + offset);
    // The answer is `err(failure)`: disposition, code, message, whether a request was sent, extras.
    let body = format!(
        "(local $n i32) (local $at i32)
         (if (i32.ne (local.get 2) (i32.const {BODY})) (then unreachable))
         (local.set $n (i32.load (i32.const {times})))
         (loop $again
           (call $send {arguments} (i32.const {RESPONSE}))
           (local.set $n (i32.sub (local.get $n) (i32.const 1)))
           (br_if $again (local.get $n)))
         (if (i32.load8_u (i32.const {RESPONSE}))
           (then
             (local.set $n (i32.load8_u (i32.const {case})))
             (i32.store (i32.const {CODE}) (i32.const 0x2d7265)) ;; er-
             (local.set $at (i32.const {text}))
             ;; Only denied, connect, tls and other have a text.
             (if (i32.eqz (i32.and (i32.shl (i32.const 1) (local.get $n)) (i32.const 0xb1)))
               (then (local.set $at (i32.const {RESPONSE})) (i64.store (local.get $at) (i64.const 0)))))
           (else
             (local.set $n (i32.load16_u (i32.const {status})))
             (i32.store (i32.const {CODE}) (i32.const 0x2d6b6f)) ;; ok-
             (local.set $at (i32.const {body}))
             (if (i32.load (i32.const {show}))
               (then (local.set $at (i32.add (i32.load (i32.const {headers}))
                 (i32.sub (i32.mul (i32.load (i32.const {show})) (i32.const 16)) (i32.const 8))))))))
         {digits}
         (i32.store8 (i32.const {ANSWER}) (i32.const 1))
         (i32.store8 (i32.const {answer_disposition}) (i32.const 1))
         (i32.store (i32.const {answer_code}) (i32.const {CODE}))
         (i32.store (i32.const {answer_code_len}) (i32.const 6))
         (i64.store (i32.const {answer_message}) (i64.load (local.get $at)))
         i32.const {ANSWER}",
        answer_disposition = ANSWER + 4,
        answer_code = ANSWER + 16,
        answer_code_len = ANSWER + 20,
        answer_message = ANSWER + 24,
    );
    let parameters = "i32 ".repeat(17);
    Guest::forge("sender", &body).with_pages(24).with_import(
        &format!("(import \"windlass:host/http@0.1.0\" \"send\" (func $send (param {parameters})))"),
        "import windlass:host/http@0.1.0;",
        None,
    )
}
