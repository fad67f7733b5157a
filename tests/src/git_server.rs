//! Real git servers for tests: smart HTTP (`git http-backend` behind a small CGI bridge), `git daemon` and `sshd`.

use std::{
    ffi::OsStr,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::PATIENCE;
use crate::port::free_port;
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use windlass::{
    config::Config,
    network::{Outgoing, Policy},
};

/// Serves bare repositories of a temporary folder over smart HTTP, pushes included, until dropped.
pub struct GitServer {
    root: Arc<TempDir>,
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

struct Shared {
    root: PathBuf,
    token: Option<String>,
    /// Answers with packs that were begun.
    fetches: AtomicUsize,
    /// Waits so long before each pack.
    delay: Mutex<Duration>,
    /// The beginning of a path, and what is put in its place.
    redirect: Mutex<Option<(String, String)>>,
}

impl GitServer {
    /// On a free loopback port, open to all.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Asks for HTTP basic authentication with this password, whatever the user name.
    pub async fn start_with_token(token: &str) -> Self {
        Self::start_with(Some(token.into())).await
    }

    async fn start_with(token: Option<String>) -> Self {
        let root = Arc::new(tempfile::tempdir().unwrap());
        let shared = Arc::new(Shared {
            root: root.path().to_path_buf(),
            token,
            fetches: AtomicUsize::new(0),
            delay: Mutex::default(),
            redirect: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { root, address, shared, task }
    }

    /// What answers, for a forge that has its API at the same address.
    pub fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(Arc::clone(&self.shared))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port/name.git`
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}.git", self.address)
    }

    /// Makes a bare repository with `main` as its default branch; pushes are taken.
    pub fn create(&self, name: &str) -> TestRepo {
        TestRepo::create(&self.root.path().join(format!("{name}.git")))
    }

    /// How many packs were asked for so far.
    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    /// Every pack waits so long from now on.
    pub fn delay_packs(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap() = delay;
    }

    /// Every request is sent elsewhere from now on: `base` plus the path that was asked for.
    pub fn redirect_to(&self, base: &str) {
        self.redirect("", base);
    }

    /// The same for paths that begin like this, of which only the rest is kept.
    pub fn redirect(&self, beginning: &str, base: &str) {
        *self.shared.redirect.lock().unwrap() = Some((beginning.into(), base.into()));
    }

    /// The folder with the bare repositories, for other servers.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.uri().to_string();
    if let Some((beginning, base)) = shared.redirect.lock().unwrap().clone()
        && let Some(rest) = target.strip_prefix(&beginning)
    {
        return (StatusCode::FOUND, [(header::LOCATION, format!("{base}{rest}"))]).into_response();
    }
    if let Some(token) = &shared.token
        && !is_allowed(request.headers(), token)
    {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")])
            .into_response();
    }
    if request.uri().path().ends_with("/git-upload-pack") {
        shared.fetches.fetch_add(1, Ordering::SeqCst);
        let delay = *shared.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
    }
    backend(&shared.root, request).await
}

fn is_allowed(headers: &HeaderMap, token: &str) -> bool {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given
        .and_then(|given| given.strip_prefix("Basic "))
        .and_then(|encoded| STANDARD.decode(encoded).ok())
        .is_some_and(|decoded| String::from_utf8_lossy(&decoded).ends_with(&format!(":{token}")))
}

/// One request through `git http-backend`, by the rules of CGI.
async fn backend(root: &Path, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let text = |name: header::HeaderName| {
        parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_string()
    };
    let body = to_bytes(body, 1 << 30).await.unwrap();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .envs(quiet_git())
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await.unwrap().stdout;
    let _ = feeding.await;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let mut answer = Response::builder();
    let mut status = StatusCode::OK;
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        match line.split_once(": ") {
            Some(("Status", code)) => status = code[..3].parse::<u16>().unwrap().try_into().unwrap(),
            Some((name, value)) => answer = answer.header(name, value),
            None => {}
        }
    }
    answer.status(status).body(Body::from(Bytes::from(output).slice(end + 4..))).unwrap()
}

/// Networks of the forges and git servers of tests, and those that are allowed anyway.
pub const PRIVATE_NETWORKS: &str = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16";

/// A way out that leads to them.
pub fn outgoing() -> Outgoing {
    outgoing_to(PRIVATE_NETWORKS)
}

/// A way out of a server with these private networks, as its environment would have them.
pub fn outgoing_to(networks: &str) -> Outgoing {
    let variable = |name: &str| (name == "WINDLASS_PRIVATE_NETWORKS").then(|| networks.to_string());
    let config = Config::load(None, variable).unwrap();
    Outgoing::new(Policy::new(&config.outgoing.private_networks))
}

/// Variables that keep this machine's git configuration out of a test, and name a committer. Nothing is compressed: programs
/// of some MiB are committed again and again, and a test has better things to compute.
pub fn quiet_git() -> [(&'static str, &'static str); 10] {
    [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "core.compression"),
        ("GIT_CONFIG_VALUE_0", "0"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.org"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.org"),
    ]
}

/// Runs git in a folder and returns what it wrote, without the line end.
pub fn git(folder: &Path, args: &[impl AsRef<OsStr>]) -> String {
    git_with_input(folder, args, b"")
}

/// The same, with something to read.
pub fn git_with_input(folder: &Path, args: &[impl AsRef<OsStr>], input: &[u8]) -> String {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(folder)
        .envs(quiet_git())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_string()
}

/// A bare repository that a test writes to directly.
pub struct TestRepo {
    path: PathBuf,
}

/// One file of a commit.
pub struct File<'a> {
    pub path: &'a str,
    /// `100644`, `100755`, `120000` for a link, `160000` for a submodule.
    pub mode: &'a str,
    pub content: &'a [u8],
}

impl TestRepo {
    pub fn create(path: &Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        git(path, &["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        git(path, &["config", "http.receivepack", "true"]);
        Self { path: path.to_path_buf() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds or replaces text files on a branch, and returns the new commit's id.
    pub fn commit(&self, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        let files: Vec<File<'_>> = files
            .iter()
            .map(|(path, content)| File { path, mode: "100644", content: content.as_bytes() })
            .collect();
        self.commit_files(branch, &files, message)
    }

    /// The same with modes; the way in is `git fast-import`, as fast with one file as with thousands.
    pub fn commit_files(&self, branch: &str, files: &[File<'_>], message: &str) -> String {
        let mut stream = Vec::new();
        let from = git(&self.path, &["for-each-ref", "--format=x", &format!("refs/heads/{branch}")]);
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        writeln!(stream, "commit refs/heads/{branch}\ncommitter Ada <ada@example.org> {time} +0000").unwrap();
        write!(stream, "data {}\n{message}\n", message.len()).unwrap();
        if !from.is_empty() {
            writeln!(stream, "from refs/heads/{branch}^0").unwrap();
        }
        for file in files {
            if file.mode == "160000" {
                writeln!(stream, "M 160000 {} {}", String::from_utf8_lossy(file.content), file.path).unwrap();
                continue;
            }
            writeln!(stream, "M {} inline {}\ndata {}", file.mode, file.path, file.content.len()).unwrap();
            stream.extend_from_slice(file.content);
            stream.push(b'\n');
        }
        git_with_input(&self.path, &["fast-import", "--quiet", "--force"], &stream);
        self.rev(branch)
    }

    /// A commit of a tree that git itself would not make: entries of `git mktree`, such as `040000 tree <id>\t.git`.
    pub fn commit_raw_tree(&self, branch: &str, entries: &str) -> String {
        let tree = git_with_input(&self.path, &["mktree"], entries.as_bytes());
        let commit = git(&self.path, &["commit-tree", "-m", "raw", &tree]);
        git(&self.path, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    pub fn blob(&self, content: &str) -> String {
        git_with_input(&self.path, &["hash-object", "-w", "--stdin"], content.as_bytes())
    }

    pub fn rev(&self, name: &str) -> String {
        git(&self.path, &["rev-parse", "--verify", name])
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.path, args)
    }
}

/// `git daemon` on a free loopback port, until dropped.
pub struct GitDaemon {
    child: Child,
    port: u16,
}

impl GitDaemon {
    pub fn start(root: &Path) -> Self {
        let port = free_port();
        let child = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}")])
            .arg(format!("--base-path={}", root.display()))
            .arg(root)
            .envs(quiet_git())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(port);
        Self { child, port }
    }

    pub fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}.git", self.port)
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // The daemon's own child holds the socket; both end with SIGTERM.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// An `sshd` on a free loopback port with keys of its own, until dropped.
pub struct Sshd {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Sshd {
    /// None where no sshd is installed.
    pub fn start() -> Option<Self> {
        let sshd =
            ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].into_iter().find(|path| Path::new(path).exists())?;
        let folder = tempfile::tempdir().unwrap();
        let this = |name: &str| folder.path().join(name).display().to_string();
        make_key(&this("host"), "");
        make_key(&this("client"), "");
        make_key(&this("locked"), "open sesame");
        let keys = ["client.pub", "locked.pub"].map(|name| std::fs::read_to_string(this(name)).unwrap());
        std::fs::write(this("authorized_keys"), keys.concat()).unwrap();
        // sshd insists on this folder when it runs as root.
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = free_port();
        let child = spawn_sshd(sshd, &folder, port);
        wait_for_port(port);
        Some(Self { child, folder, port })
    }

    /// Gives the server another host key, as a new machine or an attacker would.
    pub fn replace_host_key(&mut self) {
        self.stop();
        let host = self.folder.path().join("host");
        std::fs::remove_file(&host).unwrap();
        std::fs::remove_file(host.with_extension("pub")).unwrap();
        make_key(&host.display().to_string(), "");
        self.child = spawn_sshd("/usr/sbin/sshd", &self.folder, self.port);
        wait_for_port(self.port);
    }

    /// For a repository anywhere on this machine, as the user the test runs as.
    pub fn url(&self, repo: &TestRepo) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, repo.path().display())
    }

    /// Of an engine whose socket is on this machine, as the user the test runs as.
    pub fn address(&self, socket: &Path) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, socket.display())
    }

    pub fn client_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("client")).unwrap()
    }

    /// A key whose passphrase is `open sesame`.
    pub fn locked_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("locked")).unwrap()
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn_sshd(sshd: &str, folder: &TempDir, port: u16) -> Child {
    let option = |text: String| ["-o".to_string(), text];
    let this = |name: &str| folder.path().join(name).display().to_string();
    Command::new(sshd)
        .args(["-D", "-e", "-f", "/dev/null"])
        .args(option(format!("Port={port}")))
        .args(option("ListenAddress=127.0.0.1".into()))
        .args(option(format!("HostKey={}", this("host"))))
        .args(option(format!("AuthorizedKeysFile={}", this("authorized_keys"))))
        .args(option(format!("PidFile={}", this("pid"))))
        .args(option("StrictModes=no".into()))
        .args(option("UsePAM=no".into()))
        .args(option("PermitRootLogin=yes".into()))
        .args(option("PasswordAuthentication=no".into()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// An ed25519 key pair.
pub fn make_key(path: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", path])
        .status()
        .unwrap();
    assert!(made.success());
}

fn wait_for_port(port: u16) {
    let deadline = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(25));
    }
}
