//! `overview`: whether everything is all right. The exit code says so too.

use serde::Deserialize;

use super::Session;
use super::client::read;
use super::failure::{Outcome, exit};
use super::output::Tone;
use super::table::{Cell, Table, cells, details};
use super::text::{clean, seconds};

#[derive(Deserialize)]
struct Overview {
    verdict: String,
    checks: Vec<Check>,
    figures: Figures,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    verdict: String,
    detail: String,
    advice: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    successful: i64,
    unsuccessful: i64,
    deployments_per_day: f64,
    success_percent: Option<f64>,
    lead_time_ms: Option<i64>,
    time_to_restore_ms: Option<i64>,
}

pub async fn overview(session: &Session) -> Outcome<u8> {
    let value = session.client.get(&["overview"]).await?;
    let found: Overview = read(&value)?;
    let out = &session.out;
    if out.is_json() {
        out.json(&value);
    } else {
        let mut table = Table::new(&["WHAT", "STATE", "DETAIL"]);
        for check in &found.checks {
            let (word, tone) = match check.verdict.as_str() {
                "ok" => ("works", Tone::Good),
                "warn" => ("needs a look", Tone::Warning),
                _ => ("does not work", Tone::Bad),
            };
            let advice = check.advice.as_deref().unwrap_or("");
            let detail = clean(&format!("{} {advice}", check.detail));
            table.row(cells![clean(&check.name), Cell::toned(word, tone), detail]);
        }
        table.print(out);
        out.line("");
        figures(session, &found.figures);
    }
    Ok(if found.verdict == "fail" { exit::FAILED } else { exit::SUCCESS })
}

fn figures(session: &Session, figures: &Figures) {
    let span = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), |ms| seconds(ms / 1000));
    let rate = figures.success_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.0} %"));
    details(
        &session.out,
        vec![
            (
                "Last 30 days",
                format!("{} successful, {} not", figures.successful, figures.unsuccessful).into(),
            ),
            ("Deployments a day", format!("{:.1}", figures.deployments_per_day).into()),
            ("Success rate", rate.into()),
            ("Lead time", span(figures.lead_time_ms).into()),
            ("Time to restore", span(figures.time_to_restore_ms).into()),
        ],
    );
}
