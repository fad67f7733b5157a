//! The push of Bitbucket Cloud → ours. It names no paths.

use serde::{Deserialize, Deserializer};
use windlass_sdk::Failure;
use windlass_sdk::forge::{Change, Commit, Push, RefUpdate, Repository, asks_to_skip_ci, malformed, unix_ms};

#[derive(Deserialize)]
pub struct Payload {
    actor: Option<Actor>,
    repository: Repo,
    push: Changes,
}

#[derive(Deserialize)]
struct Actor {
    nickname: Option<String>,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Repo {
    full_name: String,
    #[serde(default)]
    links: Links,
    mainbranch: Option<Named>,
}

#[derive(Default, Deserialize)]
struct Links {
    html: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Changes {
    changes: Vec<RefChange>,
}

#[derive(Deserialize)]
struct RefChange {
    /// Absent when the ref is gone.
    new: Option<Ref>,
    /// Absent when the ref is new.
    old: Option<Ref>,
    #[serde(default, deserialize_with = "or_default")]
    forced: bool,
}

#[derive(Deserialize)]
struct Ref {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    hash: String,
    #[serde(default)]
    message: String,
    date: Option<String>,
    author: Option<Author>,
}

#[derive(Deserialize)]
struct Author {
    /// `Name <mail>`, as git has it.
    raw: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

/// `null` stands for no in places.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

pub fn push(payload: Payload) -> Result<Push, Failure> {
    let sender = payload.actor.and_then(|actor| actor.nickname.or(actor.display_name)).unwrap_or_default();
    let changes = payload.push.changes.iter().map(change).collect::<Result<_, _>>()?;
    Ok(Push { repository: repository(payload.repository), sender, changes })
}

fn change(change: &RefChange) -> Result<Change, Failure> {
    let Some(known) = change.new.as_ref().or(change.old.as_ref()) else {
        return Err(malformed("A change in `push.changes` has neither `new` nor `old`."));
    };
    let name = match known.kind.as_str() {
        "branch" => format!("refs/heads/{}", known.name),
        "tag" | "annotated_tag" => format!("refs/tags/{}", known.name),
        // Those of Mercurial are long gone; whatever else there will be is not guessed at.
        other => format!("{other}/{}", known.name),
    };
    let hash = |side: &Option<Ref>| side.as_ref().map(|side| side.target.hash.clone()).unwrap_or_default();
    let (before, after) = (hash(&change.old), hash(&change.new));
    let update = RefUpdate { name: &name, before: &before, after: &after, deleted: change.new.is_none() };
    let mut read = update.change()?;
    if let (Some(new), Some(after)) = (&change.new, &read.after) {
        read.head = Some(commit(&new.target, after.clone()));
        read.skip_ci = asks_to_skip_ci(&new.target.message);
    }
    if change.forced {
        read.extras.push(("forced".to_owned(), "true".to_owned()));
    }
    Ok(read)
}

fn commit(target: &Target, sha: String) -> Commit {
    let author = target.author.as_ref();
    let author = author
        .and_then(|author| author.raw.clone().or(author.nickname.clone()).or(author.display_name.clone()));
    Commit {
        sha,
        message: target.message.clone(),
        author: author.unwrap_or_default(),
        at: target.date.as_deref().and_then(unix_ms),
    }
}

/// The payload has the page's address only; that of the clone has the same path.
fn repository(repository: Repo) -> Repository {
    let page = repository.links.html.map(|link| link.href);
    let urls = [Some(format!("https://bitbucket.org/{}", repository.full_name)), page];
    let mut urls: Vec<String> = urls.into_iter().flatten().collect();
    urls.dedup();
    Repository {
        full_name: repository.full_name,
        urls,
        default_branch: repository.mainbranch.map(|main| main.name),
    }
}
