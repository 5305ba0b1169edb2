//! `/admin/packs`: those that are built in, and those that are installed.

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::Failure;
use gatewright_core::pack::{
    self, Change, ChangeKind, InstallOptions, Installed, Pack, Plan, Thing, install as install_pack,
};
use gatewright_core::store::{Time, in_memory::list_values};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::audit::Note;
use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A pack.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackView {
    name: String,
    description: String,
    /// Whether it comes with the server, and can be installed by its name.
    is_built_in: bool,
    is_installed: bool,
    /// The path that its gateways and routes are under; empty: none.
    mount: String,
    /// What it holds, as it was installed, else as it would be.
    tables: Vec<String>,
    gateways: Vec<String>,
    /// Such as `/chat joinRoom`.
    events: Vec<String>,
    /// Such as `POST /orders/{id}/ship`.
    routes: Vec<String>,
    /// Such as `hook before create of message`.
    hooks: Vec<String>,
    /// Their names.
    schedules: Vec<String>,
    /// Their names.
    libraries: Vec<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    installed_at: Option<Time>,
    /// What differs from what was installed, such as `/chat joinRoom`: edited, deleted or added since.
    edited: Vec<String>,
    /// When it was last installed again.
    #[serde(with = "time::serde::rfc3339::option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_at: Option<Time>,
}

/// How to install.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstallBody {
    /// Of a pack that is built in; others are sent to `/admin/packs/upload`.
    name: String,
    /// A path to put its gateways and routes under: `/` becomes the path itself. Without it one that is installed stays
    /// where it is.
    mount: Option<String>,
    /// Overwrite what an admin has edited since, and lose values of columns and tables that go.
    #[serde(default)]
    force: bool,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// A pack, and what installing it has changed, or would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct InstallAnswer {
    #[serde(flatten)]
    pack: PackView,
    /// Empty: it is installed as it is.
    changes: Vec<ChangeView>,
}

/// What installing a pack would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiffAnswer {
    /// Empty: it is installed as it is.
    changes: Vec<ChangeView>,
}

/// One change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeView {
    /// `table`, `gateway`, `event`, `route`, `hook`, `schedule` or `library`.
    kind: &'static str,
    /// What it is about, such as `/chat joinRoom`.
    subject: String,
    /// `create`, `update`, `delete`, or `conflict` for what only `force` does.
    action: &'static str,
    /// Why it is a conflict, or what is lost.
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    /// The settings and scripts before; empty for what is made.
    before: String,
    /// The settings and scripts after; empty for what is deleted.
    after: String,
    /// The same as a unified diff.
    diff: String,
}

/// How to remove a pack.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UninstallParams {
    /// Also what an admin has edited since, and tables with rows.
    #[serde(default)]
    force: bool,
}

/// What packs can be filtered and sorted by.
const FIELDS: [&str; 6] = ["name", "description", "isBuiltIn", "isInstalled", "installedAt", "updatedAt"];

/// Lists packs: those that are built in, and others that are installed.
#[utoipa::path(get, path = "/admin/packs", operation_id = "listPacks", tag = "packs", params(ListParams),
    responses((status = 200, body = ListAnswer<PackView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<Value>>> {
    let packs: Vec<_> = all(&state).await?.into_iter().map(|pack| json!(pack)).collect();
    params.answer_values::<PackView>(list_values(packs, &FIELDS, &params.query()?)?)
}

/// Installs a pack that is built in, or says what that would change. It is live when the answer
/// comes. What an admin has edited since is a conflict (409), unless it is forced.
#[utoipa::path(post, path = "/admin/packs", operation_id = "installPack", tag = "packs", request_body = InstallBody,
    responses((status = 201, body = InstallAnswer), (status = 200, body = InstallAnswer, description = "a dry run")))]
pub(crate) async fn install(
    State(state): State<AdminState>,
    _: Admin,
    note: Note,
    Json(body): Json<InstallBody>,
) -> Result<(StatusCode, axum::Json<InstallAnswer>)> {
    note.changes(!body.dry_run);
    let pack = state.packs.iter().find(|pack| pack.name == body.name);
    let pack = pack.ok_or_else(|| Failure::not_found("built-in pack", &body.name))?;
    install_at(&state, pack.clone(), body.mount.as_deref(), body.force, body.dry_run).await
}

/// Installs a pack under a path, or where it is already; or says what that would change.
pub(crate) async fn install_at(
    state: &AdminState,
    pack: Pack,
    mount: Option<&str>,
    force: bool,
    dry_run: bool,
) -> Result<(StatusCode, axum::Json<InstallAnswer>)> {
    let pack = pack.placed(state.catalog.store(), mount).await?;
    let options = InstallOptions::forced(force);
    let (status, plan) = if dry_run {
        (StatusCode::OK, pack::plan(&state.catalog, &pack, options).await?)
    } else {
        (StatusCode::CREATED, install_pack(&state.catalog, &pack, options).await?)
    };
    Ok((status, axum::Json(answer_of(state, &pack, &plan).await?)))
}

/// A pack.
#[utoipa::path(get, path = "/admin/packs/{name}", operation_id = "getPack", tag = "packs",
    responses((status = 200, body = PackView)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<axum::Json<PackView>> {
    Ok(axum::Json(view_of(&state, &name).await?))
}

/// What installing a pack that is built in, as it is mounted, would change, what an admin has edited included.
#[utoipa::path(get, path = "/admin/packs/{name}/diff", operation_id = "diffPack", tag = "packs",
    responses((status = 200, body = DiffAnswer)))]
pub(crate) async fn diff(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
) -> Result<axum::Json<DiffAnswer>> {
    let pack = state.packs.iter().find(|pack| pack.name == name);
    let pack = pack.ok_or_else(|| Failure::not_found("built-in pack", &name))?;
    let pack = pack.clone().placed(state.catalog.store(), None).await?;
    let plan = pack::plan(&state.catalog, &pack, InstallOptions::forced(true)).await?;
    Ok(axum::Json(DiffAnswer { changes: changes_of(&plan) }))
}

/// Deletes all that came from a pack. What an admin has edited since, and tables with rows, only
/// with `force`.
#[utoipa::path(delete, path = "/admin/packs/{name}", operation_id = "uninstallPack", tag = "packs", params(UninstallParams),
    responses((status = 204)))]
pub(crate) async fn uninstall(
    State(state): State<AdminState>,
    _: Admin,
    Path(name): Path<String>,
    Query(params): Query<UninstallParams>,
) -> Result<StatusCode> {
    pack::uninstall(&state.catalog, &name, InstallOptions::forced(params.force)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The pack as it is now, or as it would be, and what that changes.
async fn answer_of(state: &AdminState, pack: &Pack, plan: &Plan) -> Result<InstallAnswer> {
    let known = all(state).await?.into_iter().find(|known| known.name == pack.name);
    let view = known.unwrap_or_else(|| PackView {
        is_built_in: false,
        ..PackView::new(pack.name.clone(), pack.description.clone(), &pack.things)
    });
    Ok(InstallAnswer { pack: view, changes: changes_of(plan) })
}

async fn view_of(state: &AdminState, name: &str) -> Result<PackView> {
    let view = all(state).await?.into_iter().find(|pack| pack.name == name);
    Ok(view.ok_or_else(|| Failure::not_found("pack", name))?)
}

/// All packs, by name.
async fn all(state: &AdminState) -> Result<Vec<PackView>> {
    let mut installed = pack::installed(state.catalog.store()).await?;
    let mut edited = pack::edited(state.catalog.store(), &installed).await?;
    let of_built_in = |pack: &Pack| {
        let known = installed.extract_if(.., |known| known.name == pack.name).next();
        match known {
            Some(known) => PackView::of_installed(known, true),
            None => PackView::new(pack.name.clone(), pack.description.clone(), &pack.things),
        }
    };
    let mut all: Vec<_> = state.packs.iter().map(of_built_in).collect();
    all.extend(installed.into_iter().map(|known| PackView::of_installed(known, false)));
    all.sort_by(|left, right| left.name.cmp(&right.name));
    for pack in &mut all {
        pack.edited = edited.remove(&pack.name).unwrap_or_default();
    }
    Ok(all)
}

impl PackView {
    /// One that is built in and not installed.
    fn new(name: String, description: String, things: &[Thing]) -> Self {
        let of = |kind| {
            let of_kind = things.iter().filter(|thing| thing.kind() == kind);
            of_kind.map(|thing| thing.own_name().map_or_else(|| thing.subject(), str::to_owned)).collect()
        };
        Self {
            name,
            description,
            is_built_in: true,
            is_installed: false,
            mount: String::new(),
            tables: of("table"),
            gateways: of("gateway"),
            events: of("event"),
            routes: of("route"),
            hooks: of("hook"),
            schedules: of("schedule"),
            libraries: of("library"),
            edited: Vec::new(),
            installed_at: None,
            updated_at: None,
        }
    }

    fn of_installed(pack: Installed, is_built_in: bool) -> Self {
        Self {
            is_built_in,
            is_installed: true,
            mount: pack.mount,
            installed_at: Some(pack.created_at),
            updated_at: Some(pack.updated_at),
            ..Self::new(pack.name, pack.description, &pack.things)
        }
    }
}

fn changes_of(plan: &Plan) -> Vec<ChangeView> {
    let view = |change: &Change| {
        let (before, after) = change.texts();
        ChangeView {
            kind: change.thing().kind(),
            subject: change.thing().subject(),
            action: match change.kind {
                ChangeKind::Create => "create",
                ChangeKind::Update => "update",
                ChangeKind::Delete => "delete",
                ChangeKind::Conflict => "conflict",
            },
            note: change.note.clone(),
            before,
            after,
            diff: change.unified_diff(),
        }
    };
    plan.changes.iter().map(view).collect()
}
