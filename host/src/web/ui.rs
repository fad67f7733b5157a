//! The components that every page is made of. Each is a small template that renders itself, escaped.

use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::domain::UnixMs;
use crate::domain::build::BuildStatus;
use crate::domain::deployment::{Deployment, DeploymentStatus};
use crate::domain::rollout::JournalState;

pub fn now() -> UnixMs {
    Utc::now().timestamp_millis()
}

/// A status: a shape, a word and a colour, so that it can be read without seeing colours.
#[derive(Template, Clone, Copy)]
#[template(path = "parts/badge.html")]
pub struct Badge {
    pub tone: Tone,
    pub word: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Good,
    Bad,
    Running,
    Waiting,
    Back,
    Stopped,
}

impl Tone {
    /// The class that carries colour.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Running => "run",
            Self::Waiting => "wait",
            Self::Back => "back",
            Self::Stopped => "stop",
        }
    }
}

impl HtmlSafe for Badge {}

impl From<DeploymentStatus> for Badge {
    fn from(status: DeploymentStatus) -> Self {
        let (tone, word) = match status {
            DeploymentStatus::Pending => (Tone::Waiting, "pending"),
            DeploymentStatus::Building => (Tone::Running, "building"),
            DeploymentStatus::Deploying => (Tone::Running, "deploying"),
            DeploymentStatus::Successful => (Tone::Good, "successful"),
            DeploymentStatus::Failed => (Tone::Bad, "failed"),
            DeploymentStatus::RolledBack => (Tone::Back, "rolled back"),
            DeploymentStatus::Cancelled => (Tone::Stopped, "cancelled"),
        };
        Self { tone, word }
    }
}

impl From<BuildStatus> for Badge {
    fn from(status: BuildStatus) -> Self {
        let (tone, word) = match status {
            BuildStatus::Queued => (Tone::Waiting, "queued"),
            BuildStatus::Building => (Tone::Running, "building"),
            BuildStatus::Success => (Tone::Good, "success"),
            BuildStatus::Failed => (Tone::Bad, "failed"),
            BuildStatus::Cancelled => (Tone::Stopped, "cancelled"),
        };
        Self { tone, word }
    }
}

impl From<JournalState> for Badge {
    fn from(state: JournalState) -> Self {
        let (tone, word) = match state {
            JournalState::Intent => (Tone::Running, "under way"),
            JournalState::Done => (Tone::Good, "done"),
            JournalState::Failed => (Tone::Bad, "failed"),
        };
        Self { tone, word }
    }
}

/// A point in time: how long ago, and exactly when the pointer rests on it.
#[derive(Template, Clone)]
#[template(
    ext = "html",
    source = r#"<time datetime="{{ iso }}" title="{{ exact }}" data-relative>{{ relative }}</time>"#
)]
pub struct When {
    iso: String,
    exact: String,
    relative: String,
}

impl HtmlSafe for When {}

impl When {
    pub fn new(at: UnixMs) -> Self {
        let time = DateTime::<Utc>::from_timestamp_millis(at).unwrap_or_default();
        Self {
            iso: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            exact: time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            relative: relative(at, now()),
        }
    }
}

/// `5 B`, `2 KiB`, `1.5 GiB`.
pub fn size(bytes: i64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// How far `at` is from `now`, in the largest unit that says enough. The script counts on with the same rules.
fn relative(at: UnixMs, now: UnixMs) -> String {
    let seconds = (now - at) / 1000;
    let (word, seconds) = if seconds < 0 { ("in", -seconds) } else { ("ago", seconds) };
    let text = match seconds {
        0..5 => return "just now".into(),
        5..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if word == "in" { format!("in {text}") } else { format!("{text} ago") }
}

/// A span of time for people: `420 ms`, `4.2 s`, `1 min 5 s`, `2 h 3 min`.
pub fn duration(ms: i64) -> String {
    match ms {
        i64::MIN..1000 => format!("{} ms", ms.max(0)),
        1000..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..60_000 => format!("{} s", ms / 1000),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// A span of time that may be much shorter: `85 µs`, `1.2 ms`.
pub fn micros(us: i64) -> String {
    match us {
        i64::MIN..1000 => format!("{} µs", us.max(0)),
        1000..10_000 => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        _ => duration(us / 1000),
    }
}

/// Branch and commit of something, short, with the message beside it.
#[derive(Template, Clone)]
#[template(path = "parts/commit.html")]
pub struct Commit {
    pub branch: String,
    pub short: String,
    pub full: String,
    pub message: String,
}

impl HtmlSafe for Commit {}

impl From<&Deployment> for Commit {
    fn from(row: &Deployment) -> Self {
        // A deployment of a bare commit carries it as its branch too; saying it twice helps nobody.
        let branch = if row.branch == row.commit_sha { String::new() } else { row.branch.clone() };
        Self {
            branch,
            short: short(&row.commit_sha),
            full: row.commit_sha.clone(),
            message: first_line(row.commit_message.as_deref()),
        }
    }
}

impl Commit {
    pub fn of_sha(sha: &str) -> Self {
        Self { branch: String::new(), short: short(sha), full: sha.to_string(), message: String::new() }
    }
}

/// Enough of a commit id or digest to recognise it.
pub fn short(hash: &str) -> String {
    let hash = hash.strip_prefix("sha256:").unwrap_or(hash);
    hash.chars().take(8).collect()
}

fn first_line(text: Option<&str>) -> String {
    text.and_then(|text| text.lines().next()).unwrap_or("").trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        assert_eq!(
            [size(5), size(2048), size(5 << 20), size(1_610_612_736)].join(", "),
            "5 B, 2 KiB, 5 MiB, 1.5 GiB"
        );
    }

    #[test]
    fn times_are_told_in_the_largest_unit_that_says_enough() {
        let now = 1_000_000_000;
        assert_eq!(relative(now - 1000, now), "just now");
        assert_eq!(relative(now - 59_000, now), "59 s ago");
        assert_eq!(relative(now - 3_599_000, now), "59 min ago");
        assert_eq!(relative(now - 90_000_000, now), "1 d ago");
        assert_eq!(relative(now + 7_200_000, now), "in 2 h");
    }

    #[test]
    fn durations_keep_two_digits_that_matter() {
        assert_eq!(duration(420), "420 ms");
        assert_eq!(duration(4_250), "4.2 s");
        assert_eq!(micros(85), "85 µs");
        assert_eq!(micros(1_250), "1.2 ms");
        assert_eq!(duration(65_000), "1 min 5 s");
        assert_eq!(duration(7_380_000), "2 h 3 min");
    }

    #[test]
    fn what_strangers_wrote_is_escaped() {
        let commit = Commit { message: "<script>".into(), ..Commit::of_sha("abc") };
        assert!(!commit.to_string().contains("<script>"));
    }
}
