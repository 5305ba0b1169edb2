//! The pages that `gatewright demo` serves to try the packs: an index, and one for each pack that has one.

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse, Response};
use gatewright_admin_api::ApiError;
use gatewright_core::auth::{NewAppKey, NewUser, Scope};
use gatewright_core::data::Actor;
use gatewright_core::id::new_id;
use gatewright_core::run::RowsCall;
use gatewright_core::script::RowsChange;
use gatewright_core::{ErrorCode, Failure};
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
}

/// The pages, in the order of the index. `gatewright demo` installs their packs.
const DEMOS: [Demo; 3] = [
    Demo {
        name: "chat",
        mount: "",
        title: "A chat",
        about: "Rooms, who is typing, and what was said before. Open it in two windows.",
        page: include_str!("demo_chat.html"),
        script: include_str!("demo_chat.js"),
    },
    Demo {
        name: "engagefabric",
        mount: "/engage",
        title: "Players, a leaderboard, a lobby",
        about: "Two players on one page: levels, quests, ranks that move, a lobby and its chat.",
        page: include_str!("demo_engagefabric.html"),
        script: include_str!("demo_engagefabric.js"),
    },
    Demo {
        name: "socket-service",
        mount: "/channels",
        title: "Channels",
        about: "Who is in a channel, who comes and goes, and what is said there. Sign in as the admin.",
        page: include_str!("demo_socket_service.html"),
        script: include_str!("demo_socket_service.js"),
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
    let demo = DEMOS.iter().find(|demo| demo.name == name);
    let demo = demo.ok_or_else(|| Failure::not_found("demo", name))?;
    Ok(match is_script {
        true => ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], demo.script).into_response(),
        false => Html(demo.page).into_response(),
    })
}

/// Two players who are signed in, a lobby's name, and the app key of the game: what its page begins with.
pub async fn players(State(state): State<HttpState>) -> Result<axum::Json<Json>, ApiError> {
    let mut players = Vec::new();
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
        players.push(json!({ "id": user.id, "name": name, "token": token }));
    }
    let scopes = vec![Scope::Routes.as_str().to_owned()];
    let key = NewAppKey { name: "demo".to_owned(), scopes, expires_at: None };
    let (_, key) = state.accounts.create_app_key(key).await?;
    make_quest(&state).await?;
    Ok(axum::Json(json!({ "key": key, "lobbyId": format!("demo-{}", new_id()), "players": players })))
}

/// How long a demo's player is signed in.
const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// The quest that the page goes on with, unless it is there.
async fn make_quest(state: &HttpState) -> Result<(), ApiError> {
    let quest = json!({
        "questId": "warm-up", "name": "Warm up", "target": 3, "rewards": { "xp": 40, "badge": "Warmed up", "currencies": { "gold": 10 } }
    });
    let row = quest.as_object().cloned().unwrap_or_default();
    let call = RowsCall {
        table: "quest".to_owned(),
        actor: Actor::Trusted,
        change: RowsChange::Create(row),
        user: None,
    };
    match state.runner.write_rows(call).await.1 {
        Err(failure) if failure.code != ErrorCode::DuplicateResource => Err(failure.into()),
        _ => Ok(()),
    }
}
