//! Small helpers between SQL rows and domain types.

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Any, Row as _, any::AnyRow};

use super::{Conn, faults::fault, packed};
use crate::{
    domain::{
        Id,
        page::{Page, PageRequest},
    },
    error::{Error, Result},
};

pub(super) type Query = sqlx::query::Query<'static, Any, <Any as sqlx::Database>::Arguments>;

pub(super) fn query(sql: &'static str) -> Query {
    sqlx::query(sql)
}

/// A domain type that is a row.
pub(super) trait Entity: Sized {
    /// Its name in error messages.
    const WHAT: &'static str;
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

/// A row read by column name. What does not fit is an internal error that names the column.
pub(super) struct Row<'r>(pub &'r AnyRow);

impl Row<'_> {
    pub fn text(&self, column: &str) -> Result<String> {
        self.0.try_get(column).map_err(Error::internal)
    }

    pub fn text_opt(&self, column: &str) -> Result<Option<String>> {
        self.0.try_get(column).map_err(Error::internal)
    }

    pub fn int(&self, column: &str) -> Result<i64> {
        self.0.try_get(column).map_err(Error::internal)
    }

    pub fn int_opt(&self, column: &str) -> Result<Option<i64>> {
        self.0.try_get(column).map_err(Error::internal)
    }

    pub fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    pub fn id(&self, column: &str) -> Result<Id> {
        self.text(column).map(Id::from_text)
    }

    pub fn id_opt(&self, column: &str) -> Result<Option<Id>> {
        Ok(self.text_opt(column)?.map(Id::from_text))
    }

    pub fn small(&self, column: &str) -> Result<u32> {
        u32::try_from(self.int(column)?).map_err(|error| Error::internal(format!("column {column}: {error}")))
    }

    pub fn small_opt(&self, column: &str) -> Result<Option<u32>> {
        self.int_opt(column)?
            .map(|value| {
                u32::try_from(value).map_err(|error| Error::internal(format!("column {column}: {error}")))
            })
            .transpose()
    }

    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?)
            .map_err(|error| Error::internal(format!("column {column}: {error}")))
    }

    pub fn json_opt<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let text = self.text_opt(column)?;
        text.map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|error| Error::internal(format!("column {column}: {error}")))
    }

    pub fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.0.try_get(column).map_err(Error::internal)
    }

    /// Bytes that [`packed::pack`] has made small.
    pub fn packed(&self, column: &str) -> Result<Vec<u8>> {
        packed::unpack(&self.bytes(column)?)
            .map_err(|error| Error::internal(format!("column {column}: {error}")))
    }

    /// A word of a closed set.
    pub fn word<T>(&self, column: &str, parse: fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text(column)?;
        parse(&text)
            .ok_or_else(|| Error::internal(format!("column {column} holds the unknown word `{text}`")))
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

pub(super) fn id_text(id: Option<&Id>) -> Option<String> {
    id.map(|id| id.as_str().to_owned())
}

/// The row's number, if a person wrote one instead of an id.
pub(super) fn as_seq(key: &str) -> Option<i64> {
    if key.bytes().all(|b| b.is_ascii_digit()) { key.parse().ok() } else { None }
}

pub(super) async fn execute(conn: &mut Conn, query: Query) -> Result<u64> {
    query.execute(conn).await.map(|done| done.rows_affected()).map_err(fault)
}

pub(super) async fn fetch_opt<T: Entity>(conn: &mut Conn, query: Query) -> Result<Option<T>> {
    query.fetch_optional(conn).await.map_err(fault)?.map(|row| T::from_row(&Row(&row))).transpose()
}

pub(super) async fn fetch_all<T: Entity>(conn: &mut Conn, query: Query) -> Result<Vec<T>> {
    let rows = query.fetch_all(conn).await.map_err(fault)?;
    rows.iter().map(|row| T::from_row(&Row(row))).collect()
}

/// `query` ends in `LIMIT`, whose value is bound by the caller to [`over`].
pub(super) async fn fetch_page<T: Entity>(
    conn: &mut Conn,
    page: PageRequest,
    query: Query,
    seq: fn(&T) -> i64,
) -> Result<Page<T>> {
    Ok(Page::from_rows(fetch_all(conn, query).await?, page.limit, seq))
}

/// One row more than asked for says whether there is another page.
pub(super) fn over(page: PageRequest) -> i64 {
    page.limit + 1
}

/// Where the page starts: below this number.
pub(super) fn below(page: PageRequest) -> i64 {
    page.before.unwrap_or(i64::MAX)
}

pub(super) fn found<T: Entity>(row: Option<T>, key: &str) -> Result<T> {
    row.ok_or_else(|| Error::not_found(T::WHAT, key))
}

/// For statements that have to hit exactly the row named.
pub(super) fn hit(rows: u64, what: &'static str, id: &Id) -> Result<()> {
    if rows == 0 { Err(Error::not_found(what, id.as_str())) } else { Ok(()) }
}

/// Text from outside without NUL, which PostgreSQL cannot store.
pub(super) fn plain(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn plain_opt(text: Option<&str>) -> Option<String> {
    text.map(plain)
}
