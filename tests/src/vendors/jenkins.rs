//! A Jenkins that keeps items, a queue, builds and logs, as far as the plugin and python-jenkins go. What it does was taken
//! from Jenkins' sources; that its answers have the recorded shape, and that a client which nobody here wrote gets along with
//! it, is tested in `tests/tests/provider_jenkins.rs`.

mod call;
mod tree;
mod views;
mod world;

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fake::Fake;
use call::Call;
pub use world::World;

pub const VERSION: &str = "2.516.3";
/// With these, requests that change something need a crumb and the session it was made for.
pub const PASSWORD: &str = "admin:the-password";
/// With these they need none.
pub const TOKEN: &str = "admin:11aa22bb33cc44dd55ee66ff";
const CRUMB: &str = "5f1e9c0ffee0123456789abcdef";
const SESSION: &str = "JSESSIONID.1a2b=node0session4711";

pub struct Jenkins {
    pub fake: Fake,
    world: Arc<Mutex<World>>,
}

impl Jenkins {
    pub async fn start() -> Self {
        let world = Arc::<Mutex<World>>::default();
        let shared = world.clone();
        let fake = Fake::start(move |url| {
            lock(&shared).url = url.to_owned();
            Router::new().fallback(serve).with_state(shared)
        })
        .await;
        Self { fake, world }
    }

    /// What happens on the server without anybody asking.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().expect("no request panics while it holds the world")
}

async fn serve(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.expect("a body of a bounded size");
    let call = Call::new(&head, &body);
    let mut world = lock(&world);
    let mut response = match refused(&world, &call) {
        Some(refusal) => refusal,
        None => views::answer(&mut world, &call),
    };
    response.headers_mut().insert("x-jenkins", HeaderValue::from_static(VERSION));
    response
}

/// Who is not known, may not do anything; and who came with a password needs a crumb.
fn refused(world: &World, call: &Call) -> Option<Response> {
    let is = |login: &str| call.header("authorization") == format!("Basic {}", STANDARD.encode(login));
    if !is(PASSWORD) && !is(TOKEN) {
        return Some(plain(401, "Invalid password/token for user: admin"));
    }
    let has_crumb = call.header("jenkins-crumb") == CRUMB && call.header("cookie").contains(SESSION);
    if call.method == "POST" && world.crumbs && is(PASSWORD) && !has_crumb {
        return Some(plain(403, "No valid crumb was included in the request"));
    }
    None
}

/// An error's page, as Jenkins wraps it.
fn plain(status: u16, words: &str) -> Response {
    let page =
        format!("<html><head><title>Error {status}</title></head><body><h2>{words}</h2></body></html>");
    Response::builder()
        .status(status)
        .header("content-type", "text/html;charset=utf-8")
        .body(Body::from(page))
        .expect("a response")
}
