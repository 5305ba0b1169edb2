//! The pages that `gatewright demo` serves to try packs.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;

/// A page to try a pack.
pub struct Demo {
    /// The pack, and the page's name.
    pub pack: &'static str,
    about: &'static str,
    page: &'static str,
    /// A file of its own, as the page's Content-Security-Policy requires.
    script: &'static str,
}

const DEMOS: [Demo; 2] = [
    Demo {
        pack: "chat",
        about: "Rooms, who types, and what was said before",
        page: include_str!("demo_chat.html"),
        script: include_str!("demo_chat.js"),
    },
    Demo {
        pack: "socket-service",
        about: "Channels with who is in them",
        page: include_str!("demo_socket_service.html"),
        script: include_str!("demo_socket_service.js"),
    },
];
const INDEX: &str = include_str!("demo.html");
/// Where the list stands in the index.
const LIST: &str = "<!-- demos -->";

/// The page of a pack, if it has one.
pub fn demo_of(pack: &str) -> Option<&'static Demo> {
    DEMOS.iter().find(|demo| demo.pack == pack)
}

/// The packs that have one.
pub fn packs_with_demos() -> String {
    DEMOS.map(|demo| demo.pack).join(", ")
}

/// The pages of these packs, and `/demo`, which lists them.
pub fn router(packs: &[String]) -> Router {
    let demos: Vec<_> = packs.iter().filter_map(|pack| demo_of(pack)).collect();
    let item = |Demo { pack, about, .. }: &Demo| {
        format!("<li><a href=\"/demo/{pack}\"><strong>{pack}</strong><span>{about}</span></a></li>\n")
    };
    let index = INDEX.replace(LIST, &demos.iter().map(|demo| item(demo)).collect::<String>());
    let router = Router::new().route("/demo", get(async || Html(index)));
    demos.into_iter().fold(router, |router, demo| {
        let script = ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], demo.script);
        router
            .route(&format!("/demo/{}", demo.pack), get(Html(demo.page)))
            .route(&format!("/demo/{}.js", demo.pack), get(async move || script))
    })
}
