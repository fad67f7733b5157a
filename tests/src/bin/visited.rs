//! The program that cutovers are measured with: a small answer, one that takes two seconds, a large one, and connections
//! that change to another protocol.
//!
//! `visited PORT [NAME]`. A thread for each connection and nothing that reads files, so that it fits into an image of a few
//! files. Its name is its commit's where it is deployed.

#![allow(clippy::unwrap_used, reason = "it is a part of tests, and a thread may end at the first surprise")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use sha1::{Digest as _, Sha1};

const SLOW: Duration = Duration::from_secs(2);
const MIB: usize = 1024 * 1024;
/// Health checks that have to succeed before an instance gets requests.
const CHECKS: u64 = 2;

static CHECKED: AtomicU64 = AtomicU64::new(0);
/// When the last of the needed health checks was answered, in microseconds since 1970.
static HEALTHY_AT: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut words = std::env::args().skip(1);
    let port: u16 = words.next().and_then(|word| word.parse().ok()).expect("usage: visited PORT [NAME]");
    let name = words.next().or_else(|| std::env::var("WINDLASS_COMMIT").ok()).unwrap_or_default();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    for stream in listener.incoming().flatten() {
        let name = name.clone();
        std::thread::spawn(move || {
            let _ = serve(stream, &name);
        });
    }
}

fn serve(stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let Some(Head { target, upgrades, key, closes }) = read_head(&mut reader)? else { return Ok(()) };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if upgrades {
            return echo(reader, writer, &key, name);
        }
        match path {
            "/big" => big(&mut writer, query.parse().unwrap_or(1))?,
            "/slow" => {
                std::thread::sleep(SLOW);
                answer(&mut writer, name)?;
            }
            "/health" => {
                if CHECKED.fetch_add(1, Ordering::SeqCst) + 1 == CHECKS {
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                    HEALTHY_AT.store(u64::try_from(now.as_micros()).unwrap_or_default(), Ordering::SeqCst);
                }
                answer(&mut writer, name)?;
            }
            _ => answer(&mut writer, name)?,
        }
        if closes {
            return Ok(());
        }
    }
}

/// The head of a request.
struct Head {
    target: String,
    /// The protocol is to change.
    upgrades: bool,
    /// Of a WebSocket's handshake.
    key: String,
    /// The connection is to end.
    closes: bool,
}

/// `None` at the connection's end. Bodies are not expected.
fn read_head(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Head>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (mut upgrades, mut closes, mut key) = (false, false, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else {
            return Ok(Some(Head { target, upgrades, key, closes }));
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "upgrade" => upgrades = true,
            "sec-websocket-key" => key = value.to_owned(),
            "connection" => closes |= value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
}

fn answer(writer: &mut TcpStream, name: &str) -> std::io::Result<()> {
    let healthy_at = HEALTHY_AT.load(Ordering::SeqCst);
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nx-healthy-at: {healthy_at}\r\n\r\n{name}",
        name.len()
    );
    writer.write_all(text.as_bytes())
}

fn big(writer: &mut TcpStream, mib: usize) -> std::io::Result<()> {
    write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", mib * MIB)?;
    let piece = vec![b'x'; MIB];
    (0..mib).try_for_each(|_| writer.write_all(&piece))
}

/// Says who it is and then sends back what it gets.
fn echo(
    mut reader: BufReader<TcpStream>,
    mut writer: TcpStream,
    key: &str,
    name: &str,
) -> std::io::Result<()> {
    // Proxies may check the key's answer (RFC 6455, section 4.2.2).
    let proof = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = base64::engine::general_purpose::STANDARD.encode(proof);
    write!(
        writer,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n{name}\n"
    )?;
    let mut piece = [0; 4096];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(()),
            length => writer.write_all(&piece[..length])?,
        }
    }
}
