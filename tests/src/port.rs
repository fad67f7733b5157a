//! Ports for servers that cannot choose one by themselves.

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{LazyLock, Mutex};

/// Below the ports that the system gives to outgoing connections and to listeners that ask for any
/// (`net.ipv4.ip_local_port_range` begins at 32768): one of those could be taken between here and its use.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// What other processes see of the ports that this one was given: a name that ends with the process.
static TAKEN: LazyLock<Mutex<HashMap<u16, UnixListener>>> = LazyLock::new(Mutex::default);

/// A loopback port on which nothing listens, and that no other test is given as long as this process lives.
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap();
    // Each process begins elsewhere, so that what one has just left is not the next one's first choice.
    let count = PORTS.end - PORTS.start;
    let first = u16::try_from(u64::from(std::process::id()) * 7_919 % u64::from(count)).unwrap();
    for step in 0..count {
        let port = PORTS.start + (first + step) % count;
        let name = SocketAddr::from_abstract_name(format!("windlass-test-port-{port}")).unwrap();
        let Ok(mark) = UnixListener::bind_addr(&name) else { continue };
        taken.insert(port, mark);
        if TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {PORTS:?} is free");
}
