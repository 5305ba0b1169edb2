//! Who may do what with the rows of a table, and what becomes of it in a query.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::table::{ID, Row, Table};
use crate::auth::{ROLE_ADMIN, User};
use crate::error::{Error, ErrorCode, Failure, Result};
use crate::store::list;

/// The rules of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Access {
    /// Who may read which rows.
    pub read: Rule,
    /// Who may make rows, and which.
    pub create: Rule,
    /// Who may change which rows.
    pub update: Rule,
    /// Who may delete which rows.
    pub delete: Rule,
    /// The column that holds the id of a row's owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_column: Option<String>,
}

/// One rule. An admin may always.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Rule {
    /// Admins alone.
    #[default]
    Admin,
    /// Whoever is signed in.
    User,
    /// The user whose id is in the owner column.
    Owner,
    /// Everyone.
    Public,
    /// Rows that meet a filter, which may name what of a user only an admin changes: `@USER.id` and
    /// `@USER.role`.
    Filter(Json),
}

/// What is done with rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Read,
    Create,
    Update,
    Delete,
}

/// Who does it.
#[derive(Debug, Clone)]
pub enum Actor {
    /// No rule applies: a script's own `#table`, an admin, an app key with the scope.
    Trusted,
    /// The fields of a user, as `@USER` has them.
    User(Map<String, Json>),
    /// Nobody is signed in.
    Anonymous,
}

/// Which rows an actor may do something with.
#[derive(Debug, Clone, PartialEq)]
pub enum Grant {
    /// All.
    All,
    /// Those that meet this filter.
    Where(Json),
}

/// What in a filter stands for a field of the user.
const USER_PREFIX: &str = "@USER.";
/// Fields of the user that a filter may name. Users change their other fields themselves, and would
/// let themselves in.
const USER_FIELDS: [&str; 2] = ["id", "role"];

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Admin => serializer.serialize_str("admin"),
            Self::User => serializer.serialize_str("user"),
            Self::Owner => serializer.serialize_str("owner"),
            Self::Public => serializer.serialize_str("public"),
            Self::Filter(filter) => filter.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = Json::deserialize(deserializer)?;
        match rule.as_str() {
            Some("admin") => Ok(Self::Admin),
            Some("user") => Ok(Self::User),
            Some("owner") => Ok(Self::Owner),
            Some("public") => Ok(Self::Public),
            None if rule.is_object() => Ok(Self::Filter(rule)),
            _ => Err(serde::de::Error::custom("takes admin, user, owner, public or a filter")),
        }
    }
}

impl Actor {
    /// The actor that a signed-in user is.
    pub fn of_user(user: &User) -> Self {
        serde_json::to_value(user).map_or(Self::Anonymous, |fields| Self::of_fields(&fields))
    }

    /// The actor with these fields of a user.
    pub fn of_fields(user: &Json) -> Self {
        match user {
            Json::Object(fields) if fields.get("role").and_then(Json::as_str) == Some(ROLE_ADMIN) => {
                Self::Trusted
            }
            Json::Object(fields) => Self::User(fields.clone()),
            _ => Self::Anonymous,
        }
    }
}

impl Access {
    fn rule(&self, action: Action) -> &Rule {
        match action {
            Action::Read => &self.read,
            Action::Create => &self.create,
            Action::Update => &self.update,
            Action::Delete => &self.delete,
        }
    }

    /// Which rows this actor may do this with.
    ///
    /// # Errors
    /// `AUTHENTICATION_ERROR` when nobody is signed in and someone has to be,
    /// `AUTHORIZATION_ERROR` when it is not for this user at all.
    pub fn grant(&self, action: Action, actor: &Actor) -> Result<Grant, Failure> {
        let rule = self.rule(action);
        let user = match (actor, rule) {
            (Actor::Trusted, _) | (_, Rule::Public) => return Ok(Grant::All),
            (Actor::User(user), _) => Some(user),
            (Actor::Anonymous, Rule::Filter(filter)) if !names_user(filter) => None,
            (Actor::Anonymous, _) => return Err(Failure::new(ErrorCode::Authentication, "Sign in first")),
        };
        match (rule, user) {
            (Rule::User | Rule::Public, _) => Ok(Grant::All),
            (Rule::Owner, Some(user)) => {
                let column = self.owner_column.clone().unwrap_or_default();
                Ok(Grant::Where(field_of(user, "id").map_or_else(nothing, |id| json!({ column: id }))))
            }
            (Rule::Filter(filter), user) => Ok(Grant::Where(filled(filter, user).unwrap_or_else(nothing))),
            (Rule::Admin, _) | (Rule::Owner, None) => {
                Err(Failure::new(ErrorCode::Authorization, "Your role may not do this with this table"))
            }
        }
    }

    /// Sets the owner of a new row to who makes it. Only who is trusted names another.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR`.
    pub fn own(&self, data: &mut Row, actor: &Actor, table: &Table) -> Result<(), Failure> {
        let Some(name) = &self.owner_column else { return Ok(()) };
        let id = match actor {
            Actor::Trusted => return Ok(()),
            Actor::User(user) => field_of(user, "id").cloned().unwrap_or_default(),
            Actor::Anonymous => Json::Null,
        };
        // What is no value of the column is refused as such, later.
        let value = |of: &Json| table.column(name).and_then(|column| column.value(of).ok());
        match data.get(name) {
            Some(named) if value(named) != value(&id) => Err(another_owner()),
            Some(_) => Ok(()),
            None if id.is_null() => Ok(()),
            None => {
                data.insert(name.clone(), id);
                Ok(())
            }
        }
    }

    /// Whether a change of these fields could give a row to another owner, which only who is trusted
    /// may do.
    pub fn may_change_owner(&self, data: &Row, actor: &Actor) -> bool {
        !matches!(actor, Actor::Trusted)
            && self.owner_column.as_ref().is_some_and(|column| data.contains_key(column))
    }

    /// Refuses to make the one row of the other when its owner is another then.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR`.
    pub fn check_owner(&self, old: &Row, new: &Row) -> Result<(), Failure> {
        match &self.owner_column {
            Some(column) if old.get(column) != new.get(column) => Err(another_owner()),
            _ => Ok(()),
        }
    }

    /// Refuses rules that make no sense for this table.
    pub(super) fn check(&self, table: &Table) -> Result<()> {
        if let Some(name) = &self.owner_column {
            use super::column::ColumnKind as Kind;
            let column = table.own_columns().iter().find(|column| column.name == *name);
            let fits =
                column.is_some_and(|column| matches!(column.kind, Kind::String | Kind::Text | Kind::Uuid));
            if !fits {
                let message = format!("{name} is no column of type string, text or uuid of this table");
                return Err(Failure::invalid("access.ownerColumn", message).into());
            }
        }
        for action in [Action::Read, Action::Create, Action::Update, Action::Delete] {
            match self.rule(action) {
                Rule::Owner if self.owner_column.is_none() => {
                    let message = "is missing, and a rule is \"owner\"";
                    return Err(Failure::invalid("access.ownerColumn", message).into());
                }
                Rule::Filter(filter) => check_filter(filter, table).map_err(|error| inside(action, error))?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Grant {
    /// The filter of a query, if there is one.
    pub fn filter(&self) -> Option<&Json> {
        match self {
            Self::All => None,
            Self::Where(filter) => Some(filter),
        }
    }

    /// Whether a row is among those of the grant.
    pub fn covers(&self, row: &Row, table: &Table) -> Result<bool> {
        let Self::Where(filter) = self else { return Ok(true) };
        table.matches(filter, row)
    }
}

/// The same refusal, saying which rule it is about.
fn inside(action: Action, error: Error) -> Error {
    match error {
        Error::Refused(failure) => {
            let rule = format!("{action:?}").to_lowercase();
            Failure { message: format!("access.{rule}: {}", failure.message).into(), ..failure }.into()
        }
        other => other,
    }
}

/// That the filter can be asked for, with any user.
fn check_filter(filter: &Json, table: &Table) -> Result<()> {
    let someone = USER_FIELDS.iter().map(|field| ((*field).to_owned(), json!(uuid::Uuid::nil().to_string())));
    check_user_fields(filter)?;
    let filter = filled(filter, Some(&someone.collect())).unwrap_or_else(nothing);
    // Which database it is asked of makes no difference to what is allowed.
    list::condition(&filter, &table.fields, sea_orm::DbBackend::Sqlite).map(drop)
}

fn check_user_fields(value: &Json) -> Result<()> {
    match value {
        Json::String(text) => match text.strip_prefix(USER_PREFIX) {
            Some(field) if !USER_FIELDS.contains(&field) => {
                let message = format!(
                    "a rule may not rest on {text}, which users can change or which is not there; it may \
                     name {}",
                    USER_FIELDS.map(|field| format!("@USER.{field}")).join(", ")
                );
                Err(Failure::invalid("access", message).into())
            }
            _ => Ok(()),
        },
        Json::Array(items) => items.iter().try_for_each(check_user_fields),
        Json::Object(fields) => fields.values().try_for_each(check_user_fields),
        _ => Ok(()),
    }
}

fn names_user(value: &Json) -> bool {
    match value {
        Json::String(text) => text.starts_with(USER_PREFIX),
        Json::Array(items) => items.iter().any(names_user),
        Json::Object(fields) => fields.values().any(names_user),
        _ => false,
    }
}

/// The filter with the user's fields in their places; none when it names one that the user does not
/// have, since a row without a value must not count as that user's.
fn filled(filter: &Json, user: Option<&Map<String, Json>>) -> Option<Json> {
    Some(match filter {
        Json::String(text) => match text.strip_prefix(USER_PREFIX) {
            Some(field) => field_of(user?, field).filter(|_| USER_FIELDS.contains(&field))?.clone(),
            None => filter.clone(),
        },
        Json::Array(items) => items.iter().map(|item| filled(item, user)).collect::<Option<_>>()?,
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Some((name.clone(), filled(value, user)?)));
            Json::Object(fields.collect::<Option<_>>()?)
        }
        other => other.clone(),
    })
}

fn another_owner() -> Failure {
    Failure::new(ErrorCode::Authorization, "Only an admin gives a row another owner")
}

/// What a user has in a field, unless it is empty.
fn field_of<'a>(user: &'a Map<String, Json>, field: &str) -> Option<&'a Json> {
    user.get(field).filter(|value| !value.is_null() && *value != "")
}

/// The filter that no row meets.
fn nothing() -> Json {
    json!({ ID: { "_in": [] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: &str) -> Actor {
        Actor::User(Map::from_iter([("id".to_owned(), json!(id))]))
    }

    #[test]
    fn grants() {
        let access: Access = serde_json::from_value(json!({
            "read": { "_or": [{ "isPublic": true }, { "userId": "@USER.id" }] },
            "create": "owner",
            "update": "user",
            "ownerColumn": "userId",
        }))
        .unwrap();
        let read = access.grant(Action::Read, &user("7")).unwrap();
        assert_eq!(read, Grant::Where(json!({ "_or": [{ "isPublic": true }, { "userId": "7" }] })));
        assert_eq!(access.grant(Action::Create, &user("7")).unwrap(), Grant::Where(json!({ "userId": "7" })));
        assert_eq!(access.grant(Action::Update, &user("7")).unwrap(), Grant::All);
        assert_eq!(access.grant(Action::Delete, &user("7")).unwrap_err().code, ErrorCode::Authorization);
        assert_eq!(access.grant(Action::Delete, &Actor::Trusted).unwrap(), Grant::All);
        assert_eq!(
            access.grant(Action::Read, &Actor::Anonymous).unwrap_err().code,
            ErrorCode::Authentication
        );
    }

    #[test]
    fn a_user_without_what_a_rule_names_has_no_rows() {
        let access: Access = serde_json::from_value(json!({
            "read": { "_or": [{ "userId": "@USER.id" }, { "_not": { "role": "@USER.role" } }] },
            "update": "owner",
            "ownerColumn": "userId",
        }))
        .unwrap();
        for user in
            [json!({}), json!({ "id": "", "role": "", "name": "a" }), json!({ "id": null, "role": null })]
        {
            let user = Actor::of_fields(&user);
            for action in [Action::Read, Action::Update] {
                assert_eq!(access.grant(action, &user).unwrap(), Grant::Where(nothing()), "{user:?}");
            }
        }
    }

    #[test]
    fn rules_as_text() {
        assert!(serde_json::from_value::<Access>(json!({ "read": "nobody" })).is_err());
        assert!(serde_json::from_value::<Access>(json!({ "raed": "user" })).is_err());
        let access: Access = serde_json::from_value(json!({})).unwrap();
        assert_eq!(access.read, Rule::Admin);
    }
}
