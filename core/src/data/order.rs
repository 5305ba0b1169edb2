//! The order of rows, and which of them stand before or behind one: pages that go on behind a row, and
//! ranks, follow the order that a sort gives.

use sea_orm::DbBackend;
use sea_orm::sea_query::{Alias, Cond, Expr, ExprTrait, IntoIden, Order, SelectStatement, SimpleExpr};
use serde_json::Value as Json;

use super::statement::bound;
use super::table::{ID, Row, Table};
use crate::error::Result;
use crate::filter::{Field, FieldKind, comparable, comparable_as};
use crate::store::list;

/// The fields by which rows are sorted. The id is the last of them, so that no two rows stand in one place.
pub(super) struct Sorting<'a> {
    fields: Vec<(&'a Field, Order)>,
    backend: DbBackend,
}

/// What a column is compared with.
enum Other {
    /// The column of another row of the same statement.
    Column(Expr),
    /// A value; none: null.
    Value(Option<SimpleExpr>),
}

/// Where a row stands to another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    Behind,
}

impl<'a> Sorting<'a> {
    /// `-createdAt,name`; none: as the rows were made.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a field that is not there or has no order.
    pub(super) fn of(table: &'a Table, sort: Option<&str>, backend: DbBackend) -> Result<Self> {
        let mut fields = match sort {
            Some(sort) => list::sort_order(sort, &table.fields)?,
            None => Vec::new(),
        };
        match fields.iter().position(|(field, _)| field.name == ID) {
            Some(last) => fields.truncate(last + 1),
            None => {
                fields.extend(table.fields.iter().filter(|field| field.name == ID).map(|id| (id, Order::Asc)))
            }
        }
        Ok(Self { fields, backend })
    }

    /// The names of the fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(field, _)| field.name.as_str())
    }

    /// Orders what is selected.
    pub(super) fn apply(&self, select: &mut SelectStatement) {
        for (field, order) in &self.fields {
            list::order_by(select, field, order.clone(), self.backend);
        }
    }

    /// The rows behind one that was read with at least [`Self::names`].
    pub(super) fn behind(&self, table: &Table, row: &Row) -> Cond {
        let value = |field: &Field| {
            let value = row.get(&field.name).filter(|value| !Json::is_null(value));
            let value = table.column(&field.name).zip(value).map(|(column, value)| {
                // Moments are compared as text on SQLite, however they are stored.
                let is_time = field.kind == FieldKind::Time;
                let form = if is_time { self.backend } else { column.form(self.backend) };
                SimpleExpr::Value(bound(column.kind, value, form))
            });
            Other::Value(value)
        };
        self.beyond(Side::Behind, value)
    }

    /// The rows before the one that the statement calls `of`.
    pub(super) fn before(&self, of: &str) -> Cond {
        let of = Alias::new(of).into_iden();
        let column = |field: &Field| {
            let column = Expr::col((of.clone(), field.column.clone()));
            Other::Column(comparable_as(field, column, self.backend))
        };
        self.beyond(Side::Before, column)
    }

    fn beyond(&self, side: Side, other: impl Fn(&Field) -> Other) -> Cond {
        let mut rest: Option<Cond> = None;
        for (field, order) in self.fields.iter().rev() {
            let ascends = (*order == Order::Asc) == (side == Side::Behind);
            let other = other(field);
            let further = self.further(field, ascends, &other);
            rest = Some(match rest {
                None => further,
                Some(rest) => {
                    Cond::any().add(further).add(Cond::all().add(self.same(field, &other)).add(rest))
                }
            });
        }
        let first = self.fields.first().and_then(|(field, order)| {
            let ascends = (*order == Order::Asc) == (side == Side::Behind);
            self.not_nearer(field, ascends, &other(field))
        });
        Cond::all().add_option(first).add(rest.unwrap_or_else(Cond::any))
    }

    /// That a row has more in this field than the other, or less. Null is the least.
    fn further(&self, field: &Field, ascends: bool, other: &Other) -> Cond {
        let column = || comparable(field, self.backend);
        let plain = || Expr::col(field.column.clone());
        match (other, ascends) {
            (Other::Value(None), true) => Cond::all().add(plain().is_not_null()),
            (Other::Value(None), false) => Cond::all().add(Expr::cust("1 = 0")),
            (Other::Value(Some(value)), true) => Cond::all().add(column().gt(value.clone())),
            (Other::Value(Some(value)), false) => Cond::any()
                .add(column().lt(value.clone()))
                .add_option(field.is_nullable.then(|| plain().is_null())),
            (Other::Column(of), true) => Cond::any()
                .add(column().gt(of.clone()))
                .add_option(field.is_nullable.then(|| plain().is_not_null().and(of.clone().is_null()))),
            (Other::Column(of), false) => Cond::any()
                .add(column().lt(of.clone()))
                .add_option(field.is_nullable.then(|| plain().is_null().and(of.clone().is_not_null()))),
        }
    }

    fn same(&self, field: &Field, other: &Other) -> Cond {
        let column = || comparable(field, self.backend);
        let plain = || Expr::col(field.column.clone());
        match other {
            Other::Value(None) => Cond::all().add(plain().is_null()),
            Other::Value(Some(value)) => Cond::all().add(column().eq(value.clone())),
            Other::Column(of) => Cond::any()
                .add(column().eq(of.clone()))
                .add_option(field.is_nullable.then(|| plain().is_null().and(of.clone().is_null()))),
        }
    }

    /// What the first field has in all of these rows. It says nothing new, but is what the databases look up
    /// in an index, which they do not with the alternatives behind it.
    fn not_nearer(&self, field: &Field, ascends: bool, other: &Other) -> Option<SimpleExpr> {
        let column = comparable(field, self.backend);
        match (other, ascends) {
            (Other::Value(None), _) => None,
            (Other::Value(Some(value)), true) => Some(column.gte(value.clone())),
            _ if field.is_nullable => None,
            (Other::Value(Some(value)), false) => Some(column.lte(value.clone())),
            (Other::Column(of), true) => Some(column.gte(of.clone())),
            (Other::Column(of), false) => Some(column.lte(of.clone())),
        }
    }
}
