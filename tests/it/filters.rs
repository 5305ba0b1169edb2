//! A filter means the same to the database as in memory, whatever it is and whatever the rows.

use gatewright_core::filter::{FieldKind, Fields, Filter};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value as Json, json};

use super::support::api::Api;
use super::support::database::{Database, on_each_database};

const FILTERS: usize = 300;

const COLUMNS: [(&str, &str, FieldKind); 7] = [
    ("t", "text", FieldKind::Text),
    ("i", "integer", FieldKind::Integer),
    ("f", "float", FieldKind::Float),
    ("b", "boolean", FieldKind::Boolean),
    ("d", "datetime", FieldKind::Time),
    ("u", "uuid", FieldKind::Uuid),
    ("j", "json", FieldKind::Json),
];

struct Columns;

impl Fields for Columns {
    fn kind(&self, name: &str) -> Option<FieldKind> {
        COLUMNS.iter().find(|column| column.0 == name).map(|column| column.2)
    }

    fn names(&self) -> String {
        COLUMNS.map(|column| column.0).join(", ")
    }
}

/// Few values of each kind, so that filters meet rows; null among them.
fn value(kind: FieldKind) -> BoxedStrategy<Json> {
    let values = match kind {
        FieldKind::Text => json!(["", "a", "A", "ab", "b%", "a_b", "ä", "é*", "[x]", "\\"]),
        FieldKind::Integer => json!([0, 1, -1, 7, 9_007_199_254_740_993_i64, i64::MAX, i64::MIN]),
        FieldKind::Float => json!([0.0, 1.5, -1.5, 1e300, 0.1]),
        FieldKind::Boolean => json!([true, false]),
        FieldKind::Time => json!([
            "2026-01-31T12:00:00.000Z",
            "2026-01-31T13:00:00+01:00",
            "2026-01-31T12:00:00.001Z",
            "1969-12-31T23:59:59.999Z",
            "0001-01-01T00:00:00Z"
        ]),
        FieldKind::Uuid => json!([
            "01890000-0000-7000-8000-00000000000a",
            "01890000-0000-7000-8000-00000000000B",
            "ffffffff-ffff-ffff-ffff-ffffffffffff"
        ]),
        _ => json!([1, "a", [1, 2], [2, 1], { "a": 1, "b": [true] }, {}, []]),
    };
    let values = values.as_array().unwrap().clone();
    prop_oneof![8 => proptest::sample::select(values), 1 => Just(Json::Null)].boxed()
}

fn row() -> impl Strategy<Value = Json> {
    let columns: Vec<_> = COLUMNS.iter().map(|(_, _, kind)| value(*kind)).collect();
    columns.prop_map(|values| {
        COLUMNS
            .iter()
            .zip(values)
            .map(|(column, value)| (column.0.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    })
}

/// A term about one column; some are wrong for it.
fn term() -> impl Strategy<Value = Json> {
    let operators = [
        "_eq",
        "_neq",
        "_gt",
        "_gte",
        "_lt",
        "_lte",
        "_in",
        "_nin",
        "_contains",
        "_starts_with",
        "_ends_with",
        "_between",
        "_is_null",
    ];
    (0..COLUMNS.len(), proptest::sample::select(operators.to_vec())).prop_flat_map(|(at, operator)| {
        let (name, _, kind) = COLUMNS[at];
        let operand = match operator {
            "_in" | "_nin" => proptest::collection::vec(value(kind), 0..4).prop_map(Json::from).boxed(),
            "_between" => (value(kind), value(kind)).prop_map(|(low, high)| json!([low, high])).boxed(),
            "_is_null" => prop_oneof![9 => any::<bool>().prop_map(Json::from), 1 => Just(json!(5))].boxed(),
            _ => value(kind),
        };
        operand.prop_map(move |operand| json!({ name: { operator: operand } }))
    })
}

fn filter() -> impl Strategy<Value = Json> {
    term().prop_recursive(3, 12, 3, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            several().prop_map(|all| json!({ "_and": all })),
            several().prop_map(|any| json!({ "_or": any })),
            inner.clone().prop_map(|not| json!({ "_not": not })),
        ]
    })
}

fn mean_the_same_everywhere(database: Database) {
    let api = Api::on(database);
    let columns = COLUMNS.map(|(name, kind, _)| json!({ "name": name, "type": kind }));
    api.table("thing", json!(columns));
    // Always the same ones: what fails once fails again.
    let mut runner = TestRunner::deterministic();
    let mut some = |strategy: BoxedStrategy<Json>| strategy.new_tree(&mut runner).unwrap().current();
    for _ in 0..40 {
        api.row("thing", some(row().boxed()));
    }
    let rows = api.rows("thing", &[("limit", "1000"), ("sort", "id")]);
    let rows = rows.as_array().unwrap();
    let (mut met, mut refused) = (0, 0);
    for _ in 0..FILTERS {
        let filter = some(filter().boxed());
        let text = filter.to_string();
        let answer = api.list("thing", &[("filter", &text), ("limit", "1000"), ("sort", "id")]);
        let Ok(parsed) = Filter::parse(&filter, &Columns) else {
            assert_eq!(answer.status, 422, "{filter}: {}", answer.body);
            refused += 1;
            continue;
        };
        assert_eq!(answer.status, 200, "{filter}: {}", answer.body);
        let expected: Vec<_> = rows.iter().filter(|row| parsed.matches(row.as_object().unwrap())).collect();
        let found = answer.json();
        assert_eq!(found["data"].as_array().unwrap().iter().collect::<Vec<_>>(), expected, "{filter}");
        met += expected.len();
    }
    assert!(met > FILTERS && refused > 10 && refused < FILTERS / 2, "{met} rows met, {refused} refused");
}

on_each_database!(mean_the_same_everywhere);
