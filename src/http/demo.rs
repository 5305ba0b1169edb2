//! The pages that `gatewright demo` serves to try the packs: an index, and one for each pack that has one.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use gatewright_admin_api::ApiError;
use gatewright_core::Failure;
use gatewright_core::auth::{NewAppKey, NewUser, Scope};
use gatewright_core::id::new_id;
use serde_json::{Value as Json, json};

use super::HttpState;

/// What can be tried of one pack.
struct Demo {
    /// Of the pack, and in the path of the page.
    name: &'static str,
    /// Where the page looks for the pack: those with the root namespace stand apart.
    mount: &'static str,
    /// For the index.
    title: &'static str,
    about: &'static str,
    page: &'static str,
    /// A file of its own, as the Content-Security-Policy of pages requires.
    script: &'static str,
    /// What the page's app key may do, where it plays the part of a program too.
    scopes: &'static [Scope],
}

/// The pages, in the order of the index. `gatewright demo` installs their packs.
const DEMOS: [Demo; 5] = [
    Demo {
        name: "chat",
        mount: "",
        title: "A chat",
        about: "Rooms, who is typing, and what was said before. Open it in two windows.",
        page: include_str!("demo_chat.html"),
        script: include_str!("demo_chat.js"),
        scopes: &[],
    },
    Demo {
        name: "engagefabric",
        mount: "/engage",
        title: "Players, a leaderboard, a lobby",
        about: "Two players on one page: levels, quests, ranks that move, a lobby and its chat.",
        page: include_str!("demo_engagefabric.html"),
        script: include_str!("demo_engagefabric.js"),
        scopes: &[Scope::Routes, Scope::DataWrite],
    },
    Demo {
        name: "socket-service",
        mount: "/channels",
        title: "Channels",
        about: "Who is in a channel, who comes and goes, and what is said there. Sign in as the admin.",
        page: include_str!("demo_socket_service.html"),
        script: include_str!("demo_socket_service.js"),
        scopes: &[],
    },
    Demo {
        name: "hubtel",
        mount: "/hubtel",
        title: "Rooms within channels",
        about: "Who is online in each channel, and rooms of its own in every one. No sign-in; open it in two windows.",
        page: include_str!("demo_hubtel.html"),
        script: include_str!("demo_hubtel.js"),
        scopes: &[],
    },
    Demo {
        name: "oneentry",
        mount: "/oneentry",
        title: "An order that ships",
        about: "A shop writes rows, a table says what its events are, and the customers concerned hear of it.",
        page: include_str!("demo_oneentry.html"),
        script: include_str!("demo_oneentry.js"),
        scopes: &[Scope::DataRead, Scope::DataWrite],
    },
];

/// The packs that have a page, and where it looks for them.
pub fn mounts() -> [(&'static str, &'static str); DEMOS.len()] {
    DEMOS.map(|Demo { name, mount, .. }| (name, mount))
}

/// Where the index lists the demos.
const LIST: &str = "<!-- demos -->";

/// All demos.
pub async fn index() -> Html<String> {
    let items = DEMOS.map(|Demo { name, title, about, .. }| {
        format!("<li><a href=\"/demo/{name}\"><b>{title}</b><span>{about}</span></a></li>")
    });
    Html(include_str!("demo_index.html").replace(LIST, &items.concat()))
}

/// The page of a pack, or its script: `chat`, `chat.js`.
pub async fn file(Path(name): Path<String>) -> Result<Response, ApiError> {
    let (name, is_script) = name.strip_suffix(".js").map_or((&*name, false), |name| (name, true));
    let demo = find(name)?;
    Ok(match is_script {
        true => ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], demo.script).into_response(),
        false => Html(demo.page).into_response(),
    })
}

fn find(name: &str) -> Result<&'static Demo, Failure> {
    DEMOS.iter().find(|demo| demo.name == name).ok_or_else(|| Failure::not_found("demo", name))
}

/// Two users who are signed in, and an app key: what a page begins with that shows both sides.
pub async fn users(
    State(state): State<HttpState>,
    Path(name): Path<String>,
) -> Result<axum::Json<Json>, ApiError> {
    let scopes = find(&name)?.scopes;
    if scopes.is_empty() {
        return Err(Failure::not_found("users of the demo", name).into());
    }
    let mut users = Vec::new();
    for name in ["Ada", "Grace"] {
        let new = NewUser {
            email: format!("{}@demo.example", new_id()),
            password: new_id().to_string(),
            name: name.to_owned(),
            role: String::new(),
            is_enabled: true,
        };
        let user = state.accounts.create_user(new).await?;
        let (token, _) = state.accounts.token_for(&user, DAY).await?;
        users.push(json!({ "id": user.id, "name": name, "token": token }));
    }
    let scopes = scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let key = NewAppKey { name: format!("demo of {name}"), scopes, expires_at: None };
    let (_, key) = state.accounts.create_app_key(key).await?;
    Ok(axum::Json(json!({ "key": key, "users": users })))
}

/// How long a demo's user is signed in.
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
