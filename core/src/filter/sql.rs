//! What a filter means in SQL. Values only ever travel as bound parameters.

use sea_orm::DbBackend;
use sea_orm::sea_query::extension::sqlite::SqliteExpr;
use sea_orm::sea_query::{Cond, Expr, ExprTrait, Func, LikeExpr, Value as Bound};

use super::{Comparison, Condition, Field, FieldKind, Filter, Place, Test, Value};
use crate::moment::time_text;

/// The form of [`time_text`] as SQLite writes it.
const TIME_FORM: &str = "%Y-%m-%dT%H:%M:%fZ";

impl Filter {
    /// The condition of a query. No row meets a condition on a field that there is no longer.
    pub fn condition(&self, fields: &[Field], backend: DbBackend) -> Cond {
        Sql { fields, backend }.cond(&self.0)
    }
}

/// A field's column as what its values are compared by.
pub(crate) fn comparable(field: &Field, backend: DbBackend) -> Expr {
    comparable_as(field, Expr::col(field.column.clone()), backend)
}

/// The same of a field's column that a statement names in another way.
pub(crate) fn comparable_as(field: &Field, column: Expr, backend: DbBackend) -> Expr {
    match (field.kind, backend) {
        // Not the order of some language, which a PostgreSQL may have as its default.
        (FieldKind::Text, DbBackend::Postgres) => Expr::cust_with_expr("$1 COLLATE \"C\"", column),
        // As the driver writes a moment, it lacks zeros at its end, and does not sort.
        (FieldKind::Time, DbBackend::Sqlite) if !field.is_stored_as_text => {
            Func::cust("strftime").arg(TIME_FORM).arg(column).into()
        }
        // The product's own are of the type json, which has no equality.
        (FieldKind::Json, DbBackend::Postgres) => column.cast_as("jsonb"),
        _ => column,
    }
}

struct Sql<'a> {
    fields: &'a [Field],
    backend: DbBackend,
}

impl Sql<'_> {
    fn cond(&self, condition: &Condition) -> Cond {
        match condition {
            Condition::All(conditions) if !conditions.is_empty() => {
                conditions.iter().fold(Cond::all(), |all, one| all.add(self.cond(one)))
            }
            Condition::Any(conditions) if !conditions.is_empty() => {
                conditions.iter().fold(Cond::any(), |any, one| any.add(self.cond(one)))
            }
            Condition::All(_) => Cond::all().add(Expr::cust("1 = 1")),
            Condition::Any(_) => Cond::all().add(never()),
            Condition::Not(condition) => Cond::all().add(self.not(condition)),
            Condition::Field(name, test) => Cond::all().add(self.test(name, test)),
        }
    }

    /// The opposite. What a database cannot tell because of a null does not hold, so its opposite does.
    fn not(&self, condition: &Condition) -> Expr {
        if let Condition::Field(name, Test::Null) = condition
            && let Some(field) = self.field(name)
        {
            return Expr::col(field.column.clone()).is_not_null();
        }
        Expr::from(Func::coalesce([Expr::from(self.cond(condition)), Expr::val(false)])).not()
    }

    fn test(&self, name: &str, test: &Test) -> Expr {
        let Some(field) = self.field(name) else { return never() };
        let column = || comparable(field, self.backend);
        match test {
            Test::Null => Expr::col(field.column.clone()).is_null(),
            Test::OneOf(values) => match values.as_slice() {
                [] => never(),
                [value] => column().eq(self.bind(field, value)),
                values => column().is_in(values.iter().map(|value| self.bind(field, value))),
            },
            Test::Order(comparison, value) => {
                let bound = self.bind(field, value);
                match comparison {
                    Comparison::Greater => column().gt(bound),
                    Comparison::GreaterOrEqual => column().gte(bound),
                    Comparison::Less => column().lt(bound),
                    Comparison::LessOrEqual => column().lte(bound),
                }
            }
            Test::Part(place, Value::Text(part)) => self.part(field, *place, part),
            Test::Part(..) => never(),
        }
    }

    /// Whether text has a part. Its case counts.
    fn part(&self, field: &Field, place: Place, part: &str) -> Expr {
        let column = Expr::col(field.column.clone());
        let around = |part: String, any: char| match place {
            Place::Start => format!("{part}{any}"),
            Place::End => format!("{any}{part}"),
            Place::Anywhere => format!("{any}{part}{any}"),
        };
        // SQLite's LIKE does not tell upper from lower case; its GLOB does.
        if self.backend == DbBackend::Sqlite {
            let part = part.replace('[', "[[]").replace('*', "[*]").replace('?', "[?]");
            column.glob(around(part, '*'))
        } else {
            let part = part.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
            column.like(LikeExpr::new(around(part, '%')).escape('\\'))
        }
    }

    fn bind(&self, field: &Field, value: &Value) -> Bound {
        let is_sqlite = self.backend == DbBackend::Sqlite;
        match value {
            Value::Text(text) => Bound::from(&**text),
            Value::Integer(number) => Bound::from(*number),
            Value::Float(number) => Bound::from(number.0),
            Value::Boolean(flag) => Bound::from(*flag),
            Value::Time(time) if is_sqlite => time_text(*time).into(),
            Value::Time(time) => Bound::from(*time),
            Value::Uuid(id) if field.is_stored_as_text => id.to_string().into(),
            Value::Uuid(id) => Bound::from(*id),
            Value::Json(json) if is_sqlite => json.to_string().into(),
            Value::Json(json) => Bound::from(json.clone()),
            // A rule that nobody was put into: its value equals nothing.
            Value::User(..) => Bound::String(None),
        }
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

fn never() -> Expr {
    Expr::cust("1 = 0")
}
