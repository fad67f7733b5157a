//! How safely an installation is set up: what was found, what each thing costs, and the grade that is left.

use serde::Serialize;
use utoipa::ToSchema;

const ALL_POINTS: u32 = 100;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Danger {
    /// Whoever finds it may take the installation over.
    Serious,
    /// It takes one more mistake, or it makes the harm of one much greater.
    Considerable,
    Slight,
}

impl Danger {
    /// Points that it costs.
    pub fn cost(self) -> u32 {
        match self {
            Self::Serious => 30,
            Self::Considerable => 15,
            Self::Slight => 5,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serious => "serious",
            Self::Considerable => "considerable",
            Self::Slight => "slight",
        }
    }
}

/// One thing that could be safer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// Always the same word for the same thing, such as `second-factor`.
    pub name: &'static str,
    pub danger: Danger,
    pub what: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do about it.
    pub advice: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub enum Grade {
    A,
    B,
    C,
    D,
    F,
}

impl Grade {
    pub fn of(points: u32) -> Self {
        match points {
            90.. => Self::A,
            75.. => Self::B,
            60.. => Self::C,
            40.. => Self::D,
            _ => Self::F,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::F => "F",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Graded {
    pub grade: Grade,
    /// Of 100.
    pub points: u32,
    /// The worst first.
    pub findings: Vec<Finding>,
}

impl Graded {
    pub fn of(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.danger);
        let lost: u32 = findings.iter().map(|finding| finding.danger.cost()).sum();
        let points = ALL_POINTS.saturating_sub(lost);
        Self { grade: Grade::of(points), points, findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graded(dangers: &[Danger]) -> (Grade, u32) {
        let finding = |danger: &Danger| Finding {
            name: "x",
            danger: *danger,
            what: String::new(),
            why: "",
            advice: String::new(),
        };
        let graded = Graded::of(dangers.iter().map(finding).collect());
        assert!(graded.findings.is_sorted_by_key(|finding| finding.danger));
        (graded.grade, graded.points)
    }

    #[test]
    fn a_grade_is_what_the_findings_leave() {
        use Danger::{Considerable, Serious, Slight};
        assert_eq!(graded(&[]), (Grade::A, 100));
        assert_eq!(graded(&[Slight, Slight]), (Grade::A, 90));
        assert_eq!(graded(&[Considerable]), (Grade::B, 85));
        assert_eq!(graded(&[Slight, Serious]), (Grade::C, 65));
        assert_eq!(graded(&[Considerable, Serious, Slight]), (Grade::D, 50));
        assert_eq!(graded(&[Serious; 3]), (Grade::F, 10));
        assert_eq!(graded(&[Serious; 9]), (Grade::F, 0));
    }
}
