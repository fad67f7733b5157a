//! What was confirmed is there after `kill -9`.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
};

use windlass::store::{
    Db, DbConfig, tasks, webhook_events,
    webhooks::{self, Ingested},
};
use windlass_tests::sample;

const CHILD: &str = "WINDLASS_TEST_CHILD_DATABASE";
const CONFIRMED: &str = "confirmed ";

/// Not a test of its own: the other end of `commit_survives_sigkill`, in a process that can be killed.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_that_writes_until_it_is_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let db = Db::open(&DbConfig::new(url)).await.unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..16 {
        let db = db.clone();
        callers.spawn(async move {
            for n in 0..100_000 {
                let ingested =
                    webhooks::ingest(&db, sample::delivery(&format!("{caller}-{n}"))).await.unwrap();
                if let Ingested::Stored { event_id } = ingested {
                    // One write a line, so that a line is whole or absent.
                    std::io::stdout()
                        .lock()
                        .write_all(format!("\n{CONFIRMED}{event_id}\n").as_bytes())
                        .unwrap();
                }
            }
        });
    }
    while callers.join_next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("windlass.db").display());
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::the_child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, &url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut confirmed: Vec<String> = Vec::new();
        while confirmed.len() < 100 * round {
            let line = lines.next().expect("the child writes until it is killed").unwrap();
            confirmed.extend(line.strip_prefix(CONFIRMED).map(str::to_owned));
        }
        child.kill().unwrap();
        // What it had confirmed before it died and we had not read yet counts as well.
        for line in lines.map_while(Result::ok) {
            if let Some(id) = line.strip_prefix(CONFIRMED).filter(|id| id.len() == 36) {
                confirmed.push(id.to_owned());
            }
        }
        child.wait().unwrap();
        let db = Db::open(&DbConfig::new(&url)).await.unwrap();
        let mut conn = db.read().await.unwrap();
        for id in &confirmed {
            let event = webhook_events::find(&mut conn, id).await.unwrap();
            assert_eq!(
                tasks::list_by_subject(&mut conn, &event.id).await.unwrap().len(),
                1,
                "event and task together"
            );
        }
        drop(conn);
        db.close().await;
    }
}
