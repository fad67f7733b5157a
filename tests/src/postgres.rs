//! A PostgreSQL of the tests' own: in a temporary folder, on a unix socket, gone when the test process is gone.

use crate::PATIENCE;
use std::{
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Ends the server and removes its folder when standard input is closed, which happens however the tests end.
const KEEPER: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c max_connections=400 -c shared_buffers=32MB \
    -c fsync="$3" -c synchronous_commit="$3" -c full_page_writes="$3" >"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -INT "$server"
wait "$server"
rm -rf "$2"
"#;

pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    owner: Option<Owner>,
    databases: AtomicU32,
    /// Closing its standard input ends the server.
    _keeper: Child,
}

/// PostgreSQL refuses to run as root, so root lends it another user.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

/// The one server of this test process; the error says why there is none.
pub fn shared() -> Result<&'static Postgres, &'static str> {
    static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
    SHARED.get_or_init(|| Postgres::start(false)).as_ref().map_err(String::as_str)
}

impl Postgres {
    /// `durable` decides whether commits wait for the disk; tests of logic need not.
    pub fn start(durable: bool) -> Result<Self, String> {
        let programs = programs().ok_or("PostgreSQL's programs are not installed (scripts/setup-test.sh)")?;
        let owner = if is_root() { Some(unprivileged()?) } else { None };
        // A short path: a unix socket's name has room for about 100 bytes.
        let folder = tempfile::Builder::new()
            .prefix("wlpg")
            .tempdir_in("/tmp")
            .map_err(|error| format!("no temporary folder: {error}"))?
            .keep();
        if let Some(owner) = owner {
            std::os::unix::fs::chown(&folder, Some(owner.user), Some(owner.group))
                .map_err(|error| format!("chown: {error}"))?;
        }
        let mut initdb = command(&programs.join("initdb"), owner);
        initdb.arg("-D").arg(folder.join("data")).args([
            "--auth=trust",
            "--username=windlass",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        run(&mut initdb)?;
        let mut keeper = command(Path::new("/bin/sh"), owner);
        keeper.args(["-c", KEEPER, "keeper"]).arg(&programs).arg(&folder).arg(if durable {
            "on"
        } else {
            "off"
        });
        let keeper = keeper
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("the server was not started: {error}"))?;
        let server = Self { programs, folder, owner, databases: AtomicU32::new(0), _keeper: keeper };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut ready = command(&self.programs.join("pg_isready"), self.owner);
            ready.arg("-q").arg("-h").arg(&self.folder).args(["-U", "windlass"]);
            if run(&mut ready).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(format!("the server did not start within {PATIENCE:?}: {log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The URL of a new, empty database.
    pub fn database(&self) -> Result<String, String> {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut create = command(&self.programs.join("createdb"), self.owner);
        create.arg("-h").arg(&self.folder).args(["-U", "windlass", "--template=template0"]).arg(&name);
        run(&mut create)?;
        Ok(format!("postgres://windlass@localhost/{name}?host={}", self.folder.display()))
    }
}

/// The newest server's programs; Debian keeps them outside PATH.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter(|entry| entry.path().join("bin/initdb").exists())
        .max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    if let Some(entry) = newest {
        return Some(entry.path().join("bin"));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
}

fn unprivileged() -> Result<Owner, String> {
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    for wanted in ["postgres", "nobody"] {
        for line in users.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, user, group, ..] = fields[..]
                && name == wanted
                && let (Ok(user), Ok(group)) = (user.parse(), group.parse())
            {
                return Ok(Owner { user, group });
            }
        }
    }
    Err("there is neither a user postgres nor a user nobody to run PostgreSQL as".into())
}

fn command(program: &Path, owner: Option<Owner>) -> Command {
    let mut command = Command::new(program);
    // The current folder may be one that the other user cannot enter.
    command.current_dir("/").env_remove("PGDATA").env_remove("PGHOST").env_remove("PGPORT");
    if let Some(owner) = owner {
        command.uid(owner.user).gid(owner.group);
    }
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
