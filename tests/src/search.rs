//! A search for planted secrets, in eight encodings, in whatever it is given.

use std::collections::BTreeSet;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use windlass::plugins::MemoryWatch;

/// Looked at in one go.
static EMPTY: [u8; 4096] = [0; 4096];

/// The eight encodings, each with its name.
pub fn encodings(secret: &str) -> [(&'static str, String); 8] {
    let percent = |upper: bool| -> String {
        let one = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        secret.bytes().map(one).collect()
    };
    let json = serde_json::to_string(secret).expect("a text");
    // As part of a longer text, in which it does not begin at a multiple of three bytes.
    let inside = STANDARD.encode(format!("x{secret}"));
    [
        ("raw", secret.to_owned()),
        ("base64", STANDARD.encode(secret).trim_end_matches('=').to_owned()),
        ("base64 for URLs", URL_SAFE_NO_PAD.encode(secret)),
        ("base64 within a text", inside[2..(1 + secret.len()) * 8 / 6].to_owned()),
        ("percent", percent(true)),
        ("percent in small letters", percent(false)),
        ("hexadecimal", hex::encode(secret)),
        ("JSON", json[1..json.len() - 1].to_owned()),
    ]
}

/// Each with its name, and which of them begin with each two bytes.
#[derive(Debug, Default)]
struct Needles {
    all: Vec<(String, Vec<u8>)>,
    by_start: Vec<Vec<usize>>,
}

impl Needles {
    fn new(all: Vec<(String, Vec<u8>)>) -> Self {
        let mut by_start = vec![Vec::new(); 1 << 16];
        for (i, (_, needle)) in all.iter().enumerate() {
            by_start[start(needle)].push(i);
        }
        Self { all, by_start }
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// What a guest's memory is searched for, and what was found.
#[derive(Debug, Default)]
pub struct Search {
    needles: Mutex<Needles>,
    found: Mutex<Vec<String>>,
    searched: Mutex<(usize, usize)>,
}

impl Search {
    pub fn plant(&self, secrets: &[&str]) {
        let needles = secrets.iter().flat_map(|secret| {
            encodings(secret).map(|(encoding, text)| (format!("{secret} as {encoding}"), text.into_bytes()))
        });
        *self.needles.lock().expect("it") = Needles::new(needles.collect());
    }

    /// One pass: at each place only the needles that begin with its two bytes are compared.
    pub fn look(&self, place: &str, bytes: &[u8]) {
        let needles = self.needles.lock().expect("it");
        if needles.all.is_empty() {
            return;
        }
        let mut found = BTreeSet::new();
        for (n, page) in bytes.chunks(EMPTY.len()).enumerate() {
            // Most of a memory is empty, and no needle begins with a zero.
            if *page == EMPTY[..page.len()] {
                continue;
            }
            let from = n * EMPTY.len();
            let starts = &bytes[from..bytes.len().min(from + page.len() + 1)];
            for (at, pair) in starts.windows(2).enumerate() {
                for i in &needles.by_start[start(pair)] {
                    let (name, needle) = &needles.all[*i];
                    if bytes[from + at..].starts_with(needle) {
                        found.insert(format!("{name} in {place}"));
                    }
                }
            }
        }
        self.found.lock().expect("it").extend(found);
    }

    pub fn found(&self) -> Vec<String> {
        std::mem::take(&mut *self.found.lock().expect("it"))
    }

    /// Every text in a JSON document, as it is and, where it is base64 of something, what that is.
    pub fn look_into(&self, place: &str, json: &str) {
        self.look(place, json.as_bytes());
        let mut values: Vec<Value> = serde_json::from_str(json).into_iter().collect();
        while let Some(value) = values.pop() {
            match value {
                Value::String(text) => {
                    self.look(place, text.as_bytes());
                    self.look(place, &STANDARD.decode(text).unwrap_or_default());
                }
                Value::Array(items) => values.extend(items),
                Value::Object(members) => values.extend(members.into_iter().map(|(_, value)| value)),
                _ => {}
            }
        }
    }

    /// Every file below a folder, also those of a database that is in use; not compiled code, which is made of components
    /// before they are called.
    pub fn look_below(&self, place: &str, folder: &std::path::Path) {
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            // What a server deletes meanwhile, folders as well, is not there any more to hold anything.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_none_or(|end| end != "cwasm") {
                    self.look(place, &std::fs::read(path).unwrap_or_default());
                }
            }
        }
    }

    /// How many memories were looked through, and their bytes.
    pub fn searched(&self) -> (usize, usize) {
        *self.searched.lock().expect("it")
    }
}

impl MemoryWatch for Search {
    fn ended(&self, memory: &[u8]) {
        let mut searched = self.searched.lock().expect("it");
        *searched = (searched.0 + 1, searched.1 + memory.len());
        drop(searched);
        // What was never touched is zero to the end.
        let used = memory.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        self.look("a guest's memory", &memory[..used]);
    }
}
