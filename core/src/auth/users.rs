//! Users: who may sign in, and as what.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait,
    QueryFilter,
};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::accounts::{Accounts, UserChanged};
use super::last_admin::{Loss, LossError};
use super::password::hash_password;
use super::user_id::UserId;
use crate::error::{ErrorCode, Failure, Result};
use crate::id::new_id;
use crate::store::list::{ListQuery, Page};
use crate::store::{self, Time, user};

/// The role that may use the admin API.
pub const ROLE_ADMIN: &str = "admin";
/// The role of a user for whom none is named.
pub const ROLE_USER: &str = "user";
const PASSWORD_CHARS_MIN: usize = 8;
pub(super) const TEXT_CHARS_MAX: usize = 200;

/// A user without secrets, as scripts (`@USER`) and clients see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Unlike all other users'.
    pub id: UserId,
    /// Unique and in lower case, where the user has an account here; else as the issuer says.
    pub email: String,
    /// For people.
    pub name: String,
    /// `user`, `admin` or a name that an admin defined.
    pub role: String,
    /// The account here; none: the user is one of another issuer.
    #[serde(flatten)]
    pub account: Option<Account>,
}

/// What only a user of this installation has.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The user's id as the row has it: a UUID v7.
    #[serde(skip)]
    pub id: Uuid,
    /// A disabled user cannot sign in.
    pub is_enabled: bool,
    /// Whether the password is still the one of the first start, which others may have seen.
    #[serde(skip)]
    pub has_first_password: bool,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: Time,
    /// When it last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: Time,
}

/// What a new user is made of.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Unique; kept in lower case.
    pub email: String,
    /// At least 8 characters.
    pub password: String,
    /// Empty: the part of the e-mail address before the `@`.
    pub name: String,
    /// Empty: `user`.
    pub role: String,
    /// Whether it may sign in.
    pub is_enabled: bool,
}

/// What changes of a user; none: stays.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in NewUser")]
pub struct UserChange {
    pub email: Option<String>,
    pub password: Option<String>,
    pub name: Option<String>,
    pub role: Option<String>,
    pub is_enabled: Option<bool>,
}

impl User {
    /// Whether this user may use the admin API.
    pub fn is_admin(&self) -> bool {
        self.role == ROLE_ADMIN
    }

    /// How histories name this user: by the e-mail address, which not every issuer tells.
    pub fn author(&self) -> &str {
        if self.email.is_empty() { self.id.as_str() } else { &self.email }
    }

    /// The account of this user, which one of another issuer does not have.
    ///
    /// # Errors
    /// `AUTHORIZATION_ERROR`.
    pub fn own_account(&self) -> Result<&Account> {
        self.account.as_ref().ok_or_else(|| {
            let message = "Another issuer signed this token: its users have no account here";
            Failure::new(ErrorCode::Authorization, message).into()
        })
    }
}

impl NewUser {
    /// The address and the name as they are kept.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad field.
    pub fn check(&self) -> Result<(String, String)> {
        let email = checked_email(&self.email)?;
        check_password(&self.password)?;
        check_text("name", &self.name)?;
        check_text("role", &self.role)?;
        let name =
            if self.name.is_empty() { email.split('@').next().unwrap_or_default() } else { &self.name };
        let name = name.to_owned();
        Ok((email, name))
    }
}

impl From<user::Model> for User {
    fn from(row: user::Model) -> Self {
        Self {
            id: row.id.into(),
            email: row.email,
            name: row.name,
            role: row.role,
            account: Some(Account {
                id: row.id,
                is_enabled: row.is_enabled,
                has_first_password: row.has_first_password,
                created_at: row.created_at,
                updated_at: row.updated_at,
            }),
        }
    }
}

impl Accounts {
    /// One page of users.
    pub async fn list_users(&self, query: &ListQuery) -> Result<Page<User>> {
        let page = self.store.list::<user::Entity>(query, None).await?;
        Ok(Page { rows: page.rows.into_iter().map(User::from).collect(), counts: page.counts })
    }

    /// A user by id.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`.
    pub async fn user(&self, id: Uuid) -> Result<User> {
        let row = user::Entity::find_by_id(id).one(self.store.db()).await?;
        Ok(row.ok_or_else(|| Failure::not_found("user", id))?.into())
    }

    /// A user by e-mail address.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        Ok(self.store.user_by_email(email).await?.map(User::from))
    }

    /// Whether there is any admin.
    pub async fn has_admin(&self) -> Result<bool> {
        let admins = user::Entity::find().filter(user::Column::Role.eq(ROLE_ADMIN));
        Ok(admins.count(self.store.db()).await? > 0)
    }

    /// Makes a user.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` for a bad field, `DUPLICATE_RESOURCE` for a taken address.
    pub async fn create_user(&self, new: NewUser) -> Result<User> {
        self.insert_user(new, false).await
    }

    /// Makes the first admin, whose password others may have seen: in a log or a file of settings.
    ///
    /// # Errors
    /// As [`Self::create_user`].
    pub async fn create_first_admin(&self, email: String, password: String) -> Result<User> {
        let (name, role) = (String::new(), ROLE_ADMIN.to_owned());
        self.insert_user(NewUser { email, password, name, role, is_enabled: true }, true).await
    }

    async fn insert_user(&self, new: NewUser, has_first_password: bool) -> Result<User> {
        let (email, name) = new.check()?;
        let now = store::now();
        let row = user::ActiveModel {
            id: Set(new_id()),
            email: Set(email.clone()),
            name: Set(name),
            role: Set(if new.role.is_empty() { ROLE_USER.to_owned() } else { new.role }),
            is_enabled: Set(new.is_enabled),
            password_hash: Set(self.hash(new.password).await?),
            has_first_password: Set(has_first_password),
            created_at: Set(now),
            updated_at: Set(now),
        };
        let row = row.insert(self.store.db()).await.map_err(|error| taken(error, &email))?;
        self.sessions_changed().await?;
        let user = User::from(row);
        self.tell(None, Some(&user), None);
        Ok(user)
    }

    /// Changes a user. A new password, a new role or disabling ends the user's sessions.
    ///
    /// # Errors
    /// As [`Self::create_user`], `RESOURCE_NOT_FOUND`, and `CONFLICT` where no admin would be left.
    pub async fn update_user(&self, id: Uuid, change: UserChange) -> Result<User> {
        let before = self.user(id).await?;
        let mut row = user::ActiveModel { id: Set(id), updated_at: Set(store::now()), ..Default::default() };
        let mut ends_sessions = change.is_enabled == Some(false);
        let may_lose_admin = ends_sessions || change.role.as_ref().is_some_and(|role| role != ROLE_ADMIN);
        if let Some(email) = &change.email {
            row.email = Set(checked_email(email)?);
        }
        if let Some(name) = change.name {
            check_text("name", &name)?;
            row.name = Set(name);
        }
        if let Some(role) = change.role {
            check_text("role", &role)?;
            ends_sessions |= role != before.role;
            row.role = Set(role);
        }
        if let Some(password) = change.password {
            check_password(&password)?;
            row.password_hash = Set(self.hash(password).await?);
            row.has_first_password = Set(false);
            ends_sessions = true;
        }
        if let Some(is_enabled) = change.is_enabled {
            row.is_enabled = Set(is_enabled);
        }
        let email = change.email.unwrap_or_default();
        let written = self.write_user(id, row, may_lose_admin).await;
        let row = written.map_err(|error| match error {
            LossError::Refused(failure) => failure.into(),
            LossError::Database(error) => taken(error, &email),
        })?;
        if ends_sessions {
            self.end_sessions_of(id).await?;
        }
        self.sessions_changed().await?;
        let (user, profile) = (User::from(row), self.profile(id).await?);
        self.tell(Some(before), Some(&user), profile);
        Ok(user)
    }

    /// Deletes a user with all sessions.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`, and `CONFLICT` where no admin would be left.
    pub async fn delete_user(&self, id: Uuid) -> Result<()> {
        let (before, profile) = (self.user(id).await?, self.profile(id).await?);
        self.lose(id, Loss::Delete).await.map_err(|error| match error {
            LossError::Refused(failure) => crate::Error::from(failure),
            LossError::Database(error) => error.into(),
        })?;
        self.sessions_changed().await?;
        self.tell(Some(before), None, profile);
        Ok(())
    }

    async fn write_user(
        &self,
        id: Uuid,
        row: user::ActiveModel,
        may_lose_admin: bool,
    ) -> Result<user::Model, LossError> {
        if !may_lose_admin {
            return Ok(row.update(self.store.db()).await?);
        }
        self.lose(id, Loss::Update(row)).await?;
        let row = user::Entity::find_by_id(id).one(self.store.db()).await?;
        row.ok_or_else(|| LossError::Refused(Failure::not_found("user", id)))
    }

    /// What the application keeps with a user. No entity has it: sign-ins and sessions read users often, and never this.
    async fn profile(&self, id: Uuid) -> Result<Option<Json>> {
        let select = Query::select()
            .column(Alias::new("profile"))
            .from(user::Entity)
            .and_where(Expr::col(user::Column::Id).eq(id))
            .to_owned();
        let found = self.store.db().query_one(&select).await?;
        Ok(found.map(|row| row.try_get_by_index(0)).transpose()?.flatten())
    }

    fn tell(&self, old: Option<User>, new: Option<&User>, profile: Option<Json>) {
        if let Some(tell) = self.user_changes.get() {
            tell(&UserChanged { old, new: new.cloned(), profile });
        }
    }

    /// Hashes on a thread for blocking work.
    async fn hash(&self, password: String) -> Result<String> {
        self.hashing.run(move || hash_password(&password)).await
    }
}

fn checked_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let well_formed = email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if !well_formed || email.chars().count() > TEXT_CHARS_MAX || email.chars().any(char::is_control) {
        return Err(Failure::invalid("email", "must be an e-mail address").into());
    }
    Ok(email)
}

fn check_password(password: &str) -> Result<()> {
    let chars = password.chars().count();
    if (PASSWORD_CHARS_MIN..=1024).contains(&chars) {
        return Ok(());
    }
    Err(Failure::invalid("password", format!("must have {PASSWORD_CHARS_MIN} to 1024 characters")).into())
}

/// Refuses a name that no user can have.
///
/// # Errors
/// `VALIDATION_ERROR`.
pub fn check_name(name: &str) -> Result<(), Failure> {
    check_text("name", name).map_err(crate::Error::into_failure)
}

fn check_text(field: &str, text: &str) -> Result<()> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(Failure::invalid(field, format!("must have at most {TEXT_CHARS_MAX} characters")).into());
    }
    store::check_text(field, text)
}

fn taken(error: sea_orm::DbErr, email: &str) -> crate::Error {
    if store::is_unique_violation(&error) {
        return Failure::new(ErrorCode::DuplicateResource, format!("There is a user {email} already")).into();
    }
    error.into()
}
