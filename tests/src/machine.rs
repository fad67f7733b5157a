//! Another machine with a Docker engine on it, for deploy targets: a real daemon in a network namespace of its own, with an
//! address of its own, that is reached by TLS, and on request a swarm of one node, or of two.

use crate::PATIENCE;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::port::free_port;
use crate::tools::{skipped, this_test};

const PORT: u16 = 2376;

/// Ends with this process.
pub struct Machine {
    pub folder: TempDir,
    /// As the other machine knows itself.
    pub address: Ipv4Addr,
    /// Of this machine, as the other one reaches it.
    pub here: Ipv4Addr,
    /// Its network namespace.
    name: String,
    begun: Once,
    /// Its end ends the engine.
    _keep: ChildStdin,
    child: Child,
}

impl Machine {
    /// The one that all tests of this process share. `None` where nobody may make one; says that the running test is skipped.
    pub async fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Machine> = OnceLock::new();
        Self::may_be_made().then_some(())?;
        Some(tokio::task::spawn_blocking(|| SHARED.get_or_init(|| Self::start(0))).await.unwrap())
    }

    /// Two of the caller's own with a wire between them, as a swarm whose manager is the first. One for each process. `None` as
    /// for [`Machine::shared`].
    pub async fn pair() -> Option<[Self; 2]> {
        Self::may_be_made().then_some(())?;
        let start = || {
            let pair = [1, 2].map(Self::start);
            pair[0].wire(&pair[1]);
            let [manager, worker] = &pair;
            manager.begin_swarm();
            let token = manager.docker(&["swarm", "join-token", "-q", "worker"]);
            let (own, to) = (worker.address.to_string(), format!("{}:2377", manager.address));
            let joined = worker.docker(&["swarm", "join", "--token", &token, "--advertise-addr", &own, &to]);
            assert!(joined.contains("joined a swarm"), "the second node did not join: {joined}");
            pair
        };
        Some(tokio::task::spawn_blocking(start).await.unwrap())
    }

    fn may_be_made() -> bool {
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        if !is_root {
            skipped(&this_test(), "only root may give another Docker Engine a network of its own");
        }
        is_root
    }

    /// `number` tells those of one process apart.
    fn start(number: u8) -> Self {
        let (pid, folder) = (std::process::id(), tempfile::tempdir().unwrap());
        let name = format!("wl{pid}{number}");
        // A net of four addresses that the next process does not take.
        let low = u8::try_from(pid % 63 * 4).unwrap();
        let net = [10, 214 + number, u8::try_from(pid / 63 % 256).unwrap(), low];
        let at = |n: u8| Ipv4Addr::new(net[0], net[1], net[2], net[3] + n);
        let (here, address) = (at(1), at(2));
        certificates(folder.path(), address);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/machine.sh");
        let mut child = Command::new("bash")
            .arg(script)
            .args([&name, folder.path().to_str().unwrap(), &here.to_string(), &address.to_string()])
            .arg(PORT.to_string())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let keep = child.stdin.take().unwrap();
        let mut machine = Self { folder, address, here, name, begun: Once::new(), _keep: keep, child };
        let deadline = Instant::now() + PATIENCE;
        while !machine
            .docker(&["version", "--format", "{{.Server.Version}}"])
            .starts_with(|c: char| c.is_ascii_digit())
        {
            let log = || fs::read_to_string(machine.folder.path().join("log")).unwrap_or_default();
            assert!(machine.child.try_wait().unwrap().is_none(), "no other machine came about: {}", log());
            assert!(Instant::now() < deadline, "its engine does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
        machine
    }

    /// Lays a wire between two machines, for what they have to say to each other: this one does not pass it on.
    fn wire(&self, other: &Self) {
        let ends = [(self, "a", other), (other, "b", self)];
        let ip = |words: String| {
            let run = Command::new("ip").args(words.split(' ')).output().unwrap();
            assert!(run.status.success(), "ip {words}: {}", String::from_utf8_lossy(&run.stderr));
        };
        ip(format!("link add {0}a netns {0} type veth peer name {0}b netns {1}", self.name, other.name));
        for (machine, end, beyond) in ends {
            let (inside, link) = (format!("-n {}", machine.name), format!("{}{end}", self.name));
            ip(format!("{inside} link set {link} up"));
            ip(format!("{inside} route add {}/32 dev {link} src {}", beyond.address, machine.address));
        }
    }

    /// `docker` with these words, there.
    pub fn docker(&self, words: &[&str]) -> String {
        let host = format!("unix://{}", self.socket().display());
        let output = Command::new("docker").args(["--host", &host]).args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    /// Where its engine listens for those who are on the machine.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }

    pub fn engine(&self) -> SocketAddr {
        SocketAddr::from((self.address, PORT))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn pem(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    /// What a client shows that the engine trusts.
    pub fn credentials(&self) -> Value {
        json!({ "ca": self.pem("ca.pem"), "certificate": self.pem("client.pem"), "key": self.pem("client.key") })
    }

    /// A target of that name, by TLS at `address`.
    pub fn target(&self, name: &str, address: SocketAddr) -> Value {
        json!({
            "name": name, "address": format!("tcp://{address}"), "routeAddress": self.address.to_string(),
            "credentials": self.credentials(),
        })
    }

    fn begin_swarm(&self) {
        self.begun.call_once(|| {
            self.docker(&["swarm", "init", "--advertise-addr", &self.address.to_string()]);
        });
    }

    /// The same engine as the one manager of a swarm.
    pub fn swarm(&self, name: &str) -> Value {
        self.begin_swarm();
        json!({
            "name": name, "kind": "swarm", "address": format!("tcp://{}", self.engine()),
            "credentials": self.credentials(),
        })
    }

    /// Services there of the server with that instance id: name and how many of its tasks run.
    pub fn services(&self, server: &str) -> Vec<String> {
        let filter = format!("label=dev.windlass.server={server}");
        let names =
            self.docker(&["service", "ls", "--filter", &filter, "--format", "{{.Name}} {{.Replicas}}"]);
        names.lines().map(str::to_string).collect()
    }

    /// Containers there of the server with that instance id, by name.
    pub fn containers(&self, server: &str) -> Vec<String> {
        let filter = format!("label=dev.windlass.server={server}");
        let names = self.docker(&["ps", "-a", "--filter", &filter, "--format", "{{.Names}}"]);
        names.lines().map(str::to_string).collect()
    }
}

/// An authority, and what it signed for the engine and for its client.
fn certificates(folder: &Path, address: Ipv4Addr) {
    let openssl = |words: &str| {
        let made = Command::new("openssl").args(words.split(' ')).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&made.stderr));
    };
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("{new} -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!("{new} -x509 -days 2 -subj /CN=stranger -keyout other.key -out other.pem"));
    let names = format!("subjectAltName=IP:{address},IP:127.0.0.1\nextendedKeyUsage=serverAuth\n");
    for (name, usage) in [("server", names.as_str()), ("client", "extendedKeyUsage=clientAuth\n")] {
        fs::write(folder.join("usage"), usage).unwrap();
        openssl(&format!("{new} -subj /CN={name} -keyout {name}.key -out request"));
        openssl(&format!(
            "x509 -req -days 2 -in request -CA ca.pem -CAkey ca.key -CAcreateserial -extfile usage -out {name}.pem"
        ));
    }
}

/// The way to a machine, which can be closed.
pub struct Relay {
    pub address: SocketAddr,
    to: SocketAddr,
    task: Option<JoinHandle<()>>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Relay {
    pub async fn start(to: SocketAddr) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let mut relay = Self { address, to, task: None, open: Arc::default() };
        relay.mend().await;
        relay
    }

    /// Cuts what is open, and lets nobody through any more.
    pub async fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
        for connection in self.open.lock().await.drain(..) {
            connection.abort();
        }
    }

    /// Lets everybody through again.
    pub async fn mend(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.unwrap();
        let (to, open) = (self.to, Arc::clone(&self.open));
        self.task = Some(tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let connection = tokio::spawn(async move {
                    if let Ok(mut far) = tokio::net::TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                open.lock().await.push(connection);
            }
        }));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}
