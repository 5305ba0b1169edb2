//! `/admin/tables`: real tables of the database.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use gatewright_core::data::{
    Access, ChangePreview, ColumnSpec, Loss, Problem, TableChange, TableView as Table,
};
use gatewright_core::store::Time;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::audit::Note;
use crate::error::Result;
use crate::extract::{Admin, Json, Path, Query};
use crate::list::{ListAnswer, ListParams};
use crate::state::AdminState;

/// A table. Its rows are at `/data/{name}`, and `#name` in scripts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableView {
    id: Uuid,
    name: String,
    description: String,
    /// Besides `id`, `createdAt` and `updatedAt`, which every table has.
    #[schema(value_type = Vec<ColumnBody>)]
    columns: Vec<ColumnSpec>,
    /// Groups of columns of which no two rows have the same values in all, where none of these is null.
    unique: Vec<Vec<String>>,
    #[schema(value_type = AccessBody)]
    access: Access,
    /// What `access` says, as sentences.
    rules: RulesView,
    /// The pack that it came from.
    pack: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
}

/// A column.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ColumnBody {
    /// A letter, then letters, digits and `_`.
    name: String,
    /// `string`, `text`, `integer`, `float`, `boolean`, `datetime`, `json`, `uuid` or `enum`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    index: bool,
    /// What a new row has where nothing is given; `now` for a datetime, `uuid` for a uuid.
    default: Option<serde_json::Value>,
    /// The table whose rows it names by id; the type is `uuid`.
    references: Option<String>,
    /// Of an `enum`.
    #[serde(default)]
    values: Vec<String>,
}

/// Who may do what with the rows over HTTP and in `#secure.table`.
///
/// Each is `admin` (the default), `user`, `owner`, `public`, or a filter that may name `@USER.id`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccessBody {
    #[serde(default)]
    read: serde_json::Value,
    #[serde(default)]
    create: serde_json::Value,
    #[serde(default)]
    update: serde_json::Value,
    #[serde(default)]
    delete: serde_json::Value,
    /// The column that holds the id of a row's owner.
    owner_column: Option<String>,
}

/// The rules of a table as sentences, such as `Users may read rows whose ownerId is their own id.`
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RulesView {
    read: String,
    create: String,
    update: String,
    delete: String,
}

/// What a change of a table would do.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangePreviewView {
    /// Always true: nothing was changed.
    dry_run: bool,
    /// Whether the change would be refused without `confirm`.
    needs_confirm: bool,
    /// Rows of the table.
    rows: u64,
    losses: Vec<LossView>,
    /// With any of these the change is refused.
    problems: Vec<ProblemView>,
    /// What the database has to do for it and who waits meanwhile, as sentences.
    work: Vec<String>,
}

/// Values of a column that would be lost.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LossView {
    column: String,
    values: u64,
}

/// Rows that would not fit a column.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemView {
    /// By its new name; several with commas.
    column: String,
    /// How many rows; null: not known.
    rows: Option<u64>,
    message: String,
}

/// How a change is made.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UpdateParams {
    /// Whether to tell what the change would do, and do nothing.
    #[serde(default)]
    dry_run: bool,
}

/// The table as it is then, or with `dryRun` what would become of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum UpdateAnswer {
    /// As it is then.
    Table(Box<TableView>),
    /// Of a dry run.
    Preview(ChangePreviewView),
}

/// A new table.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewTableBody {
    name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    columns: Vec<ColumnBody>,
    /// Groups of columns that are unique together, such as `[["roomId", "seat"]]`.
    #[serde(default)]
    unique: Vec<Vec<String>>,
    access: Option<AccessBody>,
}

/// What is changed of a table; absent fields stay.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TableBody {
    name: Option<String>,
    description: Option<String>,
    /// All columns as they are to be: one that is not among them is dropped.
    columns: Option<Vec<ColumnBody>>,
    /// Columns that are added; `addColumns` is accepted too.
    #[serde(default, alias = "addColumns")]
    add: Vec<ColumnBody>,
    /// New names by present names; `renameColumns` is accepted too.
    #[serde(default, alias = "renameColumns")]
    rename: BTreeMap<String, String>,
    /// Names of columns that are dropped; `dropColumns` is accepted too.
    #[serde(default, alias = "dropColumns")]
    drop: Vec<String>,
    /// All groups of columns that are to be unique together, by the new names.
    unique: Option<Vec<Vec<String>>>,
    access: Option<AccessBody>,
    /// Whether values may be lost; without it what would lose any is refused, and says which.
    #[serde(default)]
    confirm: bool,
}

/// What a deletion needs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteParams {
    /// Whether rows may be lost; without it a table that has any is not deleted.
    #[serde(default)]
    confirm: bool,
}

/// Lists tables.
#[utoipa::path(get, path = "/admin/tables", operation_id = "listTables", tag = "tables", params(ListParams),
    responses((status = 200, body = ListAnswer<TableView>)))]
pub(crate) async fn list(
    State(state): State<AdminState>,
    _: Admin,
    Query(params): Query<ListParams>,
) -> Result<axum::Json<ListAnswer<serde_json::Value>>> {
    params.answer::<_, TableView>(state.catalog.data()?.list_tables(&params.query()?).await?)
}

/// Makes a table. Scripts can use it when the answer comes.
#[utoipa::path(post, path = "/admin/tables", operation_id = "createTable", tag = "tables", request_body = NewTableBody,
    responses((status = 201, body = TableView)))]
pub(crate) async fn create(
    State(state): State<AdminState>,
    _: Admin,
    Json(body): Json<NewTableBody>,
) -> Result<(StatusCode, axum::Json<TableView>)> {
    let change = TableChange {
        name: body.name,
        description: body.description,
        columns: Some(body.columns.into_iter().map(ColumnSpec::from).collect()),
        unique: Some(body.unique),
        access: body.access.map(AccessBody::read).transpose()?,
        ..TableChange::default()
    };
    let table = state.catalog.create_table(change).await?;
    Ok((StatusCode::CREATED, axum::Json(table.into())))
}

/// A table.
#[utoipa::path(get, path = "/admin/tables/{id}", operation_id = "getTable", tag = "tables", responses((status = 200, body = TableView)))]
pub(crate) async fn get(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<TableView>> {
    Ok(axum::Json(state.catalog.data()?.table_view(id).await?.into()))
}

/// Changes a table with its rows: adds, renames and drops columns, renames the table, sets the
/// rules. What would lose values needs `confirm`; `dryRun=true` tells what that is, and changes nothing.
#[utoipa::path(patch, path = "/admin/tables/{id}", operation_id = "updateTable", tag = "tables", params(UpdateParams),
    request_body = TableBody, responses((status = 200, body = UpdateAnswer)))]
pub(crate) async fn update(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<UpdateParams>,
    note: Note,
    Json(body): Json<TableBody>,
) -> Result<axum::Json<UpdateAnswer>> {
    let specs = |columns: Vec<ColumnBody>| columns.into_iter().map(ColumnSpec::from).collect();
    let change = TableChange {
        name: body.name,
        description: body.description,
        columns: body.columns.map(specs),
        add: specs(body.add),
        rename: body.rename,
        drop: body.drop,
        unique: body.unique,
        access: body.access.map(AccessBody::read).transpose()?,
        confirm: body.confirm,
    };
    note.changes(!params.dry_run);
    if params.dry_run {
        let preview = state.catalog.data()?.preview_change(id, &change).await?;
        return Ok(axum::Json(UpdateAnswer::Preview(preview.into())));
    }
    let table = state.catalog.update_table(id, change).await?;
    Ok(axum::Json(UpdateAnswer::Table(Box::new(table.into()))))
}

/// Deletes a table; one with rows needs `confirm=true`.
#[utoipa::path(delete, path = "/admin/tables/{id}", operation_id = "deleteTable", tag = "tables", params(DeleteParams),
    responses((status = 204)))]
pub(crate) async fn delete(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<DeleteParams>,
) -> Result<StatusCode> {
    state.catalog.delete_table(id, params.confirm).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl AccessBody {
    /// # Errors
    /// `VALIDATION_ERROR` for what is no rule.
    fn read(self) -> Result<Access> {
        let rule = |name: &str, rule: serde_json::Value| match rule {
            serde_json::Value::Null => Ok(Default::default()),
            rule => serde_json::from_value(rule)
                .map_err(|error| gatewright_core::Failure::invalid(&format!("access.{name}"), error)),
        };
        Ok(Access {
            read: rule("read", self.read)?,
            create: rule("create", self.create)?,
            update: rule("update", self.update)?,
            delete: rule("delete", self.delete)?,
            owner_column: self.owner_column,
        })
    }
}

impl From<ColumnBody> for ColumnSpec {
    fn from(body: ColumnBody) -> Self {
        Self {
            name: body.name,
            kind: body.kind,
            required: body.required,
            unique: body.unique,
            index: body.index,
            default: body.default,
            references: body.references,
            values: body.values,
        }
    }
}

impl From<Table> for TableView {
    fn from(table: Table) -> Self {
        Self {
            id: table.id,
            name: table.name,
            description: table.description,
            columns: table.columns,
            unique: table.unique,
            rules: RulesView {
                read: table.rules.read,
                create: table.rules.create,
                update: table.rules.update,
                delete: table.rules.delete,
            },
            access: table.access,
            pack: table.pack,
            created_at: table.created_at,
            updated_at: table.updated_at,
        }
    }
}

impl From<ChangePreview> for ChangePreviewView {
    fn from(preview: ChangePreview) -> Self {
        let loss = |Loss { column, values }| LossView { column, values };
        let problem = |Problem { column, rows, message }| {
            let rows = (rows > 0).then_some(rows);
            ProblemView { column, rows, message }
        };
        Self {
            dry_run: true,
            needs_confirm: !preview.losses.is_empty(),
            rows: preview.rows,
            losses: preview.losses.into_iter().map(loss).collect(),
            problems: preview.problems.into_iter().map(problem).collect(),
            work: preview.work,
        }
    }
}
