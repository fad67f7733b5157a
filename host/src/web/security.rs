//! How safely this installation is set up: the grade, and what could be safer.

use askama::Template;
use axum::extract::State;

use super::page::{Frame, PageResult, render};
use super::session::Session;
use super::ui::{Badge, Tone};
use crate::app::App;
use crate::app::doctor;
use crate::domain::grade::{Danger, Finding, Grade};

struct FindingRow {
    badge: Badge,
    finding: Finding,
    cost: u32,
}

#[derive(Template)]
#[template(path = "security.html")]
struct SecurityPage {
    frame: Frame,
    badge: Badge,
    points: u32,
    rows: Vec<FindingRow>,
}

fn row(finding: Finding) -> FindingRow {
    let tone = match finding.danger {
        Danger::Serious => Tone::Bad,
        Danger::Considerable => Tone::Waiting,
        Danger::Slight => Tone::Stopped,
    };
    let badge = Badge { tone, word: finding.danger.as_str() };
    FindingRow { badge, cost: finding.danger.cost(), finding }
}

pub async fn show(State(app): State<App>, session: Session) -> PageResult {
    let graded = doctor::security(&app).await?;
    let (tone, word) = match graded.grade {
        Grade::A => (Tone::Good, "grade A"),
        Grade::B => (Tone::Good, "grade B"),
        Grade::C => (Tone::Waiting, "grade C"),
        Grade::D => (Tone::Waiting, "grade D"),
        Grade::F => (Tone::Bad, "grade F"),
    };
    render(&SecurityPage {
        frame: Frame::new(&session, "security", "Security"),
        badge: Badge { tone, word },
        points: graded.points,
        rows: graded.findings.into_iter().map(row).collect(),
    })
}
