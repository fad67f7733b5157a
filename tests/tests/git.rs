//! The git module against real servers: smart HTTP, `git daemon`, and `sshd` where one is installed.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use windlass::{
    domain::{Id, code::EntryKind},
    error::{Error, Result},
    git::{Git, GitAuth, Log, RepoAccess},
};
use windlass_tests::PATIENCE;
use windlass_tests::docker::eventually;
use windlass_tests::git_server::{File, GitDaemon, GitServer, Sshd, TestRepo, outgoing};
use windlass_tests::tools::{skipped, this_test};

/// A `Git` in a folder of its own, and what it said.
struct Rig {
    git: Git,
    folder: TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::open(folder.path().join("git"), outgoing()).unwrap();
        Self { git, folder, said: Arc::default() }
    }

    fn log(&self) -> Log {
        let said = Arc::clone(&self.said);
        Arc::new(move |line| said.lock().unwrap().push(line.to_string()))
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().join("\n")
    }

    async fn fetch(&self, repo: &RepoAccess) -> Result<()> {
        self.git.fetch(repo, &CancellationToken::new(), self.log()).await
    }

    fn mirror(&self, repo: &RepoAccess) -> std::path::PathBuf {
        self.folder.path().join(format!("git/mirrors/{}.git", repo.id))
    }
}

fn access(url: String, auth: GitAuth) -> RepoAccess {
    RepoAccess { id: Id::from_text("0192-repo"), url, auth }
}

fn open_access(url: String) -> RepoAccess {
    access(url, GitAuth::None)
}

fn token(token: &str) -> GitAuth {
    GitAuth::HttpToken { username: None, token: token.into() }
}

fn build(text: &str) -> Id {
    Id::from_text(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_fetched_resolved_read_and_checked_out() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    let first = repo.commit("main", &[("README.md", "hello\n"), ("src/main.c", "int x;\n")], "First\n\nBody");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();

    let commit = rig.git.resolve(&access.id, "main").await.unwrap();
    assert_eq!(
        (commit.sha.as_str(), commit.subject(), commit.author.as_str()),
        (first.as_str(), "First", "Ada")
    );
    assert_eq!(rig.git.list_files(&access.id, &first, 10).await.unwrap(), ["README.md", "src/main.c"]);
    let (entries, more) = rig.git.list_folder(&access.id, &first, "").await.unwrap();
    let seen: Vec<_> = entries.iter().map(|one| (one.name.as_str(), one.kind, one.size)).collect();
    assert_eq!(seen, [("src", EntryKind::Folder, None), ("README.md", EntryKind::File, Some(6))]);
    assert!(!more);
    assert_eq!(rig.git.file(&access.id, &first, "src/main.c").await.unwrap(), b"int x;\n");

    let second = repo.commit("main", &[("src/main.c", "int y;\n")], "Second");
    rig.fetch(&access).await.unwrap();
    assert_eq!(rig.git.head_commit(&access.id).await.unwrap().sha, second);
    let history = async |skip, limit| {
        let commits = rig.git.history(&access.id, "main", skip, limit).await.unwrap();
        commits.into_iter().map(|one| one.sha).collect::<Vec<_>>()
    };
    assert_eq!(history(0, 10).await, [second, first.clone()]);
    assert_eq!(history(1, 1).await, std::slice::from_ref(&first));

    let checkout = rig.git.checkout(&access.id, &first, &build("b1"), rig.log()).await.unwrap();
    assert_eq!(std::fs::read_to_string(checkout.path().join("src/main.c")).unwrap(), "int x;\n");
    assert!(!checkout.path().join(".git").exists());
    let path = checkout.path().to_path_buf();
    checkout.close().await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn branches_tags_and_commit_ids_are_found_and_others_named() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    let first = repo.commit("main", &[("a", "1")], "one");
    repo.git(&["tag", "light"]);
    repo.git(&["tag", "-a", "-m", "annotated", "v1.0.0"]);
    let second = repo.commit("feature/x", &[("a", "2")], "two");
    repo.git(&["tag", "main"]);
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();
    for (name, sha) in [
        ("main", &first),
        ("light", &first),
        ("v1.0.0", &first),
        ("refs/tags/v1.0.0", &first),
        ("feature/x", &second),
        ("refs/heads/feature/x", &second),
        (second.as_str(), &second),
        (&second[..9], &second),
    ] {
        assert_eq!(&rig.git.resolve(&access.id, name).await.unwrap().sha, sha, "{name}");
    }
    for name in ["nowhere", "v2", "0123456789012345678901234567890123456789", "abcdef1"] {
        let error = rig.git.resolve(&access.id, name).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains(name), "{error}");
    }
    for name in ["--upload-pack=id", "main^{tree}", "HEAD~1", "a b"] {
        let error = rig.git.resolve(&access.id, name).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
    let refs = rig.git.ls_remote(&access, &CancellationToken::new()).await.unwrap();
    assert_eq!(refs.default_branch.as_deref(), Some("main"));
    assert_eq!(refs.commit("v1.0.0"), Some(first.as_str()));
    assert_eq!(refs.commit("feature/x"), Some(second.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_deletes_moves_or_nests_anew_is_followed() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    repo.commit("main", &[("a", "1")], "one");
    repo.commit("topic", &[("a", "2")], "two");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();

    repo.git(&["branch", "-D", "topic"]);
    let nested = repo.commit("topic/deeper", &[("a", "3")], "three");
    repo.git(&["branch", "-m", "main", "trunk"]);
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    let forced = repo.commit_raw_tree("trunk", "");
    rig.fetch(&access).await.unwrap();
    assert_eq!(rig.git.resolve(&access.id, "topic/deeper").await.unwrap().sha, nested);
    assert_eq!(rig.git.resolve(&access.id, "trunk").await.unwrap().sha, forced);
    assert_eq!(rig.git.head_commit(&access.id).await.unwrap().sha, forced);
    for gone in ["topic", "main"] {
        assert!(rig.git.resolve(&access.id, gone).await.is_err(), "{gone}");
    }
    assert_eq!(rig.git.default_branch(&access).await.unwrap(), "trunk");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_is_no_error_until_something_is_wanted() {
    let server = GitServer::start().await;
    server.create("app");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.git.test_connection(&access).await.unwrap();
    rig.fetch(&access).await.unwrap();
    assert!(matches!(rig.git.resolve(&access.id, "main").await, Err(Error::NotFound { .. })));
    assert!(matches!(rig.git.head_commit(&access.id).await, Err(Error::NotFound { .. })));
    assert!(rig.git.default_branch(&access).await.unwrap_err().to_string().contains("no branch yet"));
    let other = Id::from_text("never-fetched");
    assert!(matches!(rig.git.resolve(&other, "main").await, Err(Error::Conflict(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_builds_that_ask_at_once_share_their_fetches() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    server.delay_packs(Duration::from_millis(300));
    let all = (0..50).map(|_| rig.fetch(&access));
    for outcome in futures_util::future::join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!(server.fetches(), 1, "one pack is enough for all");
    assert!(rig.said().matches("Fetching").count() <= 2, "{}", rig.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_began_before_the_push_does_not_count_for_a_later_request() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    server.delay_packs(Duration::from_millis(500));
    let (early, late) = tokio::join!(rig.fetch(&access), async {
        eventually("the first pack is asked for", async || server.fetches() == 1).await;
        let pushed = repo.commit("main", &[("a", "2")], "two");
        rig.fetch(&access).await.unwrap();
        (pushed, rig.git.resolve(&access.id, "main").await.unwrap().sha)
    });
    early.unwrap();
    assert_eq!(late.0, late.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_explained_and_never_shown() {
    let server = GitServer::start_with_token("s3cret-t0ken").await;
    let repo = server.create("app");
    repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    rig.fetch(&access(server.url("app"), token("s3cret-t0ken"))).await.unwrap();
    for auth in [GitAuth::None, token("wr0ng-t0ken")] {
        let access = access(server.url("app"), auth);
        for error in
            [rig.fetch(&access).await.unwrap_err(), rig.git.test_connection(&access).await.unwrap_err()]
        {
            let text = error.to_string();
            assert!(matches!(error, Error::Failed(_)), "{text}");
            assert!(text.contains("store a token or ssh key"), "{text}");
            assert!(!text.contains("wr0ng-t0ken"), "{text}");
        }
    }
    assert!(!rig.said().contains("t0ken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_away_or_know_nothing_are_told_apart() {
    let server = GitServer::start().await;
    let rig = Rig::new();
    let missing = rig.fetch(&open_access(server.url("nothing"))).await.unwrap_err();
    assert!(matches!(missing, Error::Failed(_)), "{missing}");
    assert!(missing.to_string().contains("there is no repository at http://"), "{missing}");
    let url = server.url("app");
    drop(server);
    let away = rig.fetch(&open_access(url)).await.unwrap_err();
    assert!(matches!(away, Error::Unavailable(_)), "{away}");
    let nowhere = rig.fetch(&open_access("https://git.invalid/app.git".into())).await.unwrap_err();
    assert!(matches!(nowhere, Error::Unavailable(_)), "{nowhere}");
    for url in ["file:///etc", "ext::sh -c id", "ssh://-oProxyCommand=id/x", "/srv/repo"] {
        let refused = rig.fetch(&open_access(url.into())).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { .. }), "{url}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_followed_to_where_the_repository_is() {
    let (server, other) = (GitServer::start_with_token("s3cret-t0ken").await, GitServer::start().await);
    let here = server.create("app").commit("main", &[("a", "1")], "one");
    let there = other.create("app").commit("main", &[("a", "2")], "two");
    // To another path of the same server, where the credentials are still good.
    server.redirect("/old/", "/");
    let moved = access(server.url("old/app"), token("s3cret-t0ken"));
    let rig = Rig::new();
    rig.fetch(&moved).await.unwrap();
    assert_eq!(rig.git.resolve(&moved.id, "main").await.unwrap().sha, here);
    // To another server, which asks for none.
    server.redirect_to(&format!("http://localhost:{}", other.address().port()));
    let access = access(server.url("app"), token("s3cret-t0ken"));
    let rig = Rig::new();
    rig.fetch(&access).await.unwrap();
    assert_eq!(rig.git.resolve(&access.id, "main").await.unwrap().sha, there);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_that_leads_to_no_repository_is_told_as_such() {
    let server = GitServer::start().await;
    let rig = Rig::new();
    let repo = open_access(server.url("app"));
    for (to, words) in [
        ("/users/sign_in?", "redirects to a page that is no repository"),
        ("mailto:someone@forge.example?", "redirects to an address that cannot be used"),
        ("http://me:password@forge.example", "redirects to an address that cannot be used"),
    ] {
        server.redirect("/app.git", to);
        let error = rig.fetch(&repo).await.unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{to}: {error}");
    }
    server.redirect("/app.git", "http://forge.invalid");
    let away = rig.fetch(&repo).await.unwrap_err();
    assert!(matches!(away, Error::Unavailable(_)), "{away:?}");
    assert!(away.to_string().contains("redirects to cannot be reached: its name"), "{away}");
    server.redirect_to("");
    let error = rig.git.test_connection(&repo).await.unwrap_err();
    assert!(error.to_string().contains("redirects again and again"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_ends_when_it_is_cancelled_or_takes_too_long() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    server.delay_packs(Duration::from_millis(1500));
    let cancel = CancellationToken::new();
    let (outcome, ()) = tokio::join!(rig.git.fetch(&access, &cancel, rig.log()), async {
        eventually("a pack is asked for", async || server.fetches() == 1).await;
        cancel.cancel();
    });
    assert!(matches!(outcome, Err(Error::Cancelled(_))), "{outcome:?}");

    let hasty = Git::open_with_limit(rig.folder.path().join("hasty"), outgoing(), Duration::from_millis(300))
        .unwrap();
    let outcome = hasty.fetch(&access, &CancellationToken::new(), rig.log()).await;
    assert!(matches!(outcome, Err(Error::Timeout { .. })), "{outcome:?}");

    server.delay_packs(Duration::ZERO);
    rig.fetch(&access).await.unwrap();
    assert!(rig.git.resolve(&access.id, "main").await.is_ok());
}

/// What it is called, and how it is inflicted on a mirror.
type Wound = (&'static str, fn(&Path));

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_a_killed_process_left_broken_heals() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();
    let mirror = rig.mirror(&access);
    let wounds: [Wound; 5] = [
        ("locks", |mirror| {
            for lock in ["refs/heads/main.lock", "config.lock", "packed-refs.lock", "HEAD.lock"] {
                std::fs::write(mirror.join(lock), "").unwrap();
            }
        }),
        ("half a pack", |mirror| {
            std::fs::write(mirror.join("objects/pack/pack_git2_abc"), "PACK").unwrap();
            std::fs::write(mirror.join("objects/pack/pack-00.pack"), "PACK").unwrap();
        }),
        ("no objects", |mirror| std::fs::remove_dir_all(mirror.join("objects")).unwrap()),
        ("empty packs", |mirror| {
            for pack in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
                let path = pack.unwrap().path();
                std::fs::remove_file(&path).unwrap();
                std::fs::write(path, "").unwrap();
            }
        }),
        ("no HEAD", |mirror| std::fs::remove_file(mirror.join("HEAD")).unwrap()),
    ];
    for (n, (what, wound)) in wounds.into_iter().enumerate() {
        wound(&mirror);
        let pushed = repo.commit("main", &[("a", &format!("after {n}"))], what);
        // A new process: nothing of the old one's memory is left.
        let git = Git::open(rig.folder.path().join("git"), outgoing()).unwrap();
        git.fetch(&access, &CancellationToken::new(), rig.log())
            .await
            .unwrap_or_else(|error| panic!("{what}: {} ({})", error.for_log(), rig.said()));
        assert_eq!(git.resolve(&access.id, "main").await.unwrap().sha, pushed, "{what}");
        windlass_tests::git_server::git(&mirror, &["fsck", "--no-dangling"]);
    }
}

/// The process that is killed: fetches until then. Started by the test below, with where and what in its environment.
#[tokio::test]
#[ignore = "it is the other process of a_fetch_killed_at_any_moment_is_survived"]
async fn fetch_until_killed() {
    let (root, url) =
        (std::env::var("WINDLASS_TEST_ROOT").unwrap(), std::env::var("WINDLASS_TEST_URL").unwrap());
    let git = Git::open(root.into(), outgoing()).unwrap();
    let outcome = git.fetch(&open_access(url), &CancellationToken::new(), Arc::new(|_| ())).await;
    outcome.unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

/// Some 20 kB that do not compress well, other ones for each seed.
fn noise(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    (0..1250).map(next).collect()
}

/// Whether somebody was in the middle of writing this mirror.
fn is_cut_short(mirror: &Path) -> bool {
    let packs = std::fs::read_dir(mirror.join("objects/pack")).into_iter().flatten().flatten();
    packs.map(|one| one.file_name()).any(|name| !name.to_string_lossy().starts_with("pack-"))
        || mirror.join("refs/heads/main.lock").exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_killed_at_any_moment_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let repo = TestRepo::create(&folder.path().join("app.git"));
    let daemon = GitDaemon::start(folder.path());
    let rig = Rig::new();
    let access = open_access(daemon.url("app"));
    let root = rig.folder.path().join("git");
    let (mut cut_short, mut rounds) = (0, 0..40_u64);
    // Where another process holds the machine up, it may be over before it is killed.
    while cut_short < 8 {
        let round = rounds.next().expect("the test has to hit");
        let names: Vec<String> = (0..150).map(|n| format!("{round}/{n}.txt")).collect();
        let texts: Vec<String> = (0..150).map(|n| noise(round * 150 + n)).collect();
        let files: Vec<(&str, &str)> =
            names.iter().zip(&texts).map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let pushed = repo.commit("main", &files, "more");
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "fetch_until_killed", "--ignored"])
            .env("WINDLASS_TEST_ROOT", &root)
            .env("WINDLASS_TEST_URL", &access.url)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Once it writes, it may go on for some milliseconds: from the first bytes until after the last ones.
        let mirror = rig.mirror(&access);
        let deadline = Instant::now() + PATIENCE;
        while !is_cut_short(&mirror) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_millis(round % 10 * 6));
        child.kill().unwrap();
        child.wait().unwrap();
        cut_short += usize::from(is_cut_short(&mirror));
        let git = Git::open(root.clone(), outgoing()).unwrap();
        git.fetch(&access, &CancellationToken::new(), rig.log()).await.unwrap();
        assert_eq!(git.resolve(&access.id, "main").await.unwrap().sha, pushed, "round {round}");
        windlass_tests::git_server::git(&rig.mirror(&access), &["fsck", "--no-dangling"]);
    }
    assert!(!rig.said().contains("cloning it anew"), "repairing is enough: {}", rig.said());
}

#[tokio::test(flavor = "multi_thread")]
async fn checkouts_of_dead_processes_go_and_those_of_living_ones_stay() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    let sha = repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();
    let held = rig.git.checkout(&access.id, &sha, &build("held"), rig.log()).await.unwrap();
    let again = rig.git.checkout(&access.id, &sha, &build("held"), rig.log()).await;
    assert!(matches!(again, Err(Error::Conflict(_))));
    let dead = rig.folder.path().join("git/checkouts/dead");
    std::fs::create_dir_all(dead.join("src")).unwrap();
    std::fs::write(dead.with_extension("lock"), "").unwrap();
    let _second = Git::open(rig.folder.path().join("git"), outgoing()).unwrap();
    assert!(!dead.exists() && !dead.with_extension("lock").exists());
    assert!(held.path().join("a").exists());
    drop(held);
    assert_eq!(std::fs::read_dir(rig.folder.path().join("git/checkouts")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_modes_and_submodules_are_written_as_they_are() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = GitServer::start().await;
    let repo = server.create("app");
    let nobody = "0123456789012345678901234567890123456789";
    let file = |path, mode, content: &'static str| File { path, mode, content: content.as_bytes() };
    let sha = repo.commit_files(
        "main",
        &[
            file("run.sh", "100755", "#!/bin/sh\n"),
            file("data", "100644", "x\r\n"),
            file("out", "120000", "/etc/passwd"),
            file("lib", "160000", nobody),
            file(".gitmodules", "100644", "[submodule \"lib\"]\n"),
            file(".gitattributes", "100644", "*.bin filter=lfs\n* text eol=lf\n"),
        ],
        "all kinds",
    );
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();
    let checkout = rig.git.checkout(&access.id, &sha, &build("b"), rig.log()).await.unwrap();
    let at = |name: &str| checkout.path().join(name);
    assert_eq!(std::fs::metadata(at("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(std::fs::read(at("data")).unwrap(), b"x\r\n", "no filter has touched it");
    assert_eq!(std::fs::read_link(at("out")).unwrap(), Path::new("/etc/passwd"));
    assert_eq!(std::fs::read_dir(at("lib")).unwrap().count(), 0);
    assert!(rig.said().contains("Submodules are not fetched"), "{}", rig.said());
    assert!(rig.said().contains("Git LFS"), "{}", rig.said());
    let link = rig.git.file(&access.id, &sha, "out").await.unwrap_err();
    assert!(matches!(link, Error::Invalid { .. }), "{link}");
    assert_eq!(std::fs::metadata(checkout.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

/// A repository whose `main` has a submodule at `lib`, from that address.
fn with_submodule(server: &GitServer, name: &str, url: &str, sha: &str) -> String {
    let modules = format!("[submodule \"lib\"]\n\tpath = lib\n\turl = {url}\n\tupdate = !touch /tmp/evil\n");
    let file = |path, mode, content| File { path, mode, content };
    let files = [file("lib", "160000", sha.as_bytes()), file(".gitmodules", "100644", modules.as_bytes())];
    server.create(name).commit_files("main", &files, "with a submodule")
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_are_checked_out_where_they_are_asked_for() {
    let server = GitServer::start_with_token("s3cret").await;
    let lib = server.create("lib").commit("main", &[("lib.c", "int x;\n")], "lib");
    let middle = with_submodule(&server, "middle", "../lib.git", &lib);
    let whole = with_submodule(&server, "app", &server.url("middle"), &middle);
    let rig = Rig::new();
    let access = access(server.url("app"), token("s3cret"));
    rig.fetch(&access).await.unwrap();
    let cancel = CancellationToken::new();
    let checkout = rig.git.checkout_whole(&access, &whole, &build("b"), &cancel, rig.log()).await.unwrap();
    let read = |path: &str| std::fs::read_to_string(checkout.path().join(path)).unwrap();
    assert_eq!(read("lib/lib/lib.c"), "int x;\n");
    assert!(read("lib/.gitmodules").contains("../lib.git"));
    assert!(rig.said().contains("Submodule lib:"), "{}", rig.said());
    assert!(!rig.said().contains("s3cret"), "{}", rig.said());
    let mirrors = rig.git.mirrors().await.unwrap();
    assert!(mirrors.len() == 3 && mirrors.iter().all(|one| one.owner == access.id), "{mirrors:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_that_lead_elsewhere_than_to_a_git_server_are_refused_with_a_reason() {
    let server = GitServer::start_with_token("s3cret").await;
    let open = GitServer::start_with_token("another").await;
    let lib = server.create("lib").commit("main", &[("lib.c", "x")], "lib");
    open.create("lib");
    let elsewhere = open.url("lib");
    let lib = lib.as_str();
    let nobody = "0123456789012345678901234567890123456789";
    let rig = Rig::new();
    let cancel = CancellationToken::new();
    for (n, (url, sha, why)) in [
        ("../../../x", lib, "leads out of the server"),
        ("ext::id", lib, "transport helper"),
        ("file:///etc", lib, "scheme"),
        ("-u./payload", lib, "is no"),
        ("../lib.git", nobody, "no branch or tag"),
        // Another server is not shown the token.
        (elsewhere.as_str(), lib, "refuses us"),
        ("../app6.git", lib, "no branch or tag"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("app{n}");
        let whole = with_submodule(&server, &name, url, sha);
        let mut access = access(server.url(&name), token("s3cret"));
        access.id = Id::from_text(name);
        rig.fetch(&access).await.unwrap();
        let outcome = rig.git.checkout_whole(&access, &whole, &build("b"), &cancel, rig.log()).await;
        let error = outcome.err().unwrap().to_string();
        assert!(error.contains(why), "{url}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
    let link = File { path: ".gitmodules", mode: "120000", content: b"/etc/passwd" };
    let module = File { path: "lib", mode: "160000", content: lib.as_bytes() };
    let whole = server.create("linked").commit_files("main", &[link, module], "a link");
    let access = access(server.url("linked"), token("s3cret"));
    rig.fetch(&access).await.unwrap();
    let outcome = rig.git.checkout_whole(&access, &whole, &build("b"), &cancel, rig.log()).await;
    let error = outcome.err().unwrap().to_string();
    assert!(error.contains("does not say where it comes from"), "{error}");
    assert_eq!(std::fs::read_dir(rig.folder.path().join("git/checkouts")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_without_end_are_refused() {
    let server = GitServer::start().await;
    let mut sha = server.create("deep0").commit("main", &[("a", "1")], "the innermost");
    for n in 1..=4 {
        sha = with_submodule(&server, &format!("deep{n}"), &format!("../deep{}.git", n - 1), &sha);
    }
    let many = server.create("many");
    let paths: Vec<String> = (0..33).map(|n| format!("lib{n}")).collect();
    let inner = "0123456789012345678901234567890123456789".as_bytes();
    let files: Vec<File<'_>> =
        paths.iter().map(|path| File { path, mode: "160000", content: inner }).collect();
    let wide = many.commit_files("main", &files, "many");
    let rig = Rig::new();
    for (name, sha, why) in
        [("deep4", sha, "nested more than 3 deep"), ("many", wide, "more than 32 submodules")]
    {
        let mut access = open_access(server.url(name));
        access.id = Id::from_text(name);
        rig.fetch(&access).await.unwrap();
        let cancel = CancellationToken::new();
        let outcome = rig.git.checkout_whole(&access, &sha, &build("b"), &cancel, rig.log()).await;
        let error = outcome.err().unwrap().to_string();
        assert!(error.contains(why), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trees_that_want_out_or_into_git_itself_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let repo = TestRepo::create(&folder.path().join("evil.git"));
    let daemon = GitDaemon::start(folder.path());
    let blob = repo.blob("evil");
    let link = repo.blob("/tmp");
    let tree = repo.commit_raw_tree("inner", &format!("100644 blob {blob}\tx\n"));
    let tree = repo.rev(&format!("{tree}^{{tree}}"));
    for (n, entries) in [
        format!("040000 tree {tree}\t.git\n"),
        format!("040000 tree {tree}\t.GIT\n"),
        format!("040000 tree {tree}\t..\n"),
        format!("100644 blob {blob}\tgit~1\n"),
        format!("100644 blob {blob}\t.g\u{200c}it\n"),
        // A link, and a folder of the same name to be written through it.
        format!("120000 blob {link}\ta\n040000 tree {tree}\ta\n"),
    ]
    .into_iter()
    .enumerate()
    {
        repo.commit_raw_tree(&format!("evil{n}"), &entries);
    }
    let rig = Rig::new();
    let access = open_access(daemon.url("evil"));
    rig.fetch(&access).await.unwrap();
    for n in 0..6 {
        let sha = rig.git.resolve(&access.id, &format!("evil{n}")).await.unwrap().sha;
        let outcome = rig.git.checkout(&access.id, &sha, &build("evil"), rig.log()).await;
        assert!(matches!(outcome.as_ref().err(), Some(Error::Failed(_))), "tree {n}: {:?}", outcome.err());
    }
    assert!(!Path::new("/tmp/x").exists());
    assert_eq!(std::fs::read_dir(rig.folder.path().join("git/checkouts")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_outside_the_repository_cannot_be_asked_for() {
    let server = GitServer::start().await;
    let repo = server.create("app");
    let sha = repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();
    for path in ["../a", "/etc/passwd", "a/../../b", ".git/config", "-a", "a\0b"] {
        let error = rig.git.file(&access.id, &sha, path).await.unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{path:?}: {error}");
    }
    let missing = rig.git.file(&access.id, &sha, "b").await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
    for id in ["../x", "a/b", "", "-x"] {
        let access = RepoAccess { id: Id::from_text(id), ..access.clone() };
        assert!(matches!(rig.fetch(&access).await, Err(Error::Invalid { .. })), "{id:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_takes_a_key_from_memory_and_pins_the_host_key() {
    let Some(mut sshd) = Sshd::start() else {
        skipped(&this_test(), "no sshd is installed; scripts/setup-test.sh brings it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let repo = TestRepo::create(&folder.path().join("app.git"));
    let sha = repo.commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let key = |private_key: String, passphrase: Option<&str>| {
        let auth =
            GitAuth::SshKey { username: None, private_key, passphrase: passphrase.map(str::to_string) };
        access(sshd.url(&repo), auth)
    };
    let good = key(sshd.client_key(), None);
    // As it comes out of a form: with other line ends and without the last one.
    let pasted = key(sshd.client_key().trim().replace('\n', "\r\n"), None);
    let locked = key(sshd.locked_key(), Some("open sesame"));
    let wrong_passphrase = key(sshd.locked_key(), Some("open barley"));
    let nobody = open_access(sshd.url(&repo));

    rig.fetch(&good).await.unwrap();
    assert_eq!(rig.git.resolve(&good.id, "main").await.unwrap().sha, sha);
    assert!(rig.said().contains("Trusting the host key of [127.0.0.1]:"), "{}", rig.said());
    rig.git.test_connection(&pasted).await.unwrap();
    rig.git.test_connection(&locked).await.unwrap();
    for access in [&wrong_passphrase, &nobody] {
        let error = rig.git.test_connection(access).await.unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error:?}");
        assert!(!error.to_string().contains("barley"), "{error}");
    }

    sshd.replace_host_key();
    let error = rig.fetch(&good).await.unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error:?}");
    assert!(error.to_string().contains("is not the pinned one"), "{error}");
    let known = rig.git.host_keys().list().unwrap();
    assert!(!known.is_empty() && known[0].fingerprint.starts_with("SHA256:"), "{known:?}");
    assert!(rig.git.host_keys().forget(&known[0].host).unwrap());
    assert!(!rig.git.host_keys().forget(&known[0].host).unwrap(), "it is forgotten already");
    rig.fetch(&good).await.unwrap();
    assert_ne!(rig.git.host_keys().list().unwrap(), known);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_of_an_unchanged_repository_asks_for_no_pack() {
    let server = GitServer::start().await;
    let names: Vec<String> = (0..1200).map(|n| format!("src/{}/file{n}.txt", n % 40)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "some text\n")).collect();
    let sha = server.create("big").commit("main", &files, "many files");
    let rig = Rig::new();
    let access = open_access(server.url("big"));
    for _ in 0..6 {
        rig.fetch(&access).await.unwrap();
    }
    assert_eq!(server.fetches(), 1, "the first one brought all there is");
    let checkout = rig.git.checkout(&access.id, &sha, &build("b"), rig.log()).await.unwrap();
    assert!(names.iter().all(|name| checkout.path().join(name).is_file()));
    checkout.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_goes_unless_it_was_fetched_lately_or_somebody_reads_it() {
    let server = GitServer::start().await;
    let sha = server.create("app").commit("main", &[("a", "1")], "one");
    let rig = Rig::new();
    let access = open_access(server.url("app"));
    rig.fetch(&access).await.unwrap();
    let all = rig.git.mirrors().await.unwrap();
    assert!(all.len() == 1 && all[0].id == access.id && all[0].bytes > 100, "{all:?}");
    let (before, after) = (all[0].used - Duration::from_secs(1), all[0].used + Duration::from_secs(1));
    assert!(!rig.git.mirror_remove(&access.id, before).await.unwrap(), "it was fetched lately");

    // Whoever logs the checkout waits at the pipe, so that the checkout is in its middle.
    let fifo = rig.folder.path().join("fifo");
    let log: Log = {
        let fifo = fifo.clone();
        Arc::new(move |line| {
            if line.starts_with("Checked out") {
                let _ = std::fs::read(&fifo);
            }
        })
    };
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (git, id, commit) = (rig.git.clone(), access.id.clone(), sha.clone());
    let checkout = tokio::spawn(async move { git.checkout(&id, &commit, &build("b1"), log).await });
    // Opening it for writing waits for the reader, who is in the middle of the checkout.
    let writer = {
        let fifo = fifo.clone();
        tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(fifo).unwrap())
    };
    let writer = writer.await.unwrap();
    assert!(!rig.git.mirror_remove(&access.id, after).await.unwrap(), "a checkout reads it");
    drop(writer);
    checkout.await.unwrap().unwrap().close().await;

    assert!(rig.git.mirror_remove(&access.id, after).await.unwrap());
    assert!(!rig.mirror(&access).exists() && rig.git.mirrors().await.unwrap().is_empty());
    assert!(rig.git.resolve(&access.id, "main").await.is_err());
    // It comes back when it is needed again.
    rig.fetch(&access).await.unwrap();
    assert_eq!(rig.git.resolve(&access.id, "main").await.unwrap().sha, sha);
}
