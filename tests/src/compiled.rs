//! Compiled plugins that the servers of all tests begin with: compiling them takes a debug build many seconds a start.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::UNIX_EPOCH;

use crate::server::program;

/// Gives a server's data folder what the program would compile at its first start, unless it has been started before.
pub fn borrow_plugins(data: &Path) {
    static READY: OnceLock<PathBuf> = OnceLock::new();
    let own = data.join("plugins");
    if !own.exists() {
        fs::create_dir_all(data).unwrap();
        copy(READY.get_or_init(of_this_program), &own);
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

/// The folder belongs to one build of the program: with another build's, each server would compile what has changed since.
fn of_this_program() -> PathBuf {
    let program = fs::metadata(program()).unwrap();
    let built = program.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let all = self::program().with_file_name("plugins-compiled-for-tests");
    let ours = all.join(format!("{built}-{}", program.len()));
    fs::create_dir_all(&all).unwrap();
    let lock = File::create(all.with_extension("lock")).unwrap();
    // Whoever comes first compiles, the others wait for it; the lock ends with the file.
    lock.lock().unwrap();
    if !ours.exists() {
        let others: Vec<_> = fs::read_dir(&all).unwrap().map(|entry| entry.unwrap().path()).collect();
        let fresh = compile(others.first().map(PathBuf::as_path));
        others.iter().for_each(|other| fs::remove_dir_all(other).unwrap());
        fs::rename(fresh.path().join("plugins"), &ours).unwrap();
    }
    ours
}

/// Starts a server as it comes, beginning with what another build has compiled, and stops it when it listens.
fn compile(earlier: Option<&Path>) -> tempfile::TempDir {
    let data = tempfile::tempdir_in(program().parent().unwrap()).unwrap();
    if let Some(earlier) = earlier {
        copy(earlier, &data.path().join("plugins"));
    }
    let mut server = Command::new(program())
        .arg("serve")
        .env("WINDLASS_LISTEN", "127.0.0.1:0")
        .env("WINDLASS_ROUTER", "false")
        .env("WINDLASS_DATA_DIR", data.path())
        .env("BUILD_LOG_DIR", data.path().join("logs"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let read = BufReader::new(server.stdout.take().unwrap()).read_line(&mut line);
    server.kill().unwrap();
    server.wait().unwrap();
    read.unwrap();
    assert!(line.starts_with("listening on "), "the server that compiles the plugins did not start: {line}");
    data
}
