//! What people look at in a repository: its history, folders, files, branches and tags.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{UnixMs, reference};
use crate::error::{Error, Result};

/// Nobody reads a history page by page beyond this many commits; each page has to walk past those before it.
pub const DEEPEST_HISTORY: usize = 10_000;
/// How much of a file's beginning says whether it is text, as git does it.
const TELLING_BYTES: usize = 8_000;

/// Where a page of a history begins. It names the commit that the first page began with, so that a push in between moves
/// nothing from one page to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub head: String,
    pub skip: usize,
}

impl Cursor {
    /// # Errors
    /// `Invalid` for what is no cursor that an earlier page gave.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::invalid("cursor", "this is no cursor; pass `next` of the page before");
        let (head, skip) = text.split_once('.').ok_or_else(wrong)?;
        reference::check_commit(head).map_err(|_| wrong())?;
        let skip = skip.parse().ok().filter(|skip| *skip <= DEEPEST_HISTORY).ok_or_else(wrong)?;
        Ok(Self { head: head.to_owned(), skip })
    }

    pub fn text(&self) -> String {
        format!("{}.{}", self.head, self.skip)
    }

    /// Of the page after one of `limit` commits; none where nobody reads on.
    pub fn next(&self, limit: usize) -> Option<Self> {
        let skip = self.skip + limit;
        (skip < DEEPEST_HISTORY).then(|| Self { head: self.head.clone(), skip })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    Folder,
    File,
    /// It is shown and never followed.
    Link,
    /// Another repository at this place.
    Submodule,
}

impl EntryKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File => "file",
            Self::Link => "link",
            Self::Submodule => "submodule",
        }
    }
}

/// What a folder of a commit contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub kind: EntryKind,
    /// Bytes of a file or link.
    pub size: Option<u64>,
}

/// A file's content, as far as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub size: u64,
    pub is_binary: bool,
    /// None for a binary file, and for one that is too large to be shown.
    pub text: Option<String>,
}

impl Content {
    /// Of a file that was read as a whole, or not at all because it is too large.
    pub fn of(size: u64, bytes: Option<Vec<u8>>) -> Self {
        let Some(bytes) = bytes else { return Self { size, is_binary: false, text: None } };
        let text = match bytes.iter().take(TELLING_BYTES).any(|byte| *byte == 0) {
            true => None,
            false => String::from_utf8(bytes).ok(),
        };
        Self { size, is_binary: text.is_none(), text }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefKind {
    Branch,
    Tag,
}

impl RefKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
        }
    }
}

/// A branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub kind: RefKind,
    pub name: String,
    /// The commit that it leads to.
    pub sha: String,
    /// When that was committed.
    pub at: UnixMs,
    /// It is the server's default branch.
    pub is_default: bool,
}

/// What this server talks to a host by ssh for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostPurpose {
    /// It has repositories.
    Git,
    /// It is a deploy target.
    Target,
}

impl HostPurpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Target => "target",
        }
    }
}

/// The ssh host key of a git server or deploy target, trusted when it was first seen and pinned from then on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KnownHost {
    pub purpose: HostPurpose,
    /// `forge.example`, or with its port `[forge.example]:2222`.
    pub host: String,
    /// Such as `ssh-ed25519`.
    pub kind: String,
    /// `SHA256:…`, as ssh prints it; empty if the line in the file makes no sense.
    pub fingerprint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_taken() {
        let first = Cursor { head: "a".repeat(40), skip: 0 };
        let second = first.next(50).expect("a page");
        assert_eq!(Cursor::parse(&second.text()).expect("a cursor"), second);
        assert_eq!(Cursor { skip: DEEPEST_HISTORY - 50, ..first }.next(50), None);
        for text in ["", "main.50", ".50", &"a".repeat(40), &format!("{}.-1", "a".repeat(40)), "x.10001"] {
            assert!(Cursor::parse(text).is_err(), "{text}");
        }
        assert!(Cursor::parse(&format!("{}.10001", "a".repeat(40))).is_err());
    }

    #[test]
    fn text_is_shown_and_everything_else_is_said_to_be_binary() {
        let of = |bytes: &[u8]| Content::of(bytes.len() as u64, Some(bytes.to_vec()));
        assert_eq!(of("grüße\n".as_bytes()).text.as_deref(), Some("grüße\n"));
        assert_eq!(of(b"").text.as_deref(), Some(""));
        for bytes in [&b"\x7fELF\0"[..], b"\xff\xfe"] {
            let found = of(bytes);
            assert!(found.is_binary && found.text.is_none(), "{bytes:?}");
        }
        let large = Content::of(1 << 30, None);
        assert!(!large.is_binary && large.text.is_none());
    }
}
