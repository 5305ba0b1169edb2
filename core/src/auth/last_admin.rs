//! There is always an admin who can sign in: who is the last can be neither removed nor disabled nor given another
//! role, however many try at once.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};
use sea_orm::{
    ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
};
use uuid::Uuid;

use super::accounts::Accounts;
use super::users::ROLE_ADMIN;
use crate::error::{ErrorCode, Failure, Result};
use crate::store::user;

/// How long a change waits for another of admins, on PostgreSQL.
const LOCK_MAX: &str = "SET LOCAL lock_timeout = '5s'";

/// A write after which a user may be no admin any more.
pub(super) enum Loss {
    /// Of these values.
    Update(user::ActiveModel),
    /// The user goes.
    Delete,
}

impl Accounts {
    /// Writes it, unless that would leave no admin.
    ///
    /// # Errors
    /// `RESOURCE_NOT_FOUND`; `CONFLICT` for the last admin; those of the database as they are.
    pub(super) async fn lose(&self, id: Uuid, loss: Loss) -> Result<(), LossError> {
        let db = self.store.db();
        let is_done = if db.get_database_backend() == DbBackend::Sqlite {
            // One statement, and one writer.
            run(id, loss, db).await?
        } else {
            let on = TransactionTrait::begin(&**db).await?;
            on.execute_unprepared(LOCK_MAX).await?;
            // In one order, so that two do not wait for each other. Who waited sees what the other has done.
            let admins = user::Entity::find()
                .filter(user::Column::Role.eq(ROLE_ADMIN))
                .filter(user::Column::IsEnabled.eq(true))
                .order_by_asc(user::Column::Id)
                .lock_exclusive();
            admins.all(&on).await?;
            let is_done = run(id, loss, &on).await?;
            on.commit().await?;
            is_done
        };
        if is_done {
            return Ok(());
        }
        if user::Entity::find_by_id(id).one(db).await?.is_none() {
            return Err(LossError::Refused(Failure::not_found("user", id)));
        }
        let message = "This is the last admin who can sign in. Make another user an admin first";
        Err(LossError::Refused(Failure::new(ErrorCode::Conflict, message)))
    }
}

/// Why it is not written.
pub(super) enum LossError {
    /// It may not be.
    Refused(Failure),
    /// The database refused or failed.
    Database(DbErr),
}

impl From<DbErr> for LossError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// Whether a user was there to whom it could be done.
async fn run(id: Uuid, loss: Loss, on: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let other = |column| Expr::col((Alias::new("other"), column));
    let another_admin = Query::select()
        .expr(Expr::val(1))
        .from_as(user::Entity, Alias::new("other"))
        .and_where(other(user::Column::Role).eq(ROLE_ADMIN))
        .and_where(other(user::Column::IsEnabled).eq(true))
        .and_where(other(user::Column::Id).ne(id))
        .to_owned();
    let is_dispensable = Condition::any()
        .add(user::Column::Role.ne(ROLE_ADMIN))
        .add(user::Column::IsEnabled.eq(false))
        .add(Expr::exists(another_admin));
    let which = Condition::all().add(user::Column::Id.eq(id)).add(is_dispensable);
    let rows = match loss {
        Loss::Update(row) => {
            let row = user::ActiveModel { id: NotSet, ..row };
            user::Entity::update_many().set(row).filter(which).exec(on).await?.rows_affected
        }
        Loss::Delete => user::Entity::delete_many().filter(which).exec(on).await?.rows_affected,
    };
    Ok(rows > 0)
}
