//! What the conformance suite found out about a component.

use serde::{Deserialize, Serialize};

use super::plugin::PluginInfo;

/// One rule, and whether the component keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable name. Example: `forge-refuses-malformed`.
    pub rule: String,
    /// The rule in one sentence.
    pub promise: String,
    pub passed: bool,
    /// How it is broken, or what was tried; plain text, may have several lines.
    pub detail: String,
}

/// All findings about one component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conformance {
    /// Absent if it does not load.
    pub plugin: Option<PluginInfo>,
    pub findings: Vec<Finding>,
}

impl Conformance {
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.passed)
    }
}

impl Finding {
    /// `Ok` says what was tried, `Err` what is wrong.
    pub fn new(rule: &str, promise: &str, result: Result<String, String>) -> Self {
        let passed = result.is_ok();
        let detail = result.unwrap_or_else(|why| why);
        Self { rule: rule.to_owned(), promise: promise.to_owned(), passed, detail }
    }
}
