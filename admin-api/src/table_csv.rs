//! `/admin/tables/{id}/csv`: the rows of a table as a file for spreadsheets, and back.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use gatewright_core::data::{
    CsvError, Find, IMPORT_ROWS_MAX, Import, Keep, Row, Table, csv_header, csv_lines, read_csv,
};
use gatewright_core::script::RowsBatch;
use gatewright_core::{ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::audit::Note;
use crate::error::{ApiError, Result};
use crate::extract::{Admin, Path, Query};
use crate::list::ListParams;
use crate::state::AdminState;
use crate::table_rows::{in_time, write as write_batch};

/// Bytes of a file that is read.
const FILE_BYTES_MAX: usize = 8 << 20;
/// Rows that are read from the database for one part of a file.
const PART_ROWS: u64 = 500;
/// Refusals that are told in a sentence.
const TOLD_MAX: usize = 3;

/// Which rows are written.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteParams {
    /// Fields with commas, `-` before one for descending. Without it as the rows were made.
    sort: Option<String>,
    /// Conditions as JSON; without it all rows.
    filter: Option<String>,
    /// Only these columns, with commas.
    fields: Option<String>,
}

/// How a file is read.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadParams {
    /// Whether to tell what would become of the rows, and write none.
    #[serde(default)]
    dry_run: bool,
}

/// What becomes of the rows of a file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CsvAnswer {
    /// Whether nothing was written.
    dry_run: bool,
    /// Rows of the file.
    rows: u64,
    created: u64,
    updated: u64,
    /// Rows that were there already as they are in the file.
    unchanged: u64,
    /// What cannot be, at most 100; with any, nothing is written.
    errors: Vec<CsvErrorView>,
    /// How many there are.
    error_count: u64,
}

/// Why a row of a file cannot be taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CsvErrorView {
    /// Counts from 1; the line with the names is the first.
    line: u64,
    column: Option<String>,
    message: String,
}

/// Gives rows as CSV (RFC 4180, UTF-8), as many as there are, while they are read. An empty cell is null. Text that a
/// spreadsheet could take for a formula begins with an apostrophe, which reading such a file takes away again.
#[utoipa::path(get, path = "/admin/tables/{id}/csv", operation_id = "writeTableCsv", tag = "tables", params(WriteParams),
    responses((status = 200, body = String, content_type = "text/csv")))]
pub(crate) async fn write(
    State(state): State<AdminState>,
    _: Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<WriteParams>,
) -> Result<Response> {
    let table = state.catalog.data()?.table_by_id(id)?;
    let WriteParams { sort, filter, fields } = params;
    let find = ListParams { sort, filter, fields, ..ListParams::default() }.find(&table)?;
    let header = csv_header(&table, find.fields.as_deref())?;
    let disposition = format!("attachment; filename=\"{}.csv\"", table.name);
    let part = Part { state, table, find: Find { limit: PART_ROWS, ..find }, last: None };
    // The first rows go with the names: what cannot be asked is told by the status.
    let (first, rest) = part.read().await?;
    let first = [header, first].concat();
    let rest = stream::unfold(rest, async |part: Option<Part>| match part?.read().await {
        Ok((lines, rest)) => Some((Ok(Bytes::from(lines)), rest)),
        // The connection ends before the file does, which its reader sees.
        Err(error) => {
            tracing::warn!(?error, "a file of rows ends early");
            Some((Err(std::io::Error::other("the rows could not be read")), None))
        }
    });
    let body = Body::from_stream(stream::StreamExt::chain(
        stream::once(std::future::ready(Ok::<_, std::io::Error>(Bytes::from(first)))),
        rest,
    ));
    let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, disposition)];
    Ok((headers, body).into_response())
}

/// Reads rows from CSV: one with the id of a row that is there changes it, all others are new. All or nothing, with their
/// hooks; at most 10000 rows and 8 MiB. With `dryRun=true` it tells what would become of them, as far as that is known
/// without hooks.
#[utoipa::path(post, path = "/admin/tables/{id}/csv", operation_id = "readTableCsv", tag = "tables", params(ReadParams),
    request_body(content = String, content_type = "text/csv"), responses((status = 200, body = CsvAnswer)))]
pub(crate) async fn read(
    State(state): State<AdminState>,
    Admin(admin): Admin,
    Path(id): Path<Uuid>,
    Query(params): Query<ReadParams>,
    note: Note,
    request: Request,
) -> Result<axum::Json<CsvAnswer>> {
    note.changes(!params.dry_run);
    let table = state.catalog.data()?.table_by_id(id)?;
    let text = file_of(request).await?;
    let data = state.catalog.data()?;
    let mut import = data.plan_import(&table, read_csv(&table, &text, IMPORT_ROWS_MAX)?).await?;
    if params.dry_run {
        data.try_import(&table, &mut import).await?;
        return Ok(axum::Json(CsvAnswer::of(&import, true)));
    }
    refuse(&import)?;
    let answer = CsvAnswer::of(&import, false);
    let batch = RowsBatch {
        create: import.create.iter().map(|(_, row)| row.clone()).collect(),
        update: import.update.iter().map(|(_, id, row)| (id.clone(), row.clone())).collect(),
        delete: Vec::new(),
    };
    match write_batch(&state, &table, batch, &admin.user).await {
        Ok(_) => Ok(axum::Json(answer)),
        Err(failed) => {
            // What the database has against rows is told by their lines.
            data.try_import(&table, &mut import).await?;
            refuse(&import)?;
            Err(failed)
        }
    }
}

/// A file that comes as `text/csv`.
async fn file_of(request: Request) -> Result<Bytes> {
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("text/csv") {
        return Err(ApiError::bad_request(
            "Send the file as the body, with the header content-type: text/csv",
        ));
    }
    to_bytes(request.into_body(), FILE_BYTES_MAX).await.map_err(|error| {
        let is_too_long = std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("length limit"));
        if is_too_long {
            let message = format!("The file has more than {FILE_BYTES_MAX} bytes; send it in parts");
            return Failure::new(ErrorCode::PayloadTooLarge, message).into();
        }
        ApiError::bad_request("The file did not arrive whole")
    })
}

/// Refuses all rows where some cannot be.
fn refuse(import: &Import) -> Result<()> {
    let refused = &import.refused;
    if refused.error_count == 0 {
        return Ok(());
    }
    let told = refused.errors.iter().take(TOLD_MAX).map(|CsvError { line, column, message }| {
        let column = column.as_ref().map_or_else(String::new, |column| format!(", {column}"));
        format!("line {line}{column}: {message}")
    });
    let told = told.collect::<Vec<_>>().join("; ");
    let message =
        format!("{} values or rows cannot be taken, so nothing was written: {told}", refused.error_count);
    let errors = refused.errors.iter().cloned().map(CsvErrorView::from).collect::<Vec<_>>();
    let details = json!({ "errors": errors, "errorCount": refused.error_count });
    Err(Failure::new(ErrorCode::Validation, message).with_details(details).into())
}

/// What is left to write of a table.
struct Part {
    state: AdminState,
    table: Arc<Table>,
    find: Find,
    last: Option<Row>,
}

impl Part {
    /// The next lines, and what is left behind them.
    async fn read(self) -> Result<(Vec<u8>, Option<Self>)> {
        let session = self.state.catalog.data()?.session(Keep::Writes);
        let part = in_time(&self.state, session.part(&self.table, &self.find, self.last.as_ref())).await?;
        let lines = csv_lines(&self.table, self.find.fields.as_deref(), &part.rows)?;
        let last = part.rows.last().cloned().filter(|_| part.is_followed);
        Ok((lines, last.map(|last| Self { last: Some(last), ..self })))
    }
}

impl CsvAnswer {
    fn of(import: &Import, dry_run: bool) -> Self {
        let (created, updated) = (import.create.len() as u64, import.update.len() as u64);
        let errors: Vec<_> = import.refused.errors.iter().cloned().map(CsvErrorView::from).collect();
        Self {
            dry_run,
            rows: import.rows,
            created,
            updated,
            unchanged: import.unchanged,
            errors,
            error_count: import.refused.error_count,
        }
    }
}

impl From<CsvError> for CsvErrorView {
    fn from(CsvError { line, column, message }: CsvError) -> Self {
        Self { line, column, message }
    }
}
