//! What a stack shows to those who know its badge's key: a picture of its state, and a document for cctray.

use super::deployment::DeploymentStatus;

/// Width of a character in the badge's font, about.
const CHARACTER: usize = 7;
const PADDING: usize = 12;

/// Word and colour of a status; `None` is a stack that was never deployed. White text on each colour has a contrast of at
/// least 4.5 to 1.
fn shown(status: Option<DeploymentStatus>) -> (&'static str, &'static str) {
    match status {
        None => ("never deployed", "#556270"),
        Some(DeploymentStatus::Pending) => ("pending", "#0b5a8a"),
        Some(DeploymentStatus::Building) => ("building", "#0b5a8a"),
        Some(DeploymentStatus::Deploying) => ("deploying", "#0b5a8a"),
        Some(DeploymentStatus::Successful) => ("successful", "#17693d"),
        Some(DeploymentStatus::Failed) => ("failed", "#b3251d"),
        Some(DeploymentStatus::RolledBack) => ("rolled back", "#7a4d00"),
        Some(DeploymentStatus::Cancelled) => ("cancelled", "#556270"),
    }
}

/// An SVG document. Only words of our own are in it.
pub fn svg(status: Option<DeploymentStatus>) -> String {
    let label = "deployment";
    let (word, colour) = shown(status);
    let (left, right) = (label.len() * CHARACTER + PADDING, word.len() * CHARACTER + PADDING);
    let width = left + right;
    let (label_at, word_at) = (left / 2, left + right / 2);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {word}"><title>{label}: {word}</title><clipPath id="r"><rect width="{width}" height="20" rx="3"/></clipPath><g clip-path="url(#r)"><path fill="#3a4754" d="M0 0h{left}v20H0z"/><path fill="{colour}" d="M{left} 0h{right}v20H{left}z"/></g><g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11"><text x="{label_at}" y="14">{label}</text><text x="{word_at}" y="14">{word}</text></g></svg>
"##
    )
}

/// A project of cctray's format (`cc.xml`, as CruiseControl's `cctray` and its successors read it).
pub struct Project<'a> {
    pub name: &'a str,
    /// Of the newest deployment.
    pub latest: Option<DeploymentStatus>,
    /// Of the newest one that has ended: number, status, and when, in RFC 3339.
    pub ended: Option<(i64, DeploymentStatus, String)>,
    pub web_url: &'a str,
}

pub fn cctray(project: &Project<'_>) -> String {
    let activity = match project.latest {
        Some(status) if !status.is_terminal() => "Building",
        _ => "Sleeping",
    };
    let (label, time) = match &project.ended {
        Some((number, _, at)) => (number.to_string(), at.as_str()),
        // The format wants a time; this is the one that its readers take for never.
        None => (String::new(), "1970-01-01T00:00:00Z"),
    };
    let status = match project.ended.as_ref().map(|(_, status, _)| *status) {
        Some(DeploymentStatus::Successful) => "Success",
        Some(DeploymentStatus::Failed | DeploymentStatus::RolledBack) => "Failure",
        Some(DeploymentStatus::Cancelled) => "Exception",
        _ => "Unknown",
    };
    let (name, url) = (escaped(project.name), escaped(project.web_url));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Projects>\n  <Project name=\"{name}\" activity=\"{activity}\" \
         lastBuildStatus=\"{status}\" lastBuildLabel=\"{label}\" lastBuildTime=\"{time}\" webUrl=\"{url}\"/>\n</Projects>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_badge_that_says_it_in_words() {
        for status in DeploymentStatus::ALL {
            let word = status.as_str().replace('_', " ");
            let svg = svg(Some(status));
            assert!(svg.contains(&format!("aria-label=\"deployment: {word}\"")), "{svg}");
            is_balanced(&svg);
        }
        assert!(svg(None).contains("never deployed"));
    }

    /// Every element that is opened is closed.
    fn is_balanced(text: &str) {
        let count = |needle: &str| text.matches(needle).count();
        assert_eq!(count("<") - count("</") - count("/>"), count("</"), "{text}");
    }

    #[test]
    fn a_name_cannot_leave_its_attribute() {
        let project = Project { name: "a\"<b>&", latest: None, ended: None, web_url: "http://x/?a&b" };
        let text = cctray(&project);
        assert!(text.contains(r#"name="a&quot;&lt;b&gt;&amp;""#), "{text}");
        assert!(text.contains(r#"activity="Sleeping" lastBuildStatus="Unknown""#), "{text}");
    }

    #[test]
    fn what_runs_does_not_hide_how_the_last_one_ended() {
        let ended = Some((7, DeploymentStatus::RolledBack, "2030-01-01T00:00:00Z".to_owned()));
        let project =
            Project { name: "web", latest: Some(DeploymentStatus::Deploying), ended, web_url: "http://x" };
        let text = cctray(&project);
        assert!(
            text.contains(r#"activity="Building" lastBuildStatus="Failure" lastBuildLabel="7""#),
            "{text}"
        );
    }
}
