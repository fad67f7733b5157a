//! Pull requests: read, and commented on.

mod wire;

use serde_json::{Value, json};
use windlass_sdk::forge::{Page, PullRequest, PullRequests};
use windlass_sdk::http::Request;
use windlass_sdk::{Connection, Failure};

use self::wire::{Activity, CloudComment, CloudPull, Comment, DataCenterPull, Hash};
use crate::Bitbucket;
use crate::api::{Api, NO_REPOSITORY, sent};
use crate::edition::Edition;

const RIGHT: &str = "the scope pullrequest, in a Data Center the right to read the repository";
const MISSING: (&str, &str) =
    ("no-such-pull-request", "There is no such repository or no such pull request.");
/// Each pull request of Cloud takes a request of its own, and a call may send 32.
const CLOUD_PAGE: usize = 20;
const PAGE: usize = 50;
/// Comments on a page, and pages that are looked through for ours.
const COMMENTS: (usize, usize) = (100, 10);

/// Cloud names the newest commit with 12 digits only; its list of commits has all of them.
fn from_cloud(api: &Api, pull: CloudPull) -> Result<PullRequest, Failure> {
    let rest = format!("/pullrequests/{}/commits", pull.id);
    let (commits, _): (Vec<Hash>, _) = api.page(&rest, &[], (1, None), RIGHT, MISSING)?;
    let Some(newest) = commits.into_iter().next() else {
        let said = format!("Pull request {} has no commits.", pull.id);
        return Err(Failure::permanent("no-such-pull-request", said));
    };
    Ok(pull.into_ours(newest.hash))
}

impl PullRequests for Bitbucket {
    fn list_open(connection: Connection, repository: &str, cursor: Option<&str>) -> Result<Page, Failure> {
        let api = Api::of(&connection, repository)?;
        match api.edition {
            Edition::Cloud => {
                let query = [("state", "OPEN"), ("sort", "-created_on")];
                let (pulls, cursor): (Vec<CloudPull>, _) =
                    api.page("/pullrequests", &query, (CLOUD_PAGE, cursor), RIGHT, NO_REPOSITORY)?;
                let items = pulls.into_iter().map(|pull| from_cloud(&api, pull)).collect::<Result<_, _>>()?;
                Ok(Page { items, cursor })
            }
            Edition::DataCenter => {
                let query = [("state", "OPEN"), ("order", "NEWEST")];
                let (pulls, cursor): (Vec<DataCenterPull>, _) =
                    api.page("/pull-requests", &query, (PAGE, cursor), RIGHT, NO_REPOSITORY)?;
                Ok(Page { items: pulls.into_iter().map(DataCenterPull::into_ours).collect(), cursor })
            }
        }
    }

    fn get_pull_request(
        connection: Connection,
        repository: &str,
        number: u64,
    ) -> Result<PullRequest, Failure> {
        let api = Api::of(&connection, repository)?;
        let response = sent(Request::get(api.path(&of(&api, number))), RIGHT, MISSING)?;
        match api.edition {
            Edition::Cloud => from_cloud(&api, response.json()?),
            Edition::DataCenter => response.json().map(DataCenterPull::into_ours),
        }
    }

    fn set_comment(
        connection: Connection,
        repository: &str,
        number: u64,
        key: &str,
        markdown: &str,
    ) -> Result<(), Failure> {
        let api = Api::of(&connection, repository)?;
        // A link that nothing refers to: neither edition shows it, while both would show a comment of HTML.
        let marker = format!("[//]: # (windlass:{key})");
        let text = format!("{markdown}\n\n{marker}");
        let comments = format!("{}/comments", of(&api, number));
        let known = known(&api, number, &marker)?;
        let mut body: Value = match api.edition {
            Edition::Cloud => json!({ "content": { "raw": text } }),
            Edition::DataCenter => json!({ "text": text }),
        };
        let request = match known {
            Some(comment) => {
                if let Some(version) = comment.version {
                    body["version"] = json!(version);
                }
                Request::put(api.path(&format!("{comments}/{}", comment.id)))
            }
            None => Request::post(api.path(&comments)),
        };
        sent(request.json(&body)?, RIGHT, MISSING).map(|_| ())
    }
}

fn of(api: &Api, number: u64) -> String {
    match api.edition {
        Edition::Cloud => format!("/pullrequests/{number}"),
        Edition::DataCenter => format!("/pull-requests/{number}"),
    }
}

/// The comment that carries the marker.
fn known(api: &Api, number: u64, marker: &str) -> Result<Option<Comment>, Failure> {
    let (size, pages) = COMMENTS;
    let mut cursor: Option<String> = None;
    for _ in 0..pages {
        let at = (size, cursor.as_deref());
        let (found, next): (Vec<Comment>, _) = match api.edition {
            Edition::Cloud => {
                let rest = format!("{}/comments", of(api, number));
                let (comments, next): (Vec<CloudComment>, _) = api.page(&rest, &[], at, RIGHT, MISSING)?;
                (comments.into_iter().filter_map(CloudComment::into_comment).collect(), next)
            }
            Edition::DataCenter => {
                let rest = format!("{}/activities", of(api, number));
                let (activities, next): (Vec<Activity>, _) = api.page(&rest, &[], at, RIGHT, MISSING)?;
                (activities.into_iter().filter_map(|activity| activity.comment).collect(), next)
            }
        };
        if let Some(comment) = found.into_iter().find(|comment| comment.text.contains(marker)) {
            return Ok(Some(comment));
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(None)
}
