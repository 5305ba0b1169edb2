//! `GET /admin/search`: what is defined, by a part of its name or of its scripts.

use axum::extract::State;
use gatewright_core::catalog::Hit;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::Result;
use crate::extract::{Admin, Query};
use crate::state::AdminState;

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchParams {
    /// 1 to 200 characters; their case does not matter.
    q: String,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SearchAnswer {
    /// What is called so, by kind; then lines of scripts. At most 20 of each.
    data: Vec<FoundView>,
}

/// Something that was found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FoundView {
    /// `gateway`, `event`, `route`, `hook`, `library`, `table`, `schedule`, `user` or `pack`.
    kind: &'static str,
    /// Of a pack the name.
    id: String,
    /// Such as `/chat joinRoom`.
    name: String,
    /// Of what stands in a script: which script, such as `sourceCode`.
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<&'static str>,
    /// And its line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// And what stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// Finds gateways, events, routes, hooks, libraries, tables, schedules, users and packs by a part of their names, and
/// lines of scripts by a part of them.
#[utoipa::path(get, path = "/admin/search", operation_id = "search", tag = "operation", params(SearchParams),
    responses((status = 200, body = SearchAnswer)))]
pub(crate) async fn search(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<SearchParams>,
) -> Result<axum::Json<SearchAnswer>> {
    let mut data: Vec<_> = state.catalog.search(&params.q).await?.into_iter().map(FoundView::from).collect();
    // Those that are built in can be found before they are installed.
    let query = params.q.trim().to_lowercase();
    let built_in = state.packs.iter().filter(|pack| pack.name.to_lowercase().contains(&query));
    for pack in built_in {
        if !data.iter().any(|found| found.kind == "pack" && found.id == pack.name) {
            let at = data.iter().position(|found| found.line.is_some()).unwrap_or(data.len());
            let (id, name) = (pack.name.clone(), pack.name.clone());
            data.insert(at, FoundView { kind: "pack", id, name, script: None, line: None, text: None });
        }
    }
    Ok(axum::Json(SearchAnswer { data }))
}

impl From<Hit> for FoundView {
    fn from(found: Hit) -> Self {
        let Hit { kind, id, name, line } = found;
        let (script, number, text) = match line {
            Some(line) => (Some(line.script), Some(line.number), Some(line.text)),
            None => (None, None, None),
        };
        Self { kind, id, name, script, line: number, text }
    }
}
