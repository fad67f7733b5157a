//! Requests of the server to addresses that somebody wrote down: every form of an address inside is refused, and a name server
//! that lies changes nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::net::TcpStream;
use windlass::network::{Network, Pending, Policy};
use windlass::plugins::{Plugins, Settings};

/// Addresses inside, in every form that a URL, a resolver or a browser has ever taken.
const INSIDE: [&str; 80] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7f.1",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.1",
    "017700000001",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "0x0",
    "0.0.0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "sub.localhost",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:1:2:3:4:80ff:fffe]",
    "10.0.0.1",
    "10.255.255.255",
    "10.1",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "0xac100001",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "0xc0.0xa8.0.1",
    "0300.0250.0.1",
    "[::ffff:10.0.0.1]",
    "[::ffff:192.168.0.1]",
    "[64:ff9b::c0a8:1]",
    "[2002:c0a8:1::]",
    "169.254.0.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "169.254.170.2",
    "100.100.100.200",
    "100.64.0.1",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[ff02::1]",
];

/// A resolver that says what it likes, and a network that counts who dials.
#[derive(Debug, Default)]
struct Liar {
    asked: AtomicUsize,
    dialled: AtomicUsize,
}

impl Network for Liar {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Pending<'a, Vec<SocketAddr>> {
        Box::pin(async move {
            let turn = self.asked.fetch_add(1, Ordering::Relaxed);
            let good: IpAddr = "203.0.113.7".parse().unwrap();
            let bad = bad(turn);
            // Names of this machine are what they are; the hostile one flips, and hides the bad among the good.
            let answer = match host.trim_end_matches('.') {
                "localhost" | "sub.localhost" => vec!["127.0.0.1".parse().unwrap()],
                "flip.example" => match turn % 4 {
                    0 => vec![bad],
                    1 => vec![good, bad],
                    2 => vec![bad, good],
                    _ => vec![good, good, good, good, bad],
                },
                _ => return Err(io::Error::other("no such name")),
            };
            Ok(answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }

    fn dial(&self, _: SocketAddr) -> Pending<'_, TcpStream> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(io::Error::other("nobody is there")) })
    }
}

/// Another address inside with every turn.
fn bad(turn: usize) -> IpAddr {
    let all = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:192.168.0.1", "fd00::1", "fe80::1"];
    all[turn % all.len()].parse().unwrap()
}

async fn plugins(network: Arc<Liar>) -> (Plugins, TempDir) {
    let folder = TempDir::new().unwrap();
    let mut settings = Settings::new(folder.path().join("plugins"));
    settings.builtin = false;
    settings.network = network;
    (Plugins::start(settings).await.unwrap(), folder)
}

fn request(url: &str) -> Option<http::Request<Vec<u8>>> {
    http::Request::get(url).body(Vec::new()).ok()
}

#[tokio::test]
async fn no_form_of_an_address_inside_is_ever_connected_to() {
    let network = Arc::new(Liar::default());
    let (plugins, _folder) = plugins(network.clone()).await;
    for form in INSIDE {
        for url in
            [format!("http://{form}/"), format!("https://{form}:8443/x?y=z"), format!("http://{form}:80")]
        {
            // What is no address of the web at all goes nowhere either.
            let Some(request) = request(&url) else { continue };
            let answer = plugins.fetch(request, Policy::internet(), None).await;
            assert!(answer.is_err(), "{url} was answered");
            assert_eq!(network.dialled.load(Ordering::Relaxed), 0, "{url} was dialled");
        }
    }
}

#[tokio::test]
async fn a_name_server_that_flips_its_answer_ten_thousand_times_gets_no_connection() {
    let network = Arc::new(Liar::default());
    let (plugins, _folder) = plugins(network.clone()).await;
    for turn in 0..10_000 {
        let answer = plugins.fetch(request("https://flip.example/").unwrap(), Policy::internet(), None).await;
        assert!(answer.is_err(), "{turn}");
    }
    assert_eq!(network.asked.load(Ordering::Relaxed), 10_000, "each request asks anew, once");
    assert_eq!(network.dialled.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_metadata_service_is_not_reached_even_where_the_network_is_the_operators_own() {
    let network = Arc::new(Liar::default());
    let (plugins, _folder) = plugins(network.clone()).await;
    for form in ["169.254.169.254", "2852039166", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "100.100.100.200"]
    {
        let answer =
            plugins.fetch(request(&format!("http://{form}/latest")).unwrap(), Policy::anywhere(), None).await;
        assert!(answer.is_err(), "{form}");
    }
    assert_eq!(network.dialled.load(Ordering::Relaxed), 0);
    // The same word lets the operator's own network be reached: the refusals above are not for want of a connection.
    plugins.fetch(request("http://10.0.0.1/").unwrap(), Policy::anywhere(), None).await.unwrap_err();
    assert_eq!(network.dialled.load(Ordering::Relaxed), 1);
}
