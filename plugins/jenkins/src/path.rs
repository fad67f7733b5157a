//! Names of jobs and builds, and the paths they have on the server.

use windlass_sdk::Failure;
use windlass_sdk::http::segment;

/// What Jenkins takes in no name (`jenkins.model.Jenkins.checkGoodName`), and `/`, which is between names here.
const BAD: &str = "?*/\\%!@#$^&|<>[]:;";
/// Folders in one another. Each costs requests, of which a call has 32.
const DEEPEST: usize = 8;
/// Bytes of an id that the host keeps.
const ID_BYTES: usize = 1024;

/// A job, or a folder, by its names from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPath(Vec<String>);

impl JobPath {
    /// Reads an id.
    pub fn of(id: &str) -> Result<Self, Failure> {
        let names: Vec<String> = id.split('/').map(str::to_owned).collect();
        if names.iter().any(|name| complaint(name).is_some()) {
            let said = format!("`{id}` is no job's full name, such as `folder/job`.");
            return Err(Failure::permanent("no-such-job", said));
        }
        Ok(Self(names))
    }

    /// The place of a job that is to be made.
    pub fn new(folder: Option<&str>, name: &str) -> Result<Self, Failure> {
        let folders = folder.unwrap_or_default().split('/').filter(|name| !name.is_empty());
        let names: Vec<String> = folders.chain([name]).map(str::to_owned).collect();
        for name in &names {
            if let Some(complaint) = complaint(name) {
                let said = format!("Jenkins takes no job or folder with the name `{name}`: {complaint}.");
                return Err(Failure::permanent("invalid-job", said));
            }
        }
        let path = Self(names);
        if path.0.len() > DEEPEST + 1 || path.id().len() > ID_BYTES {
            let said = format!("The job would be more than {DEEPEST} folders deep, or its name too long.");
            return Err(Failure::permanent("invalid-job", said));
        }
        Ok(path)
    }

    /// The job's id, which is its full name.
    pub fn id(&self) -> String {
        self.0.join("/")
    }

    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// `/job/folder/job/name`.
    pub fn url_path(&self) -> String {
        self.0.iter().map(|name| format!("/job/{}", segment(name))).collect()
    }

    /// The folders it is in, the outermost first.
    pub fn folders(&self) -> impl Iterator<Item = Self> + '_ {
        (1..self.0.len()).map(|depth| Self(self.0[..depth].to_vec()))
    }

    /// Where an item of that name is made: `/job/folder/createItem?name=…`.
    pub fn create_path(&self) -> String {
        let parent = Self(self.0[..self.0.len() - 1].to_vec());
        format!("{}/createItem?name={}", parent.url_path(), segment(self.name()))
    }

    /// `/job/name/7`, with more behind it.
    pub fn build_path(&self, number: u64, rest: &str) -> String {
        format!("{}/{number}{rest}", self.url_path())
    }
}

/// Why Jenkins would not take the name, if it would not.
fn complaint(name: &str) -> Option<String> {
    if name.trim() != name || name.is_empty() {
        return Some("it is empty, or has blanks around it".to_owned());
    }
    if name.ends_with('.') {
        return Some("it ends with a dot".to_owned());
    }
    let bad = name.chars().find(|&character| BAD.contains(character) || character.is_control())?;
    Some(format!("`{}` is not allowed in it", bad.escape_debug()))
}

/// A build by its number, or by its place in the queue as long as it has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BuildRef {
    Number(u64),
    Queued(u64),
}

impl BuildRef {
    pub fn of(id: &str) -> Result<Self, Failure> {
        let (kind, digits): (fn(u64) -> Self, &str) = match id.strip_prefix("queue-") {
            Some(digits) => (Self::Queued, digits),
            None => (Self::Number, id),
        };
        digits.parse().map(kind).map_err(|_| {
            let said = format!("`{id}` is no build of Jenkins, such as `7`, or `queue-143` while it waits.");
            Failure::permanent("no-such-build", said)
        })
    }

    pub fn id(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Queued(item) => format!("queue-{item}"),
        }
    }
}
