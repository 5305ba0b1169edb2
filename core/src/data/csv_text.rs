//! Rows as CSV, for spreadsheets and back (RFC 4180, in UTF-8). What is written can be read again without loss.
//!
//! An empty cell is null. Spreadsheets take text that begins with `=`, `+`, `-`, `@` and the like for a formula, so such
//! text gets an apostrophe before it, and so does empty text; reading takes one apostrophe away again.

use serde_json::Value as Json;

use super::column::{Column, ColumnKind};
use super::table::{CREATED_AT, Row, Table, UPDATED_AT};
use crate::error::{Error, ErrorCode, Failure, Result};

/// What a spreadsheet may take for the beginning of a formula; the wide ones are of keyboards of East Asia.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
const GUARD: char = '\'';
/// Refusals that are told.
pub(super) const ERRORS_MAX: usize = 100;

/// Why a row of a file cannot be taken.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvError {
    /// Counts from 1; the header is the first.
    pub line: u64,
    /// The column, if it is one alone.
    pub column: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// What a file has.
#[derive(Debug, Default)]
pub struct CsvRows {
    /// Its rows, with the lines at which they begin; only the columns that the file has.
    pub rows: Vec<(u64, Row)>,
    /// What is no row, at most 100.
    pub errors: Vec<CsvError>,
    /// How many there are of these.
    pub error_count: u64,
    /// How many rows the file has, whatever they are.
    pub count: u64,
}

impl CsvRows {
    pub(super) fn refuse(&mut self, line: u64, column: Option<String>, message: String) {
        self.error_count += 1;
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(CsvError { line, column, message });
        }
    }

    /// Notes why a row is refused.
    ///
    /// # Errors
    /// What is no refusal.
    pub(super) fn note(&mut self, line: u64, error: Error) -> Result<()> {
        let Error::Refused(failure) = error else { return Err(error) };
        let column =
            failure.details.as_ref().and_then(|details| details.get("field")?.as_str().map(str::to_owned));
        let message = failure.message.into_owned();
        // The column has its own place.
        let short = column.as_ref().and_then(|name| message.strip_prefix(name.as_str())?.strip_prefix(": "));
        let message = short.map_or_else(|| message.clone(), str::to_owned);
        self.refuse(line, column, message);
        Ok(())
    }
}

/// The line with the names of these columns (none: of all), with its end.
///
/// # Errors
/// `VALIDATION_ERROR` for an unknown one.
pub fn csv_header(table: &Table, fields: Option<&[String]>) -> Result<Vec<u8>> {
    let columns = table.selected(fields)?;
    lines(std::iter::once(columns.iter().map(|column| column.name.clone())))
}

/// Rows as lines with their ends.
///
/// # Errors
/// As [`csv_header`].
pub fn csv_lines(table: &Table, fields: Option<&[String]>, rows: &[Row]) -> Result<Vec<u8>> {
    let columns = table.selected(fields)?;
    let cells = |row: &Row| {
        let cell = |column: &&Column| cell(column, row.get(&column.name).unwrap_or(&Json::Null));
        columns.iter().map(cell).collect::<Vec<_>>()
    };
    lines(rows.iter().map(cells))
}

fn lines<C: AsRef<[u8]>>(records: impl Iterator<Item = impl IntoIterator<Item = C>>) -> Result<Vec<u8>> {
    let broken = |error: &dyn std::fmt::Display| Error::Internal(format!("a line of CSV: {error}"));
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for cells in records {
        writer.write_record(cells).map_err(|error| broken(&error))?;
    }
    writer.into_inner().map_err(|error| broken(&error))
}

fn cell(column: &Column, value: &Json) -> String {
    match (value, column.kind) {
        (Json::Null, _) => String::new(),
        (Json::String(text), kind) if kind != ColumnKind::Json => guarded(text),
        (value, ColumnKind::Json) => guarded(&value.to_string()),
        (value, _) => value.to_string(),
    }
}

fn guarded(text: &str) -> String {
    let bare = text.trim_start_matches(GUARD);
    if bare.is_empty() || bare.starts_with(FORMULA) { format!("{GUARD}{text}") } else { text.to_owned() }
}

fn unguarded(cell: &str) -> &str {
    let bare = cell.trim_start_matches(GUARD);
    match cell.strip_prefix(GUARD) {
        Some(text) if bare.is_empty() || bare.starts_with(FORMULA) => text,
        _ => cell,
    }
}

/// The rows of a file, whose first line names columns of the table. `createdAt` and `updatedAt` may be among them and are
/// not looked at: the server sets them. Between the cells stand commas, or semicolons or tabs where the first line has no
/// comma.
///
/// # Errors
/// `VALIDATION_ERROR` for a first line that names no columns of the table, and for more than `rows_max` rows.
pub fn read_csv(table: &Table, text: &[u8], rows_max: usize) -> Result<CsvRows> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter(text)).from_reader(text);
    let header = reader.byte_headers().map_err(|error| Failure::invalid("csv", error))?.clone();
    let columns = columns_of(table, &header)?;
    let mut found = CsvRows::default();
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(found),
            Err(error) => return Err(Failure::invalid("csv", error).into()),
        }
        let line = record.position().map_or(0, |position| line_at(text, position));
        found.count += 1;
        if found.count > rows_max as u64 {
            let message = format!("has more than {rows_max} rows; send it in parts");
            return Err(Failure::invalid("csv", message).into());
        }
        if record.len() != columns.len() {
            let message = format!("has {} cells, and the first line has {}", record.len(), columns.len());
            found.refuse(line, None, message);
            continue;
        }
        let mut row = Row::new();
        let mut is_right = true;
        for (column, cell) in columns.iter().zip(record.iter()) {
            let Some(column) = column else { continue };
            match value(column, cell) {
                Ok(value) => {
                    row.insert(column.name.clone(), value);
                }
                Err(message) => {
                    is_right = false;
                    found.refuse(line, Some(column.name.clone()), message);
                }
            }
        }
        if is_right {
            found.rows.push((line, row));
        }
    }
}

/// The line of a record. Its position may stand before the end of the line above, and before empty lines.
fn line_at(text: &[u8], position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).ok().and_then(|byte| text.get(byte..)).unwrap_or_default();
    let ends = from.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + ends.filter(|byte| **byte == b'\n').count() as u64
}

fn delimiter(text: &[u8]) -> u8 {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let has = |byte: u8| first.contains(&byte);
    match (has(b','), has(b';'), has(b'\t')) {
        (false, true, _) => b';',
        (false, false, true) => b'\t',
        _ => b',',
    }
}

/// The columns that a header names; none where nothing is read from it.
fn columns_of<'a>(table: &'a Table, header: &csv::ByteRecord) -> Result<Vec<Option<&'a Column>>> {
    let refuse = |message: String| Err(Failure::invalid("csv", message).into());
    if header.is_empty() {
        return refuse("is empty: its first line names the columns".to_owned());
    }
    let mut columns: Vec<Option<&Column>> = Vec::with_capacity(header.len());
    for name in header {
        let shown: String = String::from_utf8_lossy(name).trim().chars().take(100).collect();
        let Some(column) = table.column(&shown) else {
            let known = table.column_names().collect::<Vec<_>>().join(", ");
            return refuse(format!("the first line names {shown:?}, which is no column; known: {known}"));
        };
        if columns.iter().flatten().any(|known| known.name == column.name) {
            return refuse(format!("the first line names {shown} twice"));
        }
        let is_set_by_server = [CREATED_AT, UPDATED_AT].contains(&column.name.as_str());
        columns.push((!is_set_by_server).then_some(column));
    }
    if columns.iter().all(Option::is_none) {
        let message = "The first line names no column that can be set";
        return Err(Failure::new(ErrorCode::Validation, message).into());
    }
    Ok(columns)
}

/// What a cell says; whether the column takes it is seen to later.
fn value(column: &Column, cell: &[u8]) -> Result<Json, String> {
    let cell = std::str::from_utf8(cell).map_err(|_| "is not in UTF-8".to_owned())?;
    if cell.is_empty() {
        return Ok(Json::Null);
    }
    let shown = || cell.chars().take(40).collect::<String>();
    let text = || Ok(Json::from(unguarded(cell)));
    match column.kind {
        ColumnKind::String | ColumnKind::Text | ColumnKind::Enum => text(),
        ColumnKind::Uuid | ColumnKind::Datetime => Ok(Json::from(unguarded(cell).trim())),
        ColumnKind::Integer => {
            let number = cell.trim().parse::<i64>().map(Json::from);
            number.map_err(|_| format!("takes an integer of 64 bits, not {:?}", shown()))
        }
        ColumnKind::Float => {
            let number = cell.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            number.map(Json::from).ok_or_else(|| format!("takes a number, not {:?}", shown()))
        }
        ColumnKind::Boolean => match cell.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(Json::Bool(true)),
            "false" | "0" => Ok(Json::Bool(false)),
            _ => Err(format!("takes true or false, not {:?}", shown())),
        },
        ColumnKind::Json => {
            serde_json::from_str(unguarded(cell)).map_err(|error| format!("is no JSON: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::data::{Access, ColumnSpec};

    fn table() -> Table {
        let columns = [
            ("text", "string"),
            ("number", "integer"),
            ("share", "float"),
            ("done", "boolean"),
            ("more", "json"),
        ];
        let spec = |(name, kind): (&str, &str)| {
            ColumnSpec { name: name.into(), kind: kind.into(), ..ColumnSpec::default() }.read().unwrap()
        };
        Table::new(uuid::Uuid::nil(), "thing", &columns.map(spec), &[], Access::default(), true).unwrap()
    }

    fn own() -> Vec<String> {
        ["text", "number", "share", "done", "more"].map(str::to_owned).to_vec()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let table = table();
        for text in [
            "plain",
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "'",
            "''",
            "'=1",
            "'x",
            "",
            "a,b\r\n\"c\"",
            "＝1",
            "\t1",
            " x ",
        ] {
            let row =
                json!({ "text": text, "number": -5, "share": 0.5, "done": true, "more": [text, null, -1] });
            let row = row.as_object().unwrap();
            let mut file = csv_header(&table, Some(&own())).unwrap();
            let line = csv_lines(&table, Some(&own()), std::slice::from_ref(row)).unwrap();
            let shown = String::from_utf8(line.clone()).unwrap();
            assert!(!shown.trim_start_matches('"').starts_with(FORMULA), "{shown}");
            file.extend(line);
            let read = read_csv(&table, &file, 10).unwrap();
            assert_eq!(read.errors, []);
            assert_eq!(read.rows[0], (2, row.clone()), "{text:?}");
        }
        let nulls =
            table.own_columns().iter().map(|column| (column.name.clone(), Json::Null)).collect::<Row>();
        assert_eq!(csv_lines(&table, Some(&own()), &[nulls]).unwrap(), b",,,,\r\n");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let read =
            read_csv(&table(), b"text;number;done\nx;1;true\ny;many;maybe\nz\n\"w\n\";2;0\n", 10).unwrap();
        assert_eq!(read.rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 5]);
        let told = read.errors.iter().map(|error| (error.line, error.column.as_deref())).collect::<Vec<_>>();
        assert_eq!(told, [(3, Some("number")), (3, Some("done")), (4, None)]);
        let read = read_csv(&table(), b"text,number\r\n\r\nx,1\r\ny,many\r\n", 10).unwrap();
        assert_eq!((read.rows[0].0, read.errors[0].line), (3, 4));
        for (file, mentions) in [
            (&b""[..], "first line"),
            (b"text,nothing\n", "nothing"),
            (b"text,text\n", "twice"),
            (b"createdAt\n", "can be set"),
            (b"text\na\nb\nc\n", "more than 2 rows"),
        ] {
            let refused = read_csv(&table(), file, 2).unwrap_err().to_string();
            assert!(refused.contains(mentions), "{refused}");
        }
        assert_eq!(read_csv(&table(), b"text\n\xff\n", 2).unwrap().errors[0].message, "is not in UTF-8");
    }
}
