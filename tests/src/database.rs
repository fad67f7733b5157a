//! Both databases for one suite: a fresh, empty one for each test.

use windlass::store::{Db, DbConfig};

use crate::PATIENCE;
use crate::postgres;
use crate::tools::{skipped, this_test};

/// A database that is gone with the test.
pub struct TestDb {
    pub db: Db,
    pub url: String,
    _folder: Option<tempfile::TempDir>,
}

impl TestDb {
    /// SQLite in a folder of its own.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("windlass.db").display());
        let db = Db::open(&DbConfig::new(&url)).await.expect("a new SQLite database opens");
        Self { db, url, _folder: Some(folder) }
    }

    /// A new database of this process' PostgreSQL. `None`, with a word on standard error, where there is none.
    pub async fn postgres() -> Option<Self> {
        let created = tokio::task::spawn_blocking(|| {
            postgres::shared().map_err(str::to_owned).and_then(postgres::Postgres::database)
        })
        .await
        .expect("creating a database does not panic");
        match created {
            Ok(url) => {
                let config = DbConfig { max_connections: 8, ..DbConfig::new(&url) };
                let db = Db::open(&config).await.expect("a new PostgreSQL database opens");
                Some(Self { db, url, _folder: None })
            }
            Err(why) => {
                skipped(&this_test(), &format!("there is no PostgreSQL to test with: {why}"));
                None
            }
        }
    }

    /// Another handle on the same database, as a second process would have.
    pub async fn another(&self) -> Db {
        Db::open(&DbConfig { max_connections: 8, ..DbConfig::new(&self.url) })
            .await
            .expect("the database opens again")
    }
}

/// Waits for something that has to happen.
pub async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// One suite, two databases: each test becomes `sqlite::name` and `postgres::name`.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::database::TestDb::sqlite().await).await;
                }
            )+
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(db) = $crate::database::TestDb::postgres().await {
                        super::$name(db).await;
                    }
                }
            )+
        }
    };
}
