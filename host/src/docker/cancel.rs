//! Stopping a BuildKit build inside the engine, and knowing that it has stopped.
//!
//! An engine ends a build whose caller hangs up, but then nobody learns when. So a build gets an id, which the engine
//! takes as `buildid`, and `POST /build/cancel` ends it; the build's own stream ends once its processes are gone. bollard
//! knows neither, so both ride on calls it does know, with the address changed on the way out.

use bollard::{BollardRequest, Docker as Client};

/// A client whose builds carry this id, and `further` parameters such as `&memory=1048576`.
pub(super) fn with_build_id(client: &Client, id: &str, further: &str) -> Client {
    let parameters = format!("&buildid={id}{further}");
    client.clone().with_request_modifier(move |request| {
        if !request.uri().path().ends_with("/build") {
            return request;
        }
        let path = format!("{}{parameters}", request.uri());
        readdress(request, &path)
    })
}

/// Asks the engine to stop the build with this id. Whether it did shows in the build's stream.
pub(super) async fn cancel(client: &Client, id: &str) {
    let id = id.to_string();
    let client = client.clone().with_request_modifier(move |request| {
        let path = request.uri().to_string().replace("/build/prune", &format!("/build/cancel?id={id}"));
        let path = path.trim_end_matches('?').to_string();
        readdress(request, &path)
    });
    // The answer is empty, which is not what a prune would answer: only the effect counts.
    let _ = client.prune_build(None::<bollard::query_parameters::PruneBuildOptions>).await;
}

fn readdress(mut request: BollardRequest, address: &str) -> BollardRequest {
    if let Ok(address) = address.parse() {
        *request.uri_mut() = address;
    }
    request
}
