//! One request, taken apart.

use axum::http::request::Parts;
use bytes::Bytes;

pub struct Call {
    pub method: String,
    /// The path's segments, decoded; the one behind a `/` at the end is left out.
    pub path: Vec<String>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Call {
    pub fn new(head: &Parts, body: &Bytes) -> Self {
        let path = head.uri.path().split('/').filter(|segment| !segment.is_empty());
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        Self {
            method: head.method.to_string(),
            path: path.map(decoded).collect(),
            query: pairs(head.uri.query().unwrap_or_default()),
            headers: headers.collect(),
            body: body.clone(),
        }
    }

    /// Empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The fields of the query and of a form, as Jenkins takes parameters of builds.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut all = self.query.clone();
        if self.header("content-type").starts_with("application/x-www-form-urlencoded") {
            all.extend(pairs(&String::from_utf8_lossy(&self.body)));
        }
        all
    }
}

/// Names and values of a query or a form.
fn pairs(text: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{text}")).expect("a query");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// Other than in a form, `+` stands for itself.
fn decoded(segment: &str) -> String {
    pairs(&format!("x={}", segment.replace('+', "%2B"))).remove(0).1
}
